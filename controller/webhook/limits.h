// Every bound of this folder.
#pragma once

#include <chrono>
#include <cstddef>

namespace sluice::webhook {

inline constexpr std::size_t kMaxWebhooks = 64;
// An AdmissionReview carries two objects of at most 3 MiB in their encoding; controller-runtime's
// bound. A ConversionReview carries a page of a list.
inline constexpr std::size_t kMaxReviewBytes = 7 << 20;
inline constexpr std::size_t kMaxConversionBytes = 64 << 20;
inline constexpr int kMaxDepth = 256;  // of nesting in a review
inline constexpr int kQueuedPerWorker = 2;
// The API server says in ?timeout= how long it waits (default 10 s, at most 30 s); we answer a
// quarter of it, at most kMargin, earlier.
inline constexpr std::chrono::seconds kDefaultTimeout{10};
inline constexpr std::chrono::seconds kMaxTimeout{30};
inline constexpr std::chrono::milliseconds kMargin{1000};
// The API server cuts a warning at 256 characters and drops all after 4096.
inline constexpr std::size_t kMaxWarningBytes = 256;
inline constexpr std::size_t kMaxWarnings = 16;
inline constexpr std::size_t kMaxMessageBytes = 4096;    // of a refusal; cut beyond
inline constexpr std::chrono::seconds kFileRecheck{10};  // of certificate files
inline constexpr std::size_t kMaxCertificateBytes = 1 << 20;

}  // namespace sluice::webhook
