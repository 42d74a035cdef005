#include "api/crdgen/crd.h"

#include <fmt/format.h>
#include <google/protobuf/descriptor.h>

#include <nlohmann/json.hpp>
#include <string>

#include "api/crdgen/schema.h"
#include "api/markers/markers.pb.h"

namespace sluice::crdgen {
namespace {

using json = nlohmann::ordered_json;

constexpr const char* kGroup = "sluice.dev";
constexpr const char* kVersion = "v1alpha1";

json Columns(const markers::Kind& kind) {
  json columns = json::array();
  for (const markers::Column& column : kind.columns()) {
    json out{{"name", column.name()},
             {"type", column.type().empty() ? "string" : column.type()},
             {"jsonPath", column.json_path()}};
    if (!column.description().empty()) out["description"] = column.description();
    if (column.priority() != 0) out["priority"] = column.priority();
    columns.push_back(std::move(out));
  }
  return columns;
}

}  // namespace

base::StatusOr<json> BuildCrd(const google::protobuf::Descriptor* message) {
  const markers::Kind& kind = message->options().GetExtension(markers::kind);
  if (kind.columns_size() > kMaxColumns) {
    return base::InvalidArgument(fmt::format("{}: {} printer columns, at most {} fit a terminal",
                                             message->full_name(), kind.columns_size(),
                                             kMaxColumns));
  }
  if (message->FindFieldByName("spec") == nullptr ||
      message->FindFieldByName("status") == nullptr) {
    return base::InvalidArgument(message->full_name() + ": a kind has spec and status");
  }
  SLUICE_ASSIGN_OR_RETURN(json schema, BuildSchema(message));

  json names{{"kind", message->name()},
             {"listKind", message->name() + "List"},
             {"plural", kind.plural()},
             {"singular", kind.singular()}};
  for (const std::string& name : kind.short_names()) names["shortNames"].push_back(name);
  names["categories"] = json::array({"sluice"});

  json version{{"name", kVersion},
               {"served", true},
               {"storage", true},
               {"additionalPrinterColumns", Columns(kind)},
               {"schema", {{"openAPIV3Schema", std::move(schema)}}},
               {"subresources", {{"status", json::object()}}}};
  return json{{"apiVersion", "apiextensions.k8s.io/v1"},
              {"kind", "CustomResourceDefinition"},
              {"metadata",
               {{"name", fmt::format("{}.{}", kind.plural(), kGroup)},
                {"labels", {{"app.kubernetes.io/part-of", "sluice"}}}}},
              {"spec",
               {{"group", kGroup},
                {"names", std::move(names)},
                {"scope", kind.scope() == markers::NAMESPACED ? "Namespaced" : "Cluster"},
                {"versions", json::array({std::move(version)})}}}};
}

}  // namespace sluice::crdgen
