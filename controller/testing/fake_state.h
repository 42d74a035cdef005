// Internal to this folder: what FakeApi keeps, for the three files that are it. Not part of the
// folder's contract.
//
// Thread rule: guarded by FakeApi::mutex_.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "controller/testing/fake_api.h"

namespace sluice::testing_kit {

using nlohmann::json;

namespace fake {

std::string Text(const json& object, const char* name);
const json& Meta(const json& object);
meta::Key KeyOf(const json& object);
// "a=b,c!=d,e,!f": every clause must hold.
bool Selected(const json& labels, const std::string& selector);
bool Matches(const json& object, const std::string& ns, const std::string& label_selector,
             const std::string& field_selector);
json WithoutVolatile(json object);
json SpecPart(json object);
base::Status Missing(const meta::Resource& resource, const meta::Key& key);
base::Status Stale(const meta::Resource& resource, const meta::Key& key, const char* what);
base::Status Invalid(const meta::Resource& resource, const meta::Key& key, const char* why);
// What the server refuses of any update of `stored`: another version or object than is there.
base::Status RefusedUpdate(const meta::Resource& resource, const json& stored, const json& next);
// Finalizers that are new to an object which is being deleted.
base::Status RefusedFinalizers(const meta::Resource& resource, const json& stored,
                               const json& next);

}  // namespace fake

struct FakeApi::State {
  struct Event {
    std::int64_t version;
    std::string resource;
    std::string type;
    json object;
    json was;  // null when it was made
  };
  std::map<std::string, std::map<meta::Key, json>> objects;  // by GroupResource
  std::map<std::string, json> applied;                       // by resource/key/manager/subresource
  std::deque<Event> history;
  std::int64_t version = 1000;
  std::int64_t oldest = 1000;  // watches from below get 410
  std::int64_t uids = 0;
  std::vector<Call> calls;
  Fault before, after;
  RawHandler raw;
  bool stopped = false;

  void Record(const std::string& resource, const char* type, const json& object, const json& was);
  // Stores `next` over what is there (if anything), as any successful write does.
  const json& Store(const meta::Resource& resource, json next, base::WallTime now);
  const json& Remove(const std::string& resource, const meta::Key& key);
  void BeginDelete(const meta::Resource& resource, const meta::Key& key, base::WallTime now);
  // A deletion in the background takes the place of one in the foreground that is under way.
  static void EndForeground(json& stored);
  json* Find(const meta::Resource& resource, const meta::Key& key);
};

}  // namespace sluice::testing_kit
