#include "controller/cmd/kubectl_sluice/impersonation.h"

#include <algorithm>

namespace sluice::kubectl {
namespace {

constexpr const char* kUser = "Impersonate-User";
constexpr const char* kGroup = "Impersonate-Group";

}  // namespace

base::Status Impersonate(const Options& options,
                         std::vector<std::pair<std::string, std::string>>& headers) {
  const auto replace = [&headers](const char* name, const std::vector<std::string>& values) {
    if (values.empty()) return;
    std::erase_if(headers, [name](const auto& header) { return header.first == name; });
    for (const std::string& value : values) headers.emplace_back(name, value);
  };
  if (!options.as.empty()) replace(kUser, {options.as});
  replace(kGroup, options.as_groups);
  const bool named = std::any_of(headers.begin(), headers.end(),
                                 [](const auto& header) { return header.first == kUser; });
  if (named || options.as_groups.empty()) return base::OkStatus();
  return base::InvalidArgument("--as-group: groups of nobody; name a user by --as");
}

}  // namespace sluice::kubectl
