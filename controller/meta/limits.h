// Every bound of this folder.
#pragma once

#include <cstddef>

namespace sluice::meta {

inline constexpr std::size_t kMaxObjectBytes = 16 << 20;  // etcd takes 1.5 MiB; others more
inline constexpr std::size_t kMaxIdentityBytes = 1024;    // name, namespace, uid, version each
inline constexpr int kMaxJsonDepth = 512;                 // nested CRD schemas reach about 100
inline constexpr std::size_t kMaxNumberBytes = 300;       // of one JSON number
inline constexpr std::size_t kMaxQuantityBytes = 64;
inline constexpr std::size_t kMaxSelectorBytes = 64 << 10;
inline constexpr std::size_t kMaxSelectorRequirements = 256;
inline constexpr std::size_t kMaxConditionMessageBytes = 32768;  // what the API takes

}  // namespace sluice::meta
