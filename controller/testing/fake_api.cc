#include "controller/testing/fake_api.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>

#include "controller/base/time_format.h"
#include "controller/testing/fake_merge.h"
#include "controller/testing/limits.h"

namespace sluice::testing_kit {

using base::Status;
using base::StatusOr;
using nlohmann::json;

namespace {

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
  return base::Aborted(fmt::format("{} \"{}\": {} does not match", resource.GroupResource(),
                                   key.name, what))
      .WithReason("Conflict");
}

}  // namespace

struct FakeApi::State {
  struct Event {
    std::int64_t version;
    std::string resource;
    std::string type;
    json object;
  };
  std::map<std::string, std::map<meta::Key, json>> objects;  // by GroupResource
  std::map<std::string, json> applied;  // by resource/key/manager/subresource
  std::map<std::string, meta::Resource> resources;
  std::deque<Event> history;
  std::int64_t version = 1000;
  std::int64_t oldest = 1000;  // watches from below get 410
  std::int64_t uids = 0;
  std::vector<Call> calls;
  Fault before, after;
  RawHandler raw;
  bool stopped = false;

  void Record(const std::string& resource, const char* type, const json& object) {
    history.push_back({version, resource, type, object});
    if (history.size() > kMaxFakeHistory) {
      oldest = history.front().version;
      history.pop_front();
    }
  }

  // Stores `next` over what is there (if anything), as any successful write does.
  const json& Store(const meta::Resource& resource, json next, base::WallTime now) {
    resources[resource.GroupResource()] = resource;
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
      Record(resource.GroupResource(), "ADDED", next);
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
    stored = std::move(next);
    if (stored["metadata"].contains("deletionTimestamp") &&
        (!stored["metadata"].contains("finalizers") || stored["metadata"]["finalizers"].empty())) {
      return Remove(resource.GroupResource(), key);
    }
    Record(resource.GroupResource(), "MODIFIED", stored);
    return stored;
  }

  const json& Remove(const std::string& resource, const meta::Key& key) {
    static thread_local json last;
    auto& kind = objects[resource];
    last = kind[key];
    last["metadata"]["resourceVersion"] = std::to_string(++version);
    kind.erase(key);
    Record(resource, "DELETED", last);
    std::erase_if(applied, [&](const auto& entry) {
      return entry.first.rfind(resource + "/" + key.ToString() + "/", 0) == 0;
    });
    return last;
  }

  void BeginDelete(const meta::Resource& resource, const meta::Key& key, base::WallTime now) {
    json& stored = objects[resource.GroupResource()][key];
    json& metadata = stored["metadata"];
    if (!metadata.contains("finalizers") || metadata["finalizers"].empty()) {
      Remove(resource.GroupResource(), key);
    } else if (!metadata.contains("deletionTimestamp")) {
      metadata["deletionTimestamp"] = base::FormatRfc3339(now);
      metadata["generation"] = metadata.value("generation", 0) + 1;
      metadata["resourceVersion"] = std::to_string(++version);
      Record(resource.GroupResource(), "MODIFIED", stored);
    }
  }

  // A deletion in the background takes the place of one in the foreground that is under way.
  static void EndForeground(json& stored) {
    json& metadata = stored["metadata"];
    if (!metadata.contains("deletionTimestamp") || !metadata.contains("finalizers")) return;
    json& finalizers = metadata["finalizers"];
    finalizers.erase(std::remove(finalizers.begin(), finalizers.end(), "foregroundDeletion"),
                     finalizers.end());
  }

  json* Find(const meta::Resource& resource, const meta::Key& key) {
    auto& kind = objects[resource.GroupResource()];
    const auto found = kind.find(key);
    return found == kind.end() ? nullptr : &found->second;
  }
};

FakeApi::FakeApi(base::Clock& clock) : clock_(clock), state_(std::make_unique<State>()) {}
FakeApi::~FakeApi() = default;

Status FakeApi::Enter(const Call& call) {
  Fault fault;
  {
    const std::lock_guard lock(mutex_);
    if (state_->stopped) return base::Cancelled("client stopped");
    state_->calls.push_back(call);
    fault = state_->before;
  }
  if (fault) {
    if (auto status = fault(call)) return *status;
  }
  return base::OkStatus();
}

