#include "reconcilers/common/applier.h"

#include <functional>
#include <nlohmann/json.hpp>

#include "controller/meta/json_scanner.h"
#include "controller/meta/semantic.h"
#include "reconcilers/common/resources.h"
#include "reconcilers/common/status_write.h"

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

// Never 0.
std::size_t HashOf(std::string_view uid, std::string_view text) {
  const std::hash<std::string_view> hash;
  return (hash(uid) * 31 + hash(text)) | 1;
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
  Remember(id, {hash});
  return Written{std::move(answer), true};
}

base::StatusOr<Applier::Written> Applier::ApplyStatus(const meta::Resource& resource,
                                                      const meta::Object& live,
                                                      const nlohmann::json& status) {
  const std::string id = IdOf(resource, live.key(), "/status");
  const std::string text = status.dump();
  const std::size_t hash = HashOf(live.uid(), text);
  if (const auto memory = Remembered(id, hash)) {
    const std::string_view now = live.status_json();
    const std::size_t found_in = HashOf(live.uid(), now);
    if (memory->found_in == found_in) return Written{nullptr, false};
    const auto tree = now.empty() ? nlohmann::json::object() : nlohmann::json::parse(now);
    if (meta::Contains(tree, status, kListKeys)) {
      Remember(id, {hash, found_in});
      return Written{nullptr, false};
    }
  }
  Forget(id);
  SLUICE_ASSIGN_OR_RETURN(meta::ObjectPtr answer,
                          WriteStatus(api_, resource, live, text, field_manager_));
  Remember(id, {hash});
  return Written{std::move(answer), true};
}

void Applier::Forget(const meta::Resource& resource, const meta::Key& key) {
  const std::lock_guard lock(mutex_);
  applied_.erase(IdOf(resource, key, ""));
  applied_.erase(IdOf(resource, key, "/status"));
}

void Applier::ForgetNamespace(const std::string& ns) {
  const std::string within = "/" + ns + "/";
  const std::lock_guard lock(mutex_);
  std::erase_if(applied_, [&](const auto& e) { return e.first.find(within) != std::string::npos; });
  applied_.erase(IdOf(kNamespaces, {"", ns}, ""));
}

std::optional<Applier::Memory> Applier::Remembered(const std::string& id,
                                                   std::size_t wanted) const {
  const std::lock_guard lock(mutex_);
  const auto found = applied_.find(id);
  if (found == applied_.end() || found->second.wanted != wanted) return std::nullopt;
  return found->second;
}

void Applier::Forget(const std::string& id) {
  const std::lock_guard lock(mutex_);
  applied_.erase(id);
}

void Applier::Remember(const std::string& id, Memory memory) {
  const std::lock_guard lock(mutex_);
  if (applied_.size() >= kMaxRemembered) applied_.clear();  // costs one idle write an object
  applied_[id] = memory;
}

}  // namespace sluice::common
