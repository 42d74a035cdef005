// Every bound of this folder, in one place.
#pragma once

#include <chrono>
#include <cstddef>

namespace sluice::agents {

// Messages.
inline constexpr int kMaxUpwardMessageBytes = 64 << 10;   // from an agent
inline constexpr int kMaxDownwardMessageBytes = 4 << 20;  // a whole configuration
inline constexpr std::size_t kMaxReasonBytes = 1024;      // of a nack; cut beyond
inline constexpr std::size_t kMaxProblems = 8;            // in one Health; dropped beyond
inline constexpr std::size_t kMaxProblemBytes = 256;      // cut beyond
inline constexpr std::size_t kMaxVersionBytes = 128;      // of a configuration or a program

// The record of epoch and revisions: one object, so one API object's size bounds it.
inline constexpr std::size_t kMaxSites = 4096;
inline constexpr std::size_t kMaxSuperseded = 8;
inline constexpr int kMaxCompareAndSwapTries = 8;

// The fleet as one replica sees it.
inline constexpr std::size_t kMaxNodes = 32768;       // agents that left are forgotten first
inline constexpr std::size_t kMaxStreamsPerNode = 2;  // the old and the new of a reconnect
inline constexpr int kMaxStreams = 40'000;            // in one replica; refused beyond
// Connections (controller/rpc/server.h says what each bounds).
inline constexpr std::size_t kMaxConnections = kMaxStreams + 2000;  // and those that renew
inline constexpr std::size_t kMaxEnrolmentConnections = 1024;
inline constexpr int kControlThreads = 2;
inline constexpr std::size_t kHandshakesAtOnce = 512;  // on each thread
inline constexpr std::size_t kControlQuotaBytes = std::size_t{2} << 30;
inline constexpr std::size_t kEnrolmentQuotaBytes = std::size_t{64} << 20;
inline constexpr std::chrono::seconds kHandshakeDeadline{20};
inline constexpr std::chrono::seconds kStopGrace{1};
inline constexpr std::chrono::seconds kEnrolmentConnectionAge{60};

// Enrolment.
inline constexpr std::size_t kMaxEnrolmentsWaiting = 1024;  // of all clusters, beside
inline constexpr std::size_t kWaitingOfALane = 8;           // those of each
// Token reviews under way at a time in one other cluster; in ours, ServerOptions::review_threads.
inline constexpr int kReviewsOfACluster = 2;
// Enough for 256 other clusters that are all silent. They end when they are not needed.
inline constexpr int kMaxReviewThreads = 256 * kReviewsOfACluster + 16;
inline constexpr std::chrono::seconds kTokenReviewDeadline{10};
inline constexpr std::chrono::seconds kHelloDeadline{10};
inline constexpr std::chrono::minutes kRosterInterval{5};  // between two looks at an open stream
inline constexpr int kMissedHealthBeforeClose = 3;
// From a refusal to the next offer of the same, doubling. At most less than the quarter of an hour
// that the alert on refusals looks back: one that lasts is seen to last.
inline constexpr std::chrono::minutes kOfferAgainFirst{1};
inline constexpr std::chrono::minutes kOfferAgainMost{12};
inline constexpr std::chrono::hours kLongestRound{1};  // from one look at a stream to the next
// From Hello on other times count, perhaps sooner than kHelloDeadline.
inline constexpr std::chrono::seconds kRoundBeforeHello{1};
// Wall time that moved against mono time by this much was set.
inline constexpr std::chrono::seconds kWallTimeSet{1};

}  // namespace sluice::agents
