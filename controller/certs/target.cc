#include "controller/certs/target.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "controller/base/digest.h"

namespace sluice::certs {

using base::StatusOr;
using nlohmann::json;

namespace {

const meta::Resource& ResourceOf(Target::Kind kind) {
  static const meta::Resource validating{"admissionregistration.k8s.io", "v1",
                                         "ValidatingWebhookConfiguration",
                                         "validatingwebhookconfigurations", false};
  static const meta::Resource mutating{"admissionregistration.k8s.io", "v1",
                                       "MutatingWebhookConfiguration",
                                       "mutatingwebhookconfigurations", false};
  static const meta::Resource crd{"apiextensions.k8s.io", "v1", "CustomResourceDefinition",
                                  "customresourcedefinitions", false};
  switch (kind) {
    case Target::Kind::kValidatingWebhook:
      return validating;
    case Target::Kind::kMutatingWebhook:
      return mutating;
    case Target::Kind::kConversion:
      break;
  }
  return crd;
}

// What to apply; null when everything is in place.
json Webhooks(const json& object, std::span<const Target> targets, const std::string& bundle) {
  json out = json::array();
  bool differs = false;
  for (const json& webhook : object.value("webhooks", json::array())) {
    const bool ours = std::ranges::any_of(targets, [&](const Target& target) {
      return target.webhook.empty() || webhook.at("name") == target.webhook;
    });
    if (!ours) continue;
    differs = differs || webhook.at("clientConfig").value("caBundle", "") != bundle;
    // Apply owns what it names: all of ours each time, or the others would lose theirs.
    out.push_back({{"name", webhook.at("name")}, {"clientConfig", {{"caBundle", bundle}}}});
  }
  return differs ? json{{"webhooks", out}} : json();
}

StatusOr<json> Conversion(const json& object, const std::string& bundle) {
  const json conversion = object.at("spec").value("conversion", json::object());
  if (conversion.value("strategy", "") != "Webhook") {
    return base::FailedPrecondition("its conversion is not by webhook");
  }
  const json config = conversion.at("webhook").value("clientConfig", json::object());
  if (config.value("caBundle", "") == bundle) return json();
  return json{
      {"spec",
       {{"conversion",
         {{"strategy", "Webhook"}, {"webhook", {{"clientConfig", {{"caBundle", bundle}}}}}}}}}};
}

}  // namespace

std::vector<std::vector<Target>> ByObject(const std::vector<Target>& targets) {
  std::vector<std::vector<Target>> out;
  for (const Target& target : targets) {
    const auto same = std::ranges::find_if(out, [&](const std::vector<Target>& of_one) {
      return of_one.front().kind == target.kind && of_one.front().name == target.name;
    });
    (same == out.end() ? out.emplace_back() : *same).push_back(target);
  }
  return out;
}

StatusOr<bool> Inject(client::Reader& reader, client::Writer& writer,
                      std::span<const Target> targets, const std::string& bundle_pem,
                      const std::string& field_manager) {
  const Target& target = targets.front();
  const meta::Resource& resource = ResourceOf(target.kind);
  const auto got = reader.Get(resource, {"", target.name});
  if (!got.ok()) {
    if (got.status().code() == base::Code::kNotFound) return false;
    return got.status();
  }
  const std::string bundle = base::Base64Encode(bundle_pem);
  json patch;
  try {
    const json object = (*got)->ToJson();
    if (target.kind == Target::Kind::kConversion) {
      SLUICE_ASSIGN_OR_RETURN(patch, Conversion(object, bundle));
    } else {
      patch = Webhooks(object, targets, bundle);
    }
  } catch (const json::exception&) {
    return base::DataLoss("it is not of the form of its kind");
  }
  if (patch.is_null()) return false;
  patch["apiVersion"] = resource.ApiVersion();
  patch["kind"] = resource.kind;
  // The uid: an object deleted meanwhile must not come back as a torso.
  patch["metadata"] = {{"name", target.name}, {"uid", std::string((*got)->uid())}};
  const auto applied =
      writer.Apply(resource, patch, {.field_manager = field_manager, .force = true});
  if (!applied.ok()) return applied.status();
  return true;
}

}  // namespace sluice::certs
