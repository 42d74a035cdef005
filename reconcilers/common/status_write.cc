#include "reconcilers/common/status_write.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "controller/client/status_text.h"

namespace sluice::common {
namespace {

// The API server made these, but nothing says that they need no escapes.
std::string Quoted(std::string_view text) { return nlohmann::json(text).dump(); }

}  // namespace

base::StatusOr<meta::ObjectPtr> WriteStatus(client::StatusWriter& api,
                                            const meta::Resource& resource,
                                            const meta::Object& live, std::string_view status,
                                            std::string_view field_manager,
                                            StatusPrecondition precondition) {
  std::string body = fmt::format(R"({{"apiVersion":"{}","kind":"{}","metadata":{{"name":{})",
                                 resource.ApiVersion(), resource.kind, Quoted(live.name()));
  if (!live.ns().empty()) body += R"(,"namespace":)" + Quoted(live.ns());
  if (precondition == StatusPrecondition::kSameVersion) {
    body += R"(,"resourceVersion":)" + Quoted(live.resource_version());
  }
  body += R"(},"status":)";
  body += status;
  body += '}';
  client::ApplyOptions options;
  options.field_manager = field_manager;
  options.force = true;
  SLUICE_ASSIGN_OR_RETURN(meta::ObjectPtr answer,
                          client::ApplyStatusText(api, resource, live.key(), body, options));
  if (answer->uid() == live.uid()) return answer;
  return base::Aborted(live.key().ToString() + " was made anew meanwhile").WithReason("Conflict");
}

}  // namespace sluice::common
