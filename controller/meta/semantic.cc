#include "controller/meta/semantic.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <string_view>

namespace sluice::meta {
namespace {

using nlohmann::json;

bool IsNothing(const json& value) { return value.is_null() || (value.is_array() && value.empty()); }

bool IsServersOwn(std::string_view key) {
  static constexpr std::string_view kKeys[] = {"managedFields", "resourceVersion",   "generation",
                                               "uid",           "creationTimestamp", "selfLink"};
  return std::find(std::begin(kKeys), std::end(kKeys), key) != std::end(kKeys);
}

bool IsNothingInMetadata(std::string_view key, const json& value) {
  if (IsServersOwn(key)) return true;
  return (key == "labels" || key == "annotations") && value.is_object() && value.empty();
}

bool Never(std::string_view, const json&) { return false; }

// Members for which `skip` holds count as absent.
template <typename Skip>
bool SameMembers(const json& a, const json& b, Skip&& skip) {
  const auto covered = [&skip](const json& from, const json& in, bool compare) {
    for (const auto& [key, value] : from.items()) {
      if (IsNothing(value) || skip(key, value)) continue;
      const auto other = in.find(key);
      if (other == in.end() || IsNothing(*other) || skip(key, *other)) return false;
      if (compare && !SameValue(value, *other)) return false;
    }
    return true;
  };
  return covered(a, b, true) && covered(b, a, false);
}

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

bool SameValue(const json& a, const json& b) {
  if (IsNothing(a) || IsNothing(b)) return IsNothing(a) && IsNothing(b);
  if (a.is_object() && b.is_object()) return SameMembers(a, b, Never);
  if (a.is_array() && b.is_array()) {
    return a.size() == b.size() && std::equal(a.begin(), a.end(), b.begin(), SameValue);
  }
  return a == b;
}

bool SemanticallyEqual(const json& a, const json& b) {
  if (!a.is_object() || !b.is_object()) return SameValue(a, b);
  static const json kEmpty = json::object();
  const auto metadata = [](const json& object) -> const json& {
    const auto found = object.find("metadata");
    return found != object.end() && found->is_object() ? *found : kEmpty;
  };
  return SameMembers(metadata(a), metadata(b), IsNothingInMetadata) &&
         SameMembers(a, b, [](std::string_view key, const json&) { return key == "metadata"; });
}

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
