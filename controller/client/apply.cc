#include "controller/client/apply.h"

#include <nlohmann/json.hpp>

#include "controller/meta/semantic.h"

namespace sluice::client {

using nlohmann::json;

base::Status ApplyIfDifferent(Writer& writer, const meta::Resource& resource, const json& wanted,
                              const meta::ObjectPtr& live, const std::string& field_manager) {
  if (live != nullptr && meta::Contains(live->ToJson(), wanted)) return base::OkStatus();
  const ApplyOptions options{.field_manager = field_manager, .force = live != nullptr};
  return writer.Apply(resource, wanted, options).status();
}

base::Status ApplyStatusIfDifferent(StatusWriter& writer, const meta::Resource& resource,
                                    const meta::Object& live, const json& status,
                                    const std::string& field_manager) {
  const std::string_view now = live.status_json();
  if (!now.empty() && meta::Contains(json::parse(now), status)) return base::OkStatus();
  json metadata = {{"name", live.name()}};
  if (!live.ns().empty()) metadata["namespace"] = live.ns();
  const json wanted = {{"metadata", std::move(metadata)}, {"status", status}};
  const ApplyOptions options{.field_manager = field_manager, .force = true};
  SLUICE_ASSIGN_OR_RETURN(const meta::ObjectPtr answer,
                          writer.ApplyStatus(resource, wanted, options));
  if (answer->uid() == live.uid()) return base::OkStatus();
  return base::Aborted("the object was made anew meanwhile").WithReason("Conflict");
}

}  // namespace sluice::client
