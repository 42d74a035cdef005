#include "controller/cmd/kubectl_sluice/slo_command.h"

#include <fmt/format.h>

#include <cstdio>
#include <nlohmann/json.hpp>

#include "controller/base/file.h"
#include "controller/cmd/kubectl_sluice/answer.h"
#include "controller/cmd/kubectl_sluice/listing.h"
#include "reconcilers/common/resources.h"
#include "reconcilers/openslo/convert.h"
#include "reconcilers/openslo/document.h"
#include "reconcilers/openslo/limits.h"

namespace sluice::kubectl {
namespace {

using nlohmann::json;

base::Status Refusal(const std::vector<openslo::Problem>& problems) {
  std::string text = "refused:";
  for (const openslo::Problem& p : problems) {
    text += fmt::format("\n  {}{}{}{}{}", p.document, p.document.empty() ? "" : ": ", p.field,
                        p.field.empty() ? "" : " ", p.rule);
  }
  return base::InvalidArgument(text);
}

}  // namespace

base::StatusOr<std::string> SloImport(const Options& options) {
  std::vector<openslo::Document> documents;
  for (const std::string& path : options.files) {
    SLUICE_ASSIGN_OR_RETURN(const std::string text, base::ReadFile(path, openslo::kMaxBytes));
    const auto read = openslo::ReadYaml(text);
    if (!read.ok()) return read.status().Annotate(path);
    for (std::size_t i = 0; i < read->size(); ++i) {
      documents.push_back({fmt::format("{}, document {}", path, i + 1), (*read)[i].dump()});
    }
  }
  const openslo::Imported imported = openslo::Import(documents, {.subject = options.subject});
  if (!imported.problems.empty()) return Refusal(imported.problems);
  for (const openslo::Problem& p : imported.warnings) {
    std::fprintf(stderr, "warning: %s: %s %s\n", p.document.c_str(), p.field.c_str(),
                 p.rule.c_str());
  }
  json list = {{"apiVersion", "v1"}, {"kind", "List"}, {"items", json::array()}};
  for (const std::string& object : imported.objects) list["items"].push_back(json::parse(object));
  const std::string text = list.dump(2) + "\n";
  return Formatted(OutputOf(options), text, text);
}

base::StatusOr<std::string> SloExport(client::Reader& api, const Options& options) {
  std::vector<std::string> objects;
  if (options.files.empty()) {
    SLUICE_ASSIGN_OR_RETURN(const auto all, ListServed(api, common::kObjectives));
    for (const meta::ObjectPtr& each : all) objects.push_back(each->ToJson().dump());
  }
  for (const std::string& name : options.files) {
    SLUICE_ASSIGN_OR_RETURN(const meta::ObjectPtr object, GetNamed(api, common::kObjectives, name));
    objects.push_back(object->ToJson().dump());
  }
  const openslo::Exported exported = openslo::Export(objects);
  if (!exported.problems.empty()) return Refusal(exported.problems);
  std::vector<json> documents;
  for (const std::string& each : exported.documents) documents.push_back(json::parse(each));
  return openslo::WriteYaml(documents);
}

}  // namespace sluice::kubectl
