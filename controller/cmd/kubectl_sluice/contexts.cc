#include "controller/cmd/kubectl_sluice/contexts.h"

#include <algorithm>
#include <cstdlib>
#include <nlohmann/json.hpp>

#include "controller/base/file.h"
#include "reconcilers/openslo/document.h"

namespace sluice::kubectl {
namespace {

constexpr std::size_t kMaxKubeconfigBytes = 1 << 20;
constexpr std::size_t kMaxContextsOffered = 500;

std::string Variable(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

}  // namespace

std::vector<std::string> ContextsIn(const std::string& kubeconfig) {
  std::vector<std::string> out;
  const auto documents = openslo::ReadYaml(kubeconfig);
  if (!documents.ok() || documents->empty() || !documents->front().is_object()) return out;
  const nlohmann::json contexts = documents->front().value("contexts", nlohmann::json::array());
  for (const nlohmann::json& context : contexts) {
    const auto name = context.is_object() ? context.find("name") : context.end();
    if (name != context.end() && name->is_string()) out.push_back(name->get<std::string>());
  }
  return out;
}

std::vector<std::string> Contexts(const std::string& kubeconfig) {
  std::string files = kubeconfig;
  if (files.empty()) files = Variable("KUBECONFIG");
  if (files.empty()) files = Variable("HOME") + "/.kube/config";
  std::vector<std::string> out;
  for (std::size_t at = 0; at < files.size();) {
    const std::size_t colon =
        kubeconfig.empty() ? std::min(files.find(':', at), files.size()) : files.size();
    const auto text = base::ReadFile(files.substr(at, colon - at), kMaxKubeconfigBytes);
    at = colon + 1;
    if (!text.ok()) continue;
    for (std::string& name : ContextsIn(*text)) {
      const bool known = std::find(out.begin(), out.end(), name) != out.end();
      if (!known && out.size() < kMaxContextsOffered) out.push_back(std::move(name));
    }
  }
  return out;
}

}  // namespace sluice::kubectl
