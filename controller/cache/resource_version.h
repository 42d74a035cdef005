// Comparing resourceVersions, where that is allowed. Pure.
//
// Since Kubernetes 1.35 conformant servers promise that versions of one resource are decimal
// numbers that grow (KEP-5504); before that they are opaque. Numbers of any length compare; what is
// no plain number does not.
#pragma once

#include <compare>
#include <optional>
#include <string_view>

namespace sluice::cache {

inline bool IsPlainVersion(std::string_view version) {
  return !version.empty() && version[0] != '0' &&
         version.find_first_not_of("0123456789") == std::string_view::npos;
}

// Nothing when one of them is no plain number.
inline std::optional<std::strong_ordering> CompareVersions(std::string_view a, std::string_view b) {
  if (!IsPlainVersion(a) || !IsPlainVersion(b)) return std::nullopt;
  if (a.size() != b.size()) return a.size() <=> b.size();
  return a.compare(b) <=> 0;
}

// False also when they do not compare.
inline bool VersionAtLeast(std::string_view a, std::string_view b) {
  const auto order = CompareVersions(a, b);
  return order.has_value() && *order >= 0;
}

}  // namespace sluice::cache
