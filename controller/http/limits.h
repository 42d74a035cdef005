// Every bound of this folder.
#pragma once

#include <chrono>
#include <cstddef>

namespace sluice::http {

inline constexpr std::size_t kMaxHeaderBytes = 64 << 10;    // status line and all headers
inline constexpr std::size_t kMaxHeaders = 256;             // lines of one answer
inline constexpr std::size_t kMaxChunkLineBytes = 1 << 10;  // size, extension, CRLF
inline constexpr std::size_t kMaxBodyBytes = 64 << 20;      // of an answer kept whole
inline constexpr std::size_t kMaxTargetBytes = 64 << 10;    // PromQL can be long
inline constexpr std::size_t kMaxIdleConnections = 16;      // kept per client
inline constexpr std::size_t kMaxResolving = 64;            // names waiting to be resolved, or kept
inline constexpr std::chrono::seconds kResolvedAge{30};  // of a name's addresses, then asked anew
inline constexpr std::chrono::seconds kIdleConnectionAge{50};  // then closed, not reused
// Given back this recently, it is used again unlooked at: a close younger than a round trip would
// be missed by looking, too.
inline constexpr std::chrono::milliseconds kTrustedIdle{1};
inline constexpr std::size_t kReadBufferBytes = 16 << 10;    // one TLS record
inline constexpr std::size_t kTlsReadAheadBytes = 64 << 10;  // while records are being read

inline constexpr std::chrono::hours kSessionReuse{1};  // of a TLS session, then a full handshake

inline constexpr std::size_t kMaxServerBodyBytes = 1 << 20;
inline constexpr std::size_t kMaxServerQueue = 64;     // requests waiting for a thread
inline constexpr std::size_t kMaxServerWaiting = 128;  // connections that have not asked yet
inline constexpr int kMaxServerAccepts = 16;           // then others are looked at
inline constexpr std::size_t kMaxServerHeadBytes = 32 << 10;
inline constexpr std::chrono::seconds kServerHeadTimeout{5};  // from the connection to a whole head
inline constexpr std::chrono::seconds kServerReadTimeout{5};  // between two pieces of a body
inline constexpr std::chrono::seconds kServerBodyTimeout{15};        // of all of it
inline constexpr std::chrono::milliseconds kServerAcceptPause{100};  // out of descriptors, say
// What a refused client may still send before the connection is cut, so that it reads the answer:
// a review that is a little too long (controller/webhook), too.
inline constexpr std::size_t kMaxServerDrainBytes = 8 << 20;
inline constexpr std::chrono::seconds kServerDrainTimeout{1};
inline constexpr std::chrono::seconds kServerWriteTimeout{10};

}  // namespace sluice::http
