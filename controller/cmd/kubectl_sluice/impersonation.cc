#include "controller/cmd/kubectl_sluice/impersonation.h"

#include <algorithm>

#include "controller/client/impersonation.h"

namespace sluice::kubectl {
namespace {

using Headers = std::vector<std::pair<std::string, std::string>>;

Headers HeadersOf(const Options& options) {
  Headers out;
  if (!options.as.empty()) out.emplace_back(client::kImpersonateUser, options.as);
  if (!options.as_uid.empty()) out.emplace_back(client::kImpersonateUid, options.as_uid);
  for (const auto& group : options.as_groups) out.emplace_back(client::kImpersonateGroup, group);
  for (const auto& [key, value] : options.as_user_extra) {
    out.emplace_back(client::ImpersonateExtra(key), value);
  }
  return out;
}

bool Has(const Headers& headers, const std::string& name) {
  return std::any_of(headers.begin(), headers.end(),
                     [&name](const auto& header) { return header.first == name; });
}

}  // namespace

base::Status Impersonate(const Options& options, Headers& headers) {
  const Headers asked = HeadersOf(options);
  std::erase_if(headers, [&asked](const auto& header) { return Has(asked, header.first); });
  headers.insert(headers.end(), asked.begin(), asked.end());
  if (asked.empty() || Has(headers, client::kImpersonateUser)) return base::OkStatus();
  return base::InvalidArgument(
      "--as-group, --as-uid and --as-user-extra say more of a user; name the user by --as");
}

}  // namespace sluice::kubectl
