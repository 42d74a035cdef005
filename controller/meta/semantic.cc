#include "controller/meta/semantic.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <string_view>

namespace sluice::meta {
namespace {

using nlohmann::json;

bool IsNothing(const json& value) { return value.is_null() || (value.is_array() && value.empty()); }

// Lists whose elements are told apart by one of these keys are merged by servers, not replaced.
std::string_view MergeKey(const json& list, std::span<const std::string_view> more) {
  static constexpr std::string_view kKeys[] = {"name", "key", "type", "containerPort"};
  const auto fits = [&](std::string_view key) {
    return !list.empty() && std::all_of(list.begin(), list.end(), [&](const json& e) {
      return e.is_object() && e.contains(key);
    });
  };
  for (const std::string_view key : kKeys) {
    if (fits(key)) return key;
  }
  for (const std::string_view key : more) {
    if (fits(key)) return key;
  }
  return {};
}

bool ListContains(const json& live, const json& wanted, std::span<const std::string_view> more) {
  const std::string_view key = MergeKey(wanted, more);
  if (key.empty()) {
    return live.size() == wanted.size() &&
           std::equal(live.begin(), live.end(), wanted.begin(),
                      [&](const json& l, const json& w) { return Contains(l, w, more); });
  }
  return std::all_of(wanted.begin(), wanted.end(), [&](const json& w) {
    return std::any_of(live.begin(), live.end(), [&](const json& l) {
      return l.is_object() && l.contains(key) && l.at(key) == w.at(key) && Contains(l, w, more);
    });
  });
}

}  // namespace

bool Contains(const json& live, const json& wanted, std::span<const std::string_view> list_keys) {
  if (IsNothing(wanted)) return true;
  if (wanted.is_object() && live.is_object()) {
    for (const auto& [key, value] : wanted.items()) {
      if (IsNothing(value)) continue;
      const auto found = live.find(key);
      if (found == live.end() || !Contains(*found, value, list_keys)) return false;
    }
    return true;
  }
  if (wanted.is_array() && live.is_array()) return ListContains(live, wanted, list_keys);
  return live == wanted;
}

}  // namespace sluice::meta
