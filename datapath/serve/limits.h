// Bounds of this folder.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>

namespace sluice::serve {

// Connections.
inline constexpr std::size_t kMaxConnections = 20'000;     // of all listeners together
inline constexpr std::size_t kReadBufferBytes = 32 << 10;  // one head (16 KiB) and then some
inline constexpr std::size_t kAnswerBufferBytes = 20 << 10;
inline constexpr int kMaxRequestsPerTurn = 16;  // pipelined on one connection before others run
inline constexpr std::chrono::seconds kIdleDeadline{75};
inline constexpr std::chrono::seconds kHandshakeDeadline{10};
inline constexpr std::chrono::seconds kHeadDeadline{10};  // a head must be whole by then
inline constexpr std::chrono::seconds kSendDeadline{60};  // without one byte taken by the client
inline constexpr std::chrono::seconds kBodyDeadline{60};  // without one byte given by the client
inline constexpr std::chrono::seconds kDrainDeadline{25};
// After an answer that ends the connection: so much unread input is taken in, so long, lest a reset
// overtakes the answer.
inline constexpr std::chrono::seconds kLingerDeadline{2};
inline constexpr std::size_t kMaxLingerBytes = 4 << 20;
// Buffers of connections at rest that a loop keeps for the next.
inline constexpr std::size_t kMaxIdleScratches = 64;

// TLS: what OpenSSL keeps for a busy connection, counted in the pool while it is open; what of the
// pool's buffers all of them may take, as a divisor; handshakes in progress; how often certificate
// files are looked at; how long before its end a certificate is worth a warning.
inline constexpr std::size_t kTlsConnectionBytes = 48 << 10;
inline constexpr std::uint64_t kTlsShareDivisor = 2;
inline constexpr std::uint64_t kMaxHandshakes = 1024;
inline constexpr std::chrono::seconds kCertificateLook{10};
inline constexpr std::chrono::hours kCertificateWarning{7 * 24};

// What an answer may wait for.
inline constexpr std::chrono::seconds kOriginDeadline{10};  // first byte of metadata or data
inline constexpr std::chrono::seconds kMemoryDeadline{5};   // room in the pool, in mid-body
inline constexpr std::chrono::milliseconds kMemoryRetry{20};
// How long an object that the origin did not know is taken to be absent, if the metadata TTL is not
// shorter still.
inline constexpr std::chrono::seconds kAbsentLife{1};
inline constexpr std::size_t kMaxChecksumBytes = 512;  // of an object, as lines of a head
inline constexpr int kMaxChunkAttempts = 3;            // of one answer on one chunk
inline constexpr std::chrono::seconds kSlowDownRetryAfter{1};

// Transmit: bodies up to here go out by one writev with their head, longer ones by reference. The
// crossing was measured between 4 and 16 KiB (docs/adr/0037-page-reuse.md has why it also matters
// for memory).
inline constexpr std::uint64_t kWritevMaxBytes = 16 << 10;
// From here on partial segments are held back: measured, docs/adr/0100-transmit-path.md.
inline constexpr std::uint64_t kHoldMinBytes = 128 << 10;

// Fills: bytes asked of the origin in one request, and how many such requests one reader keeps
// ahead.
inline constexpr std::uint64_t kFillWindowBytes = 8 << 20;
inline constexpr std::uint32_t kReadAheadWindows = 2;
inline constexpr std::size_t kMaxFillsPerLoop = 64;           // beyond: no reading ahead
inline constexpr std::size_t kMaxSendBytesPerTurn = 8 << 20;  // of one connection

// Lists kept, all mounts together, and one list's bytes.
inline constexpr std::size_t kMaxListEntries = 1024;
inline constexpr std::size_t kMaxListBytes = 1 << 20;

// Metrics.
inline constexpr std::size_t kMaxTenantLabels = 256;
inline constexpr std::size_t kMaxOriginLabels = 64;
inline constexpr std::size_t kAdminHeadBytes = 8 << 10;
inline constexpr std::size_t kMaxAdminConnections = 64;

inline constexpr std::size_t kKnownSigners = 64;  // a worker; some 600 bytes each

}  // namespace sluice::serve
