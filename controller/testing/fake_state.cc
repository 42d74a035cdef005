#include "controller/testing/fake_state.h"

#include <fmt/format.h>

#include <algorithm>

#include "controller/base/time_format.h"
#include "controller/testing/limits.h"

namespace sluice::testing_kit {

using base::Status;

namespace fake {

std::string Text(const json& object, const char* name) {
  return object.is_object() ? object.value(name, std::string()) : std::string();
}

const json& Meta(const json& object) {
  static const json kNone = json::object();
  const auto found = object.find("metadata");
  return found == object.end() ? kNone : *found;
}

meta::Key KeyOf(const json& object) {
  return {Text(Meta(object), "namespace"), Text(Meta(object), "name")};
}

// "a=b,c!=d,e,!f": every clause must hold.
bool Selected(const json& labels, const std::string& selector) {
  std::size_t at = 0;
  while (at < selector.size()) {
    const std::size_t end = std::min(selector.find(',', at), selector.size());
    const std::string clause = selector.substr(at, end - at);
    at = end + 1;
    const std::size_t equal = clause.find('=');
    if (equal == std::string::npos) {
      const bool absent = clause[0] == '!';
      if (labels.contains(absent ? clause.substr(1) : clause) == absent) return false;
      continue;
    }
    const bool differs = equal > 0 && clause[equal - 1] == '!';
    const std::string name = clause.substr(0, differs ? equal - 1 : equal);
    const std::string value = clause.substr(clause.find_last_of('=') + 1);
    const bool same = labels.contains(name) && labels[name] == value;
    if (same == differs) return false;
  }
  return true;
}

bool Matches(const json& object, const std::string& ns, const std::string& label_selector,
             const std::string& field_selector) {
  const meta::Key key = KeyOf(object);
  if (!ns.empty() && key.ns != ns) return false;
  if (const std::string wanted = "metadata.name="; field_selector.rfind(wanted, 0) == 0) {
    if (field_selector.substr(wanted.size()) != key.name) return false;
  }
  const json& labels = Meta(object).contains("labels") ? Meta(object)["labels"] : json::object();
  return Selected(labels, label_selector);
}

json WithoutVolatile(json object) {
  json& metadata = object["metadata"];
  metadata.erase("resourceVersion");
  metadata.erase("generation");
  return object;
}

json SpecPart(json object) {
  object.erase("metadata");
  object.erase("status");
  return object;
}

Status Missing(const meta::Resource& resource, const meta::Key& key) {
  return base::NotFound(fmt::format("{} \"{}\" not found", resource.GroupResource(), key.name))
      .WithReason("NotFound");
}

Status Stale(const meta::Resource& resource, const meta::Key& key, const char* what) {
  return base::Aborted(
             fmt::format("{} \"{}\": {} does not match", resource.GroupResource(), key.name, what))
      .WithReason("Conflict");
}

Status Invalid(const meta::Resource& resource, const meta::Key& key, const char* why) {
  return base::InvalidArgument(
             fmt::format("{} \"{}\" is invalid: {}", resource.GroupResource(), key.name, why))
      .WithReason("Invalid");
}

Status RefusedUpdate(const meta::Resource& resource, const json& stored, const json& next) {
  const meta::Key key = KeyOf(stored);
  const std::string version = Text(Meta(next), "resourceVersion");
  if (version.empty()) return Invalid(resource, key, "metadata.resourceVersion: must be specified");
  if (version != Text(Meta(stored), "resourceVersion")) {
    return Stale(resource, key, "resourceVersion");
  }
  const std::string uid = Text(Meta(next), "uid");
  if (!uid.empty() && uid != Text(Meta(stored), "uid")) return Stale(resource, key, "uid");
  return base::OkStatus();
}

Status RefusedFinalizers(const meta::Resource& resource, const json& stored, const json& next) {
  if (!Meta(stored).contains("deletionTimestamp")) return base::OkStatus();
  const json had = Meta(stored).value("finalizers", json::array());
  for (const json& finalizer : Meta(next).value("finalizers", json::array())) {
    if (std::find(had.begin(), had.end(), finalizer) == had.end()) {
      return Invalid(resource, KeyOf(stored), "metadata.finalizers: it is being deleted");
    }
  }
  return base::OkStatus();
}

}  // namespace fake

using fake::KeyOf;
using fake::SpecPart;
using fake::WithoutVolatile;

void FakeApi::State::Record(const std::string& resource, const char* type, const json& object,
                            const json& was) {
  history.push_back({version, resource, type, object, was});
  if (history.size() > kMaxFakeHistory) {
    oldest = history.front().version;
    history.pop_front();
  }
}

const json& FakeApi::State::Store(const meta::Resource& resource, json next, base::WallTime now) {
  auto& kind = objects[resource.GroupResource()];
  const meta::Key key = KeyOf(next);
  next["apiVersion"] = resource.ApiVersion();
  next["kind"] = resource.kind;
  json& metadata = next["metadata"];
  const auto found = kind.find(key);
  if (found == kind.end()) {
    metadata["uid"] = fmt::format("uid-{}", ++uids);
    metadata["creationTimestamp"] = base::FormatRfc3339(now);
    metadata["generation"] = 1;
    metadata["resourceVersion"] = std::to_string(++version);
    Record(resource.GroupResource(), "ADDED", next, nullptr);
    return kind[key] = std::move(next);
  }
  json& stored = found->second;
  for (const char* fixed : {"uid", "creationTimestamp", "generation", "deletionTimestamp"}) {
    if (stored["metadata"].contains(fixed)) metadata[fixed] = stored["metadata"][fixed];
  }
  metadata["resourceVersion"] = stored["metadata"]["resourceVersion"];
  if (WithoutVolatile(next) == WithoutVolatile(stored)) return stored;
  if (SpecPart(next) != SpecPart(stored)) {
    metadata["generation"] = stored["metadata"].value("generation", 0) + 1;
  }
  metadata["resourceVersion"] = std::to_string(++version);
  std::swap(stored, next);
  if (stored["metadata"].contains("deletionTimestamp") &&
      (!stored["metadata"].contains("finalizers") || stored["metadata"]["finalizers"].empty())) {
    return Remove(resource.GroupResource(), key);
  }
  Record(resource.GroupResource(), "MODIFIED", stored, next);
  return stored;
}

const json& FakeApi::State::Remove(const std::string& resource, const meta::Key& key) {
  static thread_local json last;
  auto& kind = objects[resource];
  const json was = kind[key];
  last = was;
  last["metadata"]["resourceVersion"] = std::to_string(++version);
  kind.erase(key);
  Record(resource, "DELETED", last, was);
  std::erase_if(applied, [&](const auto& entry) {
    return entry.first.rfind(resource + "/" + key.ToString() + "/", 0) == 0;
  });
  return last;
}

void FakeApi::State::BeginDelete(const meta::Resource& resource, const meta::Key& key,
                                 base::WallTime now) {
  json& stored = objects[resource.GroupResource()][key];
  json& metadata = stored["metadata"];
  if (!metadata.contains("finalizers") || metadata["finalizers"].empty()) {
    Remove(resource.GroupResource(), key);
  } else if (!metadata.contains("deletionTimestamp")) {
    const json was = stored;
    metadata["deletionTimestamp"] = base::FormatRfc3339(now);
    metadata["generation"] = metadata.value("generation", 0) + 1;
    metadata["resourceVersion"] = std::to_string(++version);
    Record(resource.GroupResource(), "MODIFIED", stored, was);
  }
}

void FakeApi::State::EndForeground(json& stored) {
  json& metadata = stored["metadata"];
  if (!metadata.contains("deletionTimestamp") || !metadata.contains("finalizers")) return;
  json& finalizers = metadata["finalizers"];
  finalizers.erase(std::remove(finalizers.begin(), finalizers.end(), "foregroundDeletion"),
                   finalizers.end());
}

json* FakeApi::State::Find(const meta::Resource& resource, const meta::Key& key) {
  auto& kind = objects[resource.GroupResource()];
  const auto found = kind.find(key);
  return found == kind.end() ? nullptr : &found->second;
}

}  // namespace sluice::testing_kit
