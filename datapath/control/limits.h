// Every bound of this folder, in one place. A configuration beyond them is refused with the field's
// name; a message beyond them ends the stream.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>

namespace sluice::control {

// A configuration.
inline constexpr std::size_t kMaxYamlBytes = 1 << 20;
inline constexpr std::size_t kMaxSecretFileBytes = 64 << 10;
inline constexpr std::size_t kMaxListeners = 16;
inline constexpr std::size_t kMaxCertificates = 16;  // a listener
inline constexpr std::size_t kMaxDiskPaths = 32;
inline constexpr std::size_t kMaxOrigins = 64;
inline constexpr std::size_t kMaxMounts = 1024;
inline constexpr std::size_t kMaxPinnedMounts = 64;
inline constexpr std::size_t kMaxTenants = 1024;
inline constexpr std::size_t kMaxKeysPerTenant = 8;
inline constexpr std::size_t kMaxGrantsPerTenant = 1024;
inline constexpr std::size_t kMaxPathBytes = 1024;  // of a mount's path, and of its prefix
inline constexpr std::uint32_t kMaxThreads = 1024;
inline constexpr std::uint64_t kMinMemoryBytes = 16ull << 20;
inline constexpr std::uint64_t kMinMemoryChunks = 8;
inline constexpr std::uint64_t kMinDiskChunks = 16;  // per disk path
inline constexpr std::uint32_t kMinChunkBytes = 64u << 10;
inline constexpr std::uint32_t kMaxChunkBytes = 16u << 20;
inline constexpr std::chrono::seconds kMaxMetadataTtl{3600};

// The stream.
inline constexpr int kMaxDownwardMessageBytes = 4 << 20;
inline constexpr std::size_t kMaxReasonBytes = 1024;  // of a nack; cut beyond
inline constexpr std::size_t kMaxProblems = 8;        // in one Health
inline constexpr std::size_t kMaxProblemBytes = 256;  // of each; cut beyond
inline constexpr std::size_t kMaxLinks = 4;           // streams kept, one per controller replica
inline constexpr std::size_t kMaxSuperseded = 8;
inline constexpr std::size_t kMaxTokenBytes = 16 << 10;
inline constexpr std::chrono::seconds kConnectDeadline{10};
inline constexpr std::chrono::seconds kWelcomeDeadline{10};
inline constexpr std::chrono::seconds kCallDeadline{15};  // enrolment and renewal
inline constexpr std::chrono::seconds kPingInterval{180};
inline constexpr std::chrono::seconds kUnanswered{20};  // a ping, or what was sent at all
inline constexpr std::chrono::seconds kResolveInterval{30};
inline constexpr int kDoubtsBeforeEnrolling = 5;
inline constexpr std::chrono::seconds kTick{1};  // health is looked at this often

}  // namespace sluice::control
