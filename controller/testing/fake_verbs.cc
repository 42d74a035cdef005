// The verbs of FakeApi: what a client of a real API server could ask, too.
#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "controller/testing/fake_api.h"
#include "controller/testing/fake_merge.h"
#include "controller/testing/fake_state.h"

namespace sluice::testing_kit {

using base::Status;
using base::StatusOr;
using nlohmann::json;

using fake::Invalid;
using fake::KeyOf;
using fake::Matches;
using fake::Meta;
using fake::Missing;
using fake::RefusedFinalizers;
using fake::RefusedUpdate;
using fake::Stale;
using fake::Text;

StatusOr<meta::ObjectPtr> FakeApi::Get(const meta::Resource& resource, const meta::Key& key) {
  SLUICE_RETURN_IF_ERROR(Enter({"get", resource.GroupResource(), key}));
  const json found = Look(resource, key);
  if (found.is_null()) return Missing(resource, key);
  return meta::Object::FromJson(found);
}

StatusOr<client::ObjectList> FakeApi::List(const meta::Resource& resource,
                                           const client::ListOptions& options) {
  SLUICE_RETURN_IF_ERROR(Enter({"list", resource.GroupResource(), {options.ns, ""}}));
  const std::lock_guard lock(mutex_);
  client::ObjectList out;
  out.resource_version = std::to_string(state_->version);
  for (const auto& [key, object] : state_->objects[resource.GroupResource()]) {
    if (!Matches(object, options.ns, options.label_selector, options.field_selector)) continue;
    SLUICE_ASSIGN_OR_RETURN(auto item, meta::Object::FromJson(object));
    out.items.push_back(std::move(item));
  }
  return out;
}

StatusOr<meta::ObjectPtr> FakeApi::Create(const meta::Resource& resource, const json& object) {
  json next = object;
  if (KeyOf(next).name.empty() && Meta(next).contains("generateName")) {
    const std::lock_guard lock(mutex_);
    next["metadata"]["name"] =
        fmt::format("{}{:05}", Text(Meta(next), "generateName"), ++state_->uids);
  }
  const Call call{"create", resource.GroupResource(), KeyOf(next)};
  SLUICE_RETURN_IF_ERROR(Enter(call));
  json stored;
  {
    const std::lock_guard lock(mutex_);
    if (state_->Find(resource, call.key) != nullptr) {
      return base::AlreadyExists(
                 fmt::format("{} \"{}\" already exists", resource.GroupResource(), call.key.name))
          .WithReason("AlreadyExists");
    }
    next["metadata"].erase("resourceVersion");
    next.erase("status");
    stored = state_->Store(resource, std::move(next), clock_.Wall());
  }
  return Leave(call, stored);
}

StatusOr<meta::ObjectPtr> FakeApi::Update(const meta::Resource& resource, const json& object) {
  const Call call{"update", resource.GroupResource(), KeyOf(object)};
  SLUICE_RETURN_IF_ERROR(Enter(call));
  json result;
  {
    const std::lock_guard lock(mutex_);
    json* stored = state_->Find(resource, call.key);
    if (stored == nullptr) {
      // A Lease is of the kinds that an update may make: there the uid alone is not met.
      const bool may_make = resource.group == "coordination.k8s.io";
      return may_make ? Stale(resource, call.key, "uid") : Missing(resource, call.key);
    }
    SLUICE_RETURN_IF_ERROR(RefusedUpdate(resource, *stored, object));
    SLUICE_RETURN_IF_ERROR(RefusedFinalizers(resource, *stored, object));
    json next = object;
    next.erase("status");
    if (stored->contains("status")) next["status"] = (*stored)["status"];
    result = state_->Store(resource, std::move(next), clock_.Wall());
  }
  return Leave(call, result);
}

StatusOr<meta::ObjectPtr> FakeApi::Apply(const meta::Resource& resource, const json& object,
                                         const client::ApplyOptions& options) {
  const Call call{options.dry_run ? "get" : "apply", resource.GroupResource(), KeyOf(object)};
  SLUICE_RETURN_IF_ERROR(Enter(call));
  json result;
  {
    const std::lock_guard lock(mutex_);
    json* stored = state_->Find(resource, call.key);
    const std::string version = Text(Meta(object), "resourceVersion");
    const std::string uid = Text(Meta(object), "uid");
    if (stored == nullptr) {  // whose version is compared with nothing
      if (!uid.empty()) return Stale(resource, call.key, "uid");
    } else if (!version.empty() && version != Text(Meta(*stored), "resourceVersion")) {
      return Stale(resource, call.key, "resourceVersion");
    } else if (!uid.empty() && uid != Text(Meta(*stored), "uid")) {
      return Invalid(resource, call.key, "metadata.uid: field is immutable");
    }
    json applied = object;
    applied.erase("status");
    applied["metadata"].erase("resourceVersion");
    json& last = state_->applied[resource.GroupResource() + "/" + call.key.ToString() + "/" +
                                 options.field_manager + "/"];
    json next = stored == nullptr ? applied : MergeApplied(*stored, applied, last);
    if (stored != nullptr) SLUICE_RETURN_IF_ERROR(RefusedFinalizers(resource, *stored, next));
    if (options.dry_run) return meta::Object::FromJson(next);
    last = std::move(applied);
    result = state_->Store(resource, std::move(next), clock_.Wall());
  }
  return Leave(call, result);
}

StatusOr<meta::ObjectPtr> FakeApi::Patch(const meta::Resource& resource, const meta::Key& key,
                                         client::PatchType type, const json& patch) {
  const Call call{"patch", resource.GroupResource(), key};
  SLUICE_RETURN_IF_ERROR(Enter(call));
  json result;
  {
    const std::lock_guard lock(mutex_);
    json* stored = state_->Find(resource, key);
    if (stored == nullptr) return Missing(resource, key);
    json next = *stored;
    if (type == client::PatchType::kMerge) {
      next.merge_patch(patch);
    } else {
      try {
        next = next.patch(patch);
      } catch (const json::exception& error) {
        return base::InvalidArgument(error.what()).WithReason("Invalid");
      }
    }
    if (const std::string wanted =
            Text(Meta(patch.is_object() ? patch : json::object()), "resourceVersion");
        !wanted.empty() && wanted != Text(Meta(*stored), "resourceVersion")) {
      return Stale(resource, key, "resourceVersion");
    }
    SLUICE_RETURN_IF_ERROR(RefusedFinalizers(resource, *stored, next));
    next.erase("status");
    if (stored->contains("status")) next["status"] = (*stored)["status"];
    result = state_->Store(resource, std::move(next), clock_.Wall());
  }
  return Leave(call, result);
}

Status FakeApi::Delete(const meta::Resource& resource, const meta::Key& key,
                       const client::DeleteOptions& options) {
  const Call call{"delete", resource.GroupResource(), key};
  SLUICE_RETURN_IF_ERROR(Enter(call));
  json last;
  {
    const std::lock_guard lock(mutex_);
    json* stored = state_->Find(resource, key);
    if (stored == nullptr) return Missing(resource, key);
    const auto& wanted = options.preconditions;
    if (!wanted.uid.empty() && wanted.uid != Text(Meta(*stored), "uid")) {
      return Stale(resource, key, "uid");
    }
    if (!wanted.resource_version.empty() &&
        wanted.resource_version != Text(Meta(*stored), "resourceVersion")) {
      return Stale(resource, key, "resourceVersion");
    }
    last = *stored;
    if (options.propagation == client::Propagation::kBackground) state_->EndForeground(*stored);
    state_->BeginDelete(resource, key, clock_.Wall());
  }
  const auto left = Leave(call, last);
  return left.ok() ? base::OkStatus() : left.status();
}

StatusOr<meta::ObjectPtr> FakeApi::ApplyStatus(const meta::Resource& resource, const json& object,
                                               const client::ApplyOptions& options) {
  const Call call{"apply-status", resource.GroupResource(), KeyOf(object)};
  SLUICE_RETURN_IF_ERROR(Enter(call));
  json result;
  {
    const std::lock_guard lock(mutex_);
    json* stored = state_->Find(resource, call.key);
    if (stored == nullptr) return Missing(resource, call.key);
    // A uid is no precondition here: the server takes all of metadata from what is there.
    if (const std::string wanted = Text(Meta(object), "resourceVersion");
        !wanted.empty() && wanted != Text(Meta(*stored), "resourceVersion")) {
      return Stale(resource, call.key, "resourceVersion");
    }
    const json applied = object.value("status", json::object());
    json& last = state_->applied[resource.GroupResource() + "/" + call.key.ToString() + "/" +
                                 options.field_manager + "/status"];
    json next = *stored;
    next["status"] = MergeApplied(stored->value("status", json::object()), applied, last);
    last = applied;
    result = state_->Store(resource, std::move(next), clock_.Wall());
  }
  return Leave(call, result);
}

StatusOr<meta::ObjectPtr> FakeApi::UpdateStatus(const meta::Resource& resource,
                                                const json& object) {
  const Call call{"update-status", resource.GroupResource(), KeyOf(object)};
  SLUICE_RETURN_IF_ERROR(Enter(call));
  json result;
  {
    const std::lock_guard lock(mutex_);
    json* stored = state_->Find(resource, call.key);
    if (stored == nullptr) return Missing(resource, call.key);
    SLUICE_RETURN_IF_ERROR(RefusedUpdate(resource, *stored, object));
    json next = *stored;
    next["status"] = object.value("status", json::object());
    result = state_->Store(resource, std::move(next), clock_.Wall());
  }
  return Leave(call, result);
}

// Lines leave without the lock held, so a handler may call the fake.
Status FakeApi::Watch(const meta::Resource& resource, const client::WatchOptions& options,
                      const client::WatchLine& line, std::stop_token stop) {
  SLUICE_RETURN_IF_ERROR(Enter({"watch", resource.GroupResource(), {options.ns, ""}}));
  const std::stop_callback wake(stop, [this] {
    const std::lock_guard lock(mutex_);
    changed_.notify_all();
  });
  const auto event = [](const char* type, const json& object) {
    return json{{"type", type}, {"object", object}}.dump();
  };
  const auto matches = [&](const json& object) {
    return Matches(object, options.ns, options.label_selector, options.field_selector);
  };
  std::unique_lock lock(mutex_);
  std::int64_t seen = state_->version;
  if (options.send_initial_events || options.resource_version.empty()) {
    std::vector<std::string> lines;
    for (const auto& [key, object] : state_->objects[resource.GroupResource()]) {
      if (matches(object)) lines.push_back(event("ADDED", object));
    }
    if (options.send_initial_events) {
      lines.push_back(
          event("BOOKMARK", {{"apiVersion", resource.ApiVersion()},
                             {"kind", resource.kind},
                             {"metadata",
                              {{"resourceVersion", std::to_string(seen)},
                               {"annotations", {{"k8s.io/initial-events-end", "true"}}}}}}));
    }
    lock.unlock();
    for (const auto& text : lines) {
      if (!line(text)) return base::Cancelled("watch ended by its reader");
    }
    lock.lock();
  } else {
    seen = std::stoll(options.resource_version);
  }
  while (true) {
    if (stop.stop_requested() || state_->stopped) return base::Cancelled("watch stopped");
    if (seen < state_->oldest) {
      lock.unlock();
      line(event("ERROR", {{"kind", "Status"},
                           {"apiVersion", "v1"},
                           {"status", "Failure"},
                           {"code", 410},
                           {"reason", "Expired"},
                           {"message", "too old"}}));
      return base::OkStatus();
    }
    std::vector<std::string> lines;
    for (const auto& entry : state_->history) {
      if (entry.version <= seen) continue;
      if (entry.resource != resource.GroupResource()) continue;
      // To whoever selects, an object comes and goes with what it is selected by.
      const bool had = !entry.was.is_null() && matches(entry.was);
      const bool has = entry.type != "DELETED" && matches(entry.object);
      if (had || has)
        lines.push_back(event(!has ? "DELETED" : !had ? "ADDED" : "MODIFIED", entry.object));
    }
    seen = state_->version;
    if (lines.empty()) {
      changed_.wait(lock);
      continue;
    }
    lock.unlock();
    for (const auto& text : lines) {
      if (!line(text)) return base::Cancelled("watch ended by its reader");
    }
    lock.lock();
  }
}

}  // namespace sluice::testing_kit
