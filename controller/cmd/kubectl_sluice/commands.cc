#include "controller/cmd/kubectl_sluice/commands.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "controller/cmd/kubectl_sluice/chain.h"
#include "controller/cmd/kubectl_sluice/json_form.h"
#include "reconcilers/common/resources.h"

namespace sluice::kubectl {
namespace {

using nlohmann::json;

std::string At(const json& object, const char* pointer) {
  return object.value(json::json_pointer(pointer), std::string());
}

base::Status NoSuchSite(client::Reader& api, const std::string& name) {
  std::string names;
  if (const auto sites = api.List(common::kSites, {}); sites.ok()) {
    for (const meta::ObjectPtr& site : sites->items) {
      if (names.size() > 200) {
        names += ", …";
        break;
      }
      names += (names.empty() ? "" : ", ") + std::string(site->name());
    }
  }
  return base::NotFound(fmt::format("site \"{}\" does not exist; there {}", name,
                                    names.empty() ? "are none" : "are: " + names));
}

// The object, or nullptr when it does not exist.
base::StatusOr<meta::ObjectPtr> GetIfThere(client::Reader& api, const meta::Resource& resource,
                                           const std::string& name) {
  if (name.empty()) return meta::ObjectPtr();
  auto object = api.Get(resource, {"", name});
  if (!object.ok() && object.status().code() == base::Code::kNotFound) return meta::ObjectPtr();
  return object;
}

SiteLine LineOf(const meta::Object& site) {
  const json object = site.ToJson();
  const json status = object.value("status", json::object());
  SiteLine line;
  line.site = std::string(site.name());
  line.stage = status.value("stage", "-");
  line.wants = At(object, "/spec/stage");
  line.ready = "Unknown";
  for (const json& condition : status.value("conditions", json::array())) {
    if (condition.value("type", "") == "Ready") line.ready = condition.value("status", "Unknown");
  }
  const json agents = status.value("agents", json::object());
  line.agents = fmt::format("{}/{}", agents.value("ready", 0), agents.value("wanted", 0));
  const json blocked = status.value("blockedBy", json::array());
  line.blocker = blocked.empty() ? "-"
                                 : fmt::format("{} ({})", blocked[0].value("gate", ""),
                                               blocked[0].value("cause", ""));
  return line;
}

}  // namespace

base::StatusOr<std::string> Why(client::Reader& api, const Options& options, const Style& style,
                                base::WallTime now) {
  Objects objects;
  SLUICE_ASSIGN_OR_RETURN(objects.site, GetIfThere(api, common::kSites, options.site));
  if (objects.site == nullptr) return NoSuchSite(api, options.site);
  const std::string class_name = At(objects.site->ToJson(), "/spec/classRef/name");
  SLUICE_ASSIGN_OR_RETURN(const meta::ObjectPtr site_class,
                          GetIfThere(api, common::kSiteClasses, class_name));
  if (site_class != nullptr) {
    const std::string plan = At(site_class->ToJson(), "/spec/stagePlanRef/name");
    SLUICE_ASSIGN_OR_RETURN(objects.plan, GetIfThere(api, common::kStagePlans, plan));
  }
  SLUICE_ASSIGN_OR_RETURN(const client::ObjectList promotions, api.List(common::kPromotions, {}));
  for (const meta::ObjectPtr& promotion : promotions.items) {
    if (At(promotion->ToJson(), "/spec/siteRef/name") == options.site) {
      objects.promotions.push_back(promotion);
    }
  }
  SLUICE_ASSIGN_OR_RETURN(client::ObjectList objectives, api.List(common::kObjectives, {}));
  objects.objectives = std::move(objectives.items);
  SLUICE_ASSIGN_OR_RETURN(const Chain chain, BuildChain(objects, now));
  return options.output == Output::kJson ? RenderJson(chain) : RenderText(chain, style, now);
}

base::StatusOr<std::string> SiteTable(client::Reader& api, const Options& options) {
  SLUICE_ASSIGN_OR_RETURN(const client::ObjectList sites, api.List(common::kSites, {}));
  std::vector<SiteLine> lines;
  for (const meta::ObjectPtr& site : sites.items) lines.push_back(LineOf(*site));
  if (options.output == Output::kText) return RenderTable(lines);
  json out = json::array();
  for (const SiteLine& line : lines) {
    out.push_back({{"site", line.site},
                   {"stage", line.stage},
                   {"wants", line.wants},
                   {"ready", line.ready},
                   {"agents", line.agents},
                   {"blockedBy", line.blocker}});
  }
  return out.dump(2) + "\n";
}

base::StatusOr<std::string> Version(client::Client& api) {
  SLUICE_ASSIGN_OR_RETURN(const std::string body, api.Raw("GET", "/version", ""));
  const json answer = json::parse(body, nullptr, false);
  return fmt::format("kubectl-sluice {}\nAPI server {}\n", SLUICE_VERSION,
                     answer.is_object() ? answer.value("gitVersion", "unknown") : "unknown");
}

}  // namespace sluice::kubectl
