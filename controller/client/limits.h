// Every bound of this folder.
#pragma once

#include <chrono>
#include <cstddef>

namespace sluice::client {

inline constexpr std::chrono::seconds kRequestTimeout{30};  // of a call, retries included
inline constexpr std::chrono::seconds kWatchGrace{30};      // beyond a watch's own timeout
// Of a watch, whose server tells a bookmark each minute: twice that and it is asked anew, because
// somebody between us may have forgotten the connection.
inline constexpr std::chrono::seconds kWatchSilence{130};
inline constexpr int kMaxThrottledRetries = 10;                  // of one call, on 429, 5xx
inline constexpr std::chrono::seconds kMaxHold{30};              // of calls that were not refused
inline constexpr std::chrono::milliseconds kReleaseSpacing{20};  // between calls let go together
inline constexpr int kMaxReleaseSlots = 50;                      // then several at once
inline constexpr std::size_t kMaxPriorityLevels = 16;      // told apart; a server has about eight
inline constexpr std::size_t kMaxPriorityLevelBytes = 64;  // a UID
inline constexpr std::size_t kMaxThrottleKinds = 256;      // verb and resource
inline constexpr std::size_t kMaxThrottleKindBytes = 256;
inline constexpr std::size_t kMaxAnswerBytes = 256 << 20;    // one page of a list
inline constexpr std::size_t kMaxErrorBytes = 64 << 10;      // of an error's message we keep
inline constexpr std::size_t kMaxWatchLineBytes = 16 << 20;  // one event
inline constexpr std::size_t kMaxListItems = 5'000'000;      // of a list followed over its pages
inline constexpr std::size_t kMaxKubeconfigBytes = 4 << 20;
inline constexpr std::size_t kMaxKubeconfigFiles = 32;  // of $KUBECONFIG
inline constexpr std::size_t kMaxNamesBytes = 200;      // of contexts named in a message
inline constexpr int kMaxExtensionNodes = 10'000;       // of a kubeconfig handed to a plugin
inline constexpr std::size_t kMaxCredentialFileBytes = 1 << 20;
inline constexpr std::size_t kMaxExecOutputBytes = 1 << 20;
inline constexpr std::size_t kMaxExecErrorBytes = 512;   // of a plugin's standard error, the end
inline constexpr std::chrono::seconds kExecTimeout{30};  // of a credential plugin
inline constexpr std::chrono::minutes kExecPersonTimeout{5};  // of one that asks a person
inline constexpr std::chrono::seconds kExecRetry{2};          // after one that failed
inline constexpr std::chrono::seconds kFileRecheck{10};       // token and certificate files
inline constexpr std::size_t kMaxWarningsRemembered = 64;     // logged once each

// So much of a Retry-After is believed: a cache or a key that waits for longer, for one answer of a
// proxy in maintenance, is as good as forgotten.
inline constexpr std::chrono::seconds kMaxRetryAfter{300};

}  // namespace sluice::client