StatusOr<meta::ObjectPtr> FakeApi::Leave(const Call& call, const json& object) {
  changed_.notify_all();
  Fault fault;
  {
    const std::lock_guard lock(mutex_);
    fault = state_->after;
  }
  if (fault) {
    if (auto status = fault(call)) return *status;
  }
  return meta::Object::FromJson(object);
}

meta::ObjectPtr FakeApi::Put(const meta::Resource& resource, const json& object) {
  const std::lock_guard lock(mutex_);
  json next = object;
  if (json* stored = state_->Find(resource, KeyOf(object));
      stored != nullptr && stored->contains("status") && !object.contains("status")) {
    next["status"] = (*stored)["status"];
  }
  auto out = meta::Object::FromJson(state_->Store(resource, std::move(next), clock_.Wall()));
  changed_.notify_all();
  return std::move(out).value();
}

meta::ObjectPtr FakeApi::PutStatus(const meta::Resource& resource, const meta::Key& key,
                                   const json& status) {
  const std::lock_guard lock(mutex_);
  json* stored = state_->Find(resource, key);
  SLUICE_CHECK(stored != nullptr);
  json next = *stored;
  next["status"] = status;
  auto out = meta::Object::FromJson(state_->Store(resource, std::move(next), clock_.Wall()));
  changed_.notify_all();
  return std::move(out).value();
}

json FakeApi::Look(const meta::Resource& resource, const meta::Key& key) const {
  const std::lock_guard lock(mutex_);
  const json* stored = state_->Find(resource, key);
  return stored == nullptr ? json() : *stored;
}

std::vector<json> FakeApi::LookAll(const meta::Resource& resource) const {
  const std::lock_guard lock(mutex_);
  std::vector<json> out;
  for (const auto& [key, object] : state_->objects[resource.GroupResource()]) out.push_back(object);
  return out;
}

int FakeApi::CollectGarbage() {
  const std::lock_guard lock(mutex_);
  int removed = 0;
  for (bool again = true; again;) {
    again = false;
    std::set<std::string> alive;
    for (const auto& [resource, kind] : state_->objects) {
      for (const auto& [key, object] : kind) alive.insert(Text(Meta(object), "uid"));
    }
    for (auto& [resource, kind] : state_->objects) {
      for (const auto& [key, object] : kind) {
        const json owners = Meta(object).value("ownerReferences", json::array());
        const bool orphan =
            !owners.empty() && std::none_of(owners.begin(), owners.end(), [&](const json& owner) {
              return alive.contains(Text(owner, "uid"));
            });
        const bool ending = Meta(object).contains("deletionTimestamp");
        if (!orphan || ending) continue;
        const meta::Resource named = state_->resources[resource];
        state_->BeginDelete(named, meta::Key(key), clock_.Wall());
        ++removed;
        again = true;
        break;
      }
      if (again) break;
    }
  }
  changed_.notify_all();
  return removed;
}

void FakeApi::ForgetHistory() {
  const std::lock_guard lock(mutex_);
  state_->history.clear();
  state_->oldest = ++state_->version;
  changed_.notify_all();
}

void FakeApi::FailBefore(Fault fault) {
  const std::lock_guard lock(mutex_);
  state_->before = std::move(fault);
}

void FakeApi::FailAfter(Fault fault) {
  const std::lock_guard lock(mutex_);
  state_->after = std::move(fault);
}

void FakeApi::OnRaw(RawHandler handler) {
  const std::lock_guard lock(mutex_);
  state_->raw = std::move(handler);
}

std::vector<Call> FakeApi::calls() const {
  const std::lock_guard lock(mutex_);
  return state_->calls;
}

int FakeApi::writes() const {
  const std::lock_guard lock(mutex_);
  return static_cast<int>(std::count_if(state_->calls.begin(), state_->calls.end(),
                                        [](const Call& call) { return call.IsWrite(); }));
}

