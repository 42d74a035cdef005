#include "controller/testing/fake_merge.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <string>

namespace sluice::testing_kit {

using nlohmann::json;

namespace {

constexpr const char* kListKeys[] = {"name",          "type", "key",  "path",  "ip",
                                     "containerPort", "gate", "node", "mount", "uid"};

// The field by which both lists' elements are told apart; null when there is none.
const char* ListKey(const json& one, const json& two) {
  for (const char* key : kListKeys) {
    const auto has = [&](const json& item) { return item.is_object() && item.contains(key); };
    if (std::all_of(one.begin(), one.end(), has) && std::all_of(two.begin(), two.end(), has) &&
        one.size() + two.size() > 0) {
      return key;
    }
  }
  return nullptr;
}

const json* FindBy(const json& list, const char* key, const json& value) {
  for (const json& item : list) {
    if (item.at(key) == value) return &item;
  }
  return nullptr;
}

json MergeList(const json& stored, const json& applied, const json& last) {
  const json before = last.is_array() ? last : json::array();
  const char* key = ListKey(stored, applied);
  if (key == nullptr || ListKey(before, applied) == nullptr) return applied;
  json out = json::array();
  for (const json& item : stored) {
    const json* wanted = FindBy(applied, key, item.at(key));
    const json* had = before.empty() ? nullptr : FindBy(before, key, item.at(key));
    if (wanted != nullptr) {
      out.push_back(MergeApplied(item, *wanted, had != nullptr ? *had : json()));
    } else if (had == nullptr) {
      out.push_back(item);
    }
  }
  for (const json& item : applied) {
    if (FindBy(stored, key, item.at(key)) == nullptr) out.push_back(item);
  }
  return out;
}

}  // namespace

json MergeApplied(const json& stored, const json& applied, const json& last) {
  if (stored.is_array() && applied.is_array()) return MergeList(stored, applied, last);
  if (!stored.is_object() || !applied.is_object()) return applied;
  json out = stored;
  if (last.is_object()) {
    for (const auto& [name, value] : last.items()) {
      if (!applied.contains(name)) out.erase(name);
    }
  }
  for (const auto& [name, value] : applied.items()) {
    if (value.is_null()) continue;
    const json before = last.is_object() && last.contains(name) ? last[name] : json();
    out[name] = out.contains(name) ? MergeApplied(out[name], value, before) : value;
  }
  return out;
}

}  // namespace sluice::testing_kit
