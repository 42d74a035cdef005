#include "reconcilers/tenant/status.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "api/types/conditions.h"
#include "api/types/json_codec.h"
#include "api/types/kinds.h"
#include "api/types/text.h"
#include "api/v1alpha1/tenant.pb.h"
#include "reconcilers/common/tenants.h"

namespace sluice::tenant {
namespace {

std::string ReasonOf(const base::Status& credentials) {
  switch (credentials.code()) {
    case base::Code::kNotFound:
      return "SecretMissing";
    case base::Code::kPermissionDenied:
      return "SecretRefused";
    case base::Code::kInvalidArgument:
      return "SecretInvalid";
    default:
      return "SecretUnreadable";
  }
}

void Block(v1alpha1::TenantStatus& status, const std::string& gate, const std::string& cause,
           const std::string& message, const std::string& since, const std::string& by) {
  v1alpha1::Blocker& blocker = *status.add_blocked_by();
  blocker.set_gate(gate.substr(0, 63));
  blocker.set_cause(cause);
  blocker.set_message(std::string(types::Cut(message, 1024)));
  blocker.set_since(since);
  blocker.set_unblocked_by(by);
}

class Builder {
 public:
  Builder(const meta::Object& object, base::WallTime now)
      : generation_(object.generation()), now_(now) {
    const nlohmann::json json = object.ToJson();
    if (json.contains("status") && !types::FromJson(json["status"], &before_).ok()) before_.Clear();
    *status_.mutable_conditions() = before_.conditions();
    status_.set_observed_generation(generation_);
  }

  void Credentials(const base::Status& credentials) {
    credentials_ = credentials;
    const std::string reason = credentials.ok() ? "Resolved" : ReasonOf(credentials);
    Set(status_.mutable_conditions(), "CredentialsResolved", credentials.ok(), reason,
        credentials.message());
    if (!credentials.ok()) {
      Fail(reason, credentials.message());
      Block(status_, "credentials", reason, credentials.message(),
            Since(status_.conditions(), "CredentialsResolved"), "whoever keeps the Secret");
    }
  }

  void Site(const std::string& name, const common::Binding* binding) {
    v1alpha1::TenantSiteStatus& site = *status_.add_sites();
    site.set_name(name);
    for (const v1alpha1::TenantSiteStatus& old : before_.sites()) {
      if (old.name() == name) *site.mutable_conditions() = old.conditions();
    }
    const bool bound = binding != nullptr && binding->bound;
    Keys(site, bound);
    const std::string reason = binding == nullptr ? "SiteMissing" : binding->reason;
    const std::string message =
        binding == nullptr ? fmt::format("Site \"{}\", named by spec.sites, does not exist", name)
                           : binding->message;
    Set(site.mutable_conditions(), "Bound", bound, reason, message);
    if (bound) return;
    Fail(reason, message);
    Block(status_, "site/" + name, reason, message, Since(site.conditions(), "Bound"),
          reason == "StageFull" ? "a place that frees, or a higher stage of the site"
                                : "whoever applies the Site");
  }

  nlohmann::json Finish() {
    Set(status_.mutable_conditions(), types::kReady, ready_, ready_ ? "Ready" : reason_,
        ready_ ? "every site serves the tenant" : message_);
    return types::ToJson(status_);
  }

 private:
  // Texts that stay the same while it lasts: the Secret's own condition has the details.
  void Keys(v1alpha1::TenantSiteStatus& site, bool bound) {
    const bool before = types::IsConditionTrue(site.conditions(), common::kKeysInForce);
    if (bound && credentials_.ok()) {
      Set(site.mutable_conditions(), common::kKeysInForce, true, "FromSecret", "");
    } else if (bound && before && !common::IsWithdrawn(credentials_)) {
      Set(site.mutable_conditions(), common::kKeysInForce, true, "LastGood",
          "the keys read last stay in force until the Secret is repaired or deleted");
    } else {
      types::RemoveCondition(site.mutable_conditions(), common::kKeysInForce);
    }
  }
  void Set(types::ConditionList* list, std::string_view type, bool ok, const std::string& reason,
           const std::string& message) {
    types::SetCondition(
        list, {type, ok ? types::kTrue : types::kFalse, reason, message, generation_}, now_);
  }
  static std::string Since(const types::ConditionList& list, std::string_view type) {
    return types::FindCondition(list, type)->last_transition_time();
  }
  void Fail(const std::string& reason, const std::string& message) {
    if (!ready_) return;  // the first one sums up
    ready_ = false;
    reason_ = reason;
    message_ = message;
  }

  const std::int64_t generation_;
  const base::WallTime now_;
  base::Status credentials_;
  v1alpha1::TenantStatus before_;
  v1alpha1::TenantStatus status_;
  bool ready_ = true;
  std::string reason_;
  std::string message_;
};

}  // namespace

nlohmann::json BuildStatus(const meta::Object& tenant, const Facts& facts, base::WallTime now) {
  Builder builder(tenant, now);
  builder.Credentials(facts.credentials);
  for (const std::string& site : common::SitesOfTenant(tenant)) {
    const auto found = facts.sites.find(site);
    builder.Site(site, found == facts.sites.end() ? nullptr : &found->second);
  }
  return builder.Finish();
}

}  // namespace sluice::tenant