void FakeApi::ForgetCalls() {
  const std::lock_guard lock(mutex_);
  state_->calls.clear();
}

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
    next["metadata"]["name"] = fmt::format("{}{:05}", Text(Meta(next), "generateName"),
                                           ++state_->uids);
  }
  const Call call{"create", resource.GroupResource(), KeyOf(next)};
  SLUICE_RETURN_IF_ERROR(Enter(call));
  json stored;
  {
    const std::lock_guard lock(mutex_);
    if (state_->Find(resource, call.key) != nullptr) {
      return base::AlreadyExists(fmt::format("{} \"{}\" already exists", resource.GroupResource(),
                                             call.key.name))
          .WithReason("AlreadyExists");
    }
    next["metadata"].erase("resourceVersion");
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
    if (stored == nullptr) return Missing(resource, call.key);
    if (Text(Meta(object), "resourceVersion") != Text(Meta(*stored), "resourceVersion")) {
      return Stale(resource, call.key, "resourceVersion");
    }
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
    for (const char* condition : {"uid", "resourceVersion"}) {
      const std::string wanted = Text(Meta(object), condition);
      if (wanted.empty()) continue;
      if (stored == nullptr) return Missing(resource, call.key);
      if (wanted != Text(Meta(*stored), condition)) return Stale(resource, call.key, condition);
    }
    json applied = object;
    applied.erase("status");
    applied["metadata"].erase("resourceVersion");
    json& last = state_->applied[resource.GroupResource() + "/" + call.key.ToString() + "/" +
                                 options.field_manager + "/"];
    json next = stored == nullptr ? applied : MergeApplied(*stored, applied, last);
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
    if (const std::string wanted = Text(Meta(patch.is_object() ? patch : json::object()),
                                        "resourceVersion");
        !wanted.empty() && wanted != Text(Meta(*stored), "resourceVersion")) {
      return Stale(resource, key, "resourceVersion");
    }
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
    for (const char* condition : {"uid", "resourceVersion"}) {
      const std::string wanted = Text(Meta(object), condition);
      if (!wanted.empty() && wanted != Text(Meta(*stored), condition)) {
        return Stale(resource, call.key, condition);
      }
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
    if (Text(Meta(object), "resourceVersion") != Text(Meta(*stored), "resourceVersion")) {
      return Stale(resource, call.key, "resourceVersion");
    }
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
      lines.push_back(event("BOOKMARK", {{"apiVersion", resource.ApiVersion()},
                                         {"kind", resource.kind},
                                         {"metadata",
                                          {{"resourceVersion", std::to_string(seen)},
                                           {"annotations",
                                            {{"k8s.io/initial-events-end", "true"}}}}}}));
    }
    lock.unlock();
    for (const auto& text : lines) {
      if (!line(text)) return base::Cancelled("watch ended by its reader");
    }
    lock.lock();
  } else {
    seen = std::stoll(options.resource_version);
    if (seen < state_->oldest) {
      return base::OutOfRange("too old resource version").WithReason("Expired");
    }
  }
  while (true) {
    if (stop.stop_requested() || state_->stopped) return base::Cancelled("watch stopped");
    if (seen < state_->oldest) {
      lock.unlock();
      line(event("ERROR", {{"kind", "Status"}, {"apiVersion", "v1"}, {"status", "Failure"},
                           {"code", 410}, {"reason", "Expired"}, {"message", "too old"}}));
      return base::OkStatus();
    }
    std::vector<std::string> lines;
    for (const auto& entry : state_->history) {
      if (entry.version <= seen) continue;
      if (entry.resource == resource.GroupResource() && matches(entry.object)) {
        lines.push_back(event(entry.type.c_str(), entry.object));
      }
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

StatusOr<std::string> FakeApi::Raw(std::string_view method, std::string_view path,
                                   std::string_view body) {
  RawHandler handler;
  {
    const std::lock_guard lock(mutex_);
    if (state_->stopped) return base::Cancelled("client stopped");
    handler = state_->raw;
  }
  if (!handler) return base::Unimplemented(fmt::format("{} {}", method, path));
  return handler(method, path, body);
}

void FakeApi::Stop() {
  const std::lock_guard lock(mutex_);
  state_->stopped = true;
  changed_.notify_all();
}

}  // namespace sluice::testing_kit
