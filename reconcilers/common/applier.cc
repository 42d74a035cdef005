#include "reconcilers/common/applier.h"

#include <functional>
#include <nlohmann/json.hpp>

#include "controller/meta/semantic.h"

namespace sluice::common {
namespace {

// Lists of our kinds' status that several controllers write together, one entry each.
constexpr std::string_view kListKeys[] = {"gate", "node"};
constexpr std::size_t kMaxRemembered = 200'000;

std::string IdOf(const meta::Resource& resource, const meta::Key& key, const char* part) {
  return resource.GroupResource() + "/" + key.ToString() + part;
}

meta::Key KeyOf(const nlohmann::json& object) {
  const nlohmann::json& metadata = object.at("metadata");
  return {metadata.value("namespace", ""), metadata.at("name").get<std::string>()};
}

}  // namespace

base::StatusOr<Applier::Written> Applier::Apply(const meta::Resource& resource,
                                                const nlohmann::json& wanted,
                                                const meta::ObjectPtr& live) {
  const std::string id = IdOf(resource, KeyOf(wanted), "");
  const std::size_t hash = std::hash<std::string>()(wanted.dump());
  if (live != nullptr && Remembered(id, hash) && meta::Contains(live->ToJson(), wanted)) {
    return Written{live, false};
  }
  client::ApplyOptions options;
  options.field_manager = field_manager_;
  options.force = true;  // what we own is ours: an edit by hand is drift
  Forget(id);
  SLUICE_ASSIGN_OR_RETURN(meta::ObjectPtr answer, api_.Apply(resource, wanted, options));
  Remember(id, hash);
  return Written{std::move(answer), true};
}

base::StatusOr<Applier::Written> Applier::ApplyStatus(const meta::Resource& resource,
                                                      const meta::Object& live,
                                                      const nlohmann::json& status) {
  const std::string id = IdOf(resource, live.key(), "/status");
  const std::size_t hash = std::hash<std::string>()(std::string(live.uid()) + status.dump());
  const nlohmann::json now = live.ToJson();
  if (Remembered(id, hash) &&
      meta::Contains(now.value("status", nlohmann::json::object()), status, kListKeys)) {
    return Written{nullptr, false};
  }
  nlohmann::json body = {{"apiVersion", resource.ApiVersion()},
                         {"kind", resource.kind},
                         {"metadata", {{"name", live.name()}, {"uid", live.uid()}}},
                         {"status", status}};
  if (!live.ns().empty()) body["metadata"]["namespace"] = live.ns();
  client::ApplyOptions options;
  options.field_manager = field_manager_;
  options.force = true;
  Forget(id);
  SLUICE_ASSIGN_OR_RETURN(meta::ObjectPtr answer, api_.ApplyStatus(resource, body, options));
  Remember(id, hash);
  return Written{std::move(answer), true};
}

void Applier::Forget(const meta::Resource& resource, const meta::Key& key) {
  const std::lock_guard lock(mutex_);
  applied_.erase(IdOf(resource, key, ""));
  applied_.erase(IdOf(resource, key, "/status"));
}

bool Applier::Remembered(const std::string& id, std::size_t hash) const {
  const std::lock_guard lock(mutex_);
  const auto found = applied_.find(id);
  return found != applied_.end() && found->second == hash;
}

void Applier::Forget(const std::string& id) {
  const std::lock_guard lock(mutex_);
  applied_.erase(id);
}

void Applier::Remember(const std::string& id, std::size_t hash) {
  const std::lock_guard lock(mutex_);
  if (applied_.size() >= kMaxRemembered) applied_.clear();  // costs one idle write an object
  applied_[id] = hash;
}

}  // namespace sluice::common
