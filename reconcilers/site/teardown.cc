#include "reconcilers/site/teardown.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "controller/base/time_format.h"
#include "controller/meta/owner.h"
#include "reconcilers/common/resources.h"
#include "reconcilers/site/clusters.h"
#include "reconcilers/site/limits.h"
#include "reconcilers/site/objects.h"

namespace sluice::site {
namespace {

using nlohmann::json;

base::Status Delete(client::Client& api, const meta::Resource& resource, const meta::Object& live,
                    client::Propagation how) {
  base::Status status = api.Delete(resource, live.key(), {{std::string(live.uid()), ""}, how});
  return status.code() == base::Code::kNotFound ? base::OkStatus() : status;
}

// When its deletion began; `now` when it has not.
base::WallTime DeletedAt(const meta::Object& object, base::WallTime now) {
  const auto at =
      base::ParseRfc3339(object.ToJson().value("/metadata/deletionTimestamp"_json_pointer, ""));
  return at.ok() ? *at : now;
}

// What the namespace controller says of what is left, as far as it says anything.
std::string Remaining(const meta::Object& ns) {
  std::string out;
  const json object = ns.ToJson();
  for (const json& condition : object.value("/status/conditions"_json_pointer, json::array())) {
    const std::string message = condition.value("message", "");
    if (condition.value("status", "") == "True" && !message.empty()) out += "; " + message;
  }
  return out;
}

base::StatusOr<Pending> EndAgents(client::Client& api, const meta::Object& daemon_set,
                                  base::WallTime now) {
  const base::WallTime since = DeletedAt(daemon_set, now);
  Pending pending{"WaitingForAgents",
                  fmt::format("the agents drain: DaemonSet {} is being deleted since {}",
                              daemon_set.key().ToString(), base::FormatRfc3339(since))};
  if (!daemon_set.deleting()) {
    SLUICE_RETURN_IF_ERROR(
        Delete(api, common::kDaemonSets, daemon_set, client::Propagation::kForeground));
  } else if (now - since >= kForegroundPatience) {
    SLUICE_RETURN_IF_ERROR(
        Delete(api, common::kDaemonSets, daemon_set, client::Propagation::kBackground));
    pending.message += fmt::format(
        "; after {} its pods are waited for no longer and are left to the garbage collector (is "
        "a node gone?)",
        base::FormatDuration(kForegroundPatience));
  }
  return pending;
}

}  // namespace

bool IsControlledBy(const meta::Object& object, const meta::Object& site) {
  if (IsElsewhere(site)) return object.Annotation(kSiteUidAnnotation) == std::string(site.uid());
  const auto owner = meta::ControllerOf(object);
  return owner && owner->RefersTo(common::kSites) && owner->uid == site.uid();
}

base::StatusOr<meta::ObjectPtr> LookLive(client::Client& api, const meta::Resource& resource,
                                         const meta::Key& key) {
  base::StatusOr<meta::ObjectPtr> live = api.Get(resource, key);
  if (live.status().code() == base::Code::kNotFound) return meta::ObjectPtr();
  return live;
}

base::StatusOr<std::optional<Pending>> TearDownObjects(client::Client& api,
                                                       const meta::Object& site,
                                                       base::WallTime now) {
  const std::string name = NamespaceOf(std::string(site.name()));
  SLUICE_ASSIGN_OR_RETURN(const meta::ObjectPtr daemon_set,
                          LookLive(api, common::kDaemonSets, {name, kAgentName}));
  if (daemon_set != nullptr && IsControlledBy(*daemon_set, site)) {
    SLUICE_ASSIGN_OR_RETURN(Pending pending, EndAgents(api, *daemon_set, now));
    return std::optional<Pending>(std::move(pending));
  }
  SLUICE_ASSIGN_OR_RETURN(const meta::ObjectPtr ns, LookLive(api, common::kNamespaces, {"", name}));
  if (ns == nullptr || !IsControlledBy(*ns, site)) return std::optional<Pending>();
  if (!ns->deleting()) {
    SLUICE_RETURN_IF_ERROR(Delete(api, common::kNamespaces, *ns, client::Propagation::kBackground));
  }
  return std::optional<Pending>(
      Pending{"WaitingForNamespace",
              fmt::format("namespace {} is being deleted since {}{}", name,
                          base::FormatRfc3339(DeletedAt(*ns, now)), Remaining(*ns))});
}

}  // namespace sluice::site
