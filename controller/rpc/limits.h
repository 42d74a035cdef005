// Every bound of this folder that its user does not choose (ServerOptions has the others).
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>

namespace sluice::rpc {

// One connection. Small on purpose: what all of them may take is what the server must have.
inline constexpr std::uint32_t kCallsAtOnce = 8;
inline constexpr std::size_t kMaxHeadBytes = 8 << 10;    // of a call's header fields, decoded
inline constexpr std::uint32_t kHeaderTableBytes = 0;    // HPACK's dynamic tables, both directions
inline constexpr std::size_t kMaxWaitingAcks = 16;       // of PING and SETTINGS, not yet sent
inline constexpr std::size_t kMaxStatusBytes = 1 << 10;  // of a status's message; cut beyond
inline constexpr std::size_t kReadBytes = 16 << 10;      // one TLS record
inline constexpr std::size_t kWriteBytes = 16 << 10;
inline constexpr int kReadsAtOnce = 4;  // then the other connections have their turn
inline constexpr long kMaxCertificateBytes = 32 << 10;  // of a client's chain
inline constexpr int kMaxCertificateDepth = 4;

// Frames that carry no data (PING, SETTINGS, RST_STREAM, HEADERS, empty DATA …): so many at a time,
// and so many a second for long. A peer that sends more is told to calm down and let go.
inline constexpr int kIdleFrames = 100;
inline constexpr int kIdleFramesPerSecond = 10;

// Times.
inline constexpr std::chrono::seconds kCrowdedHandshake{5};  // of a handshake when there are many
inline constexpr std::chrono::seconds kFirstMessage{20};     // from a call's head
inline constexpr std::chrono::seconds kLastWords{10};        // from Finish until its status is sent
inline constexpr std::chrono::seconds kTakesNothing{120};    // a peer that does not read what waits
inline constexpr std::chrono::seconds kIdleConnection{20};   // without a call
inline constexpr std::chrono::milliseconds kAcceptPause{100};  // out of descriptors, say

}  // namespace sluice::rpc
