#include "controller/certs/target.h"

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
json Webhooks(const json& object, const Target& target, const std::string& bundle) {
  json out = json::array();
  bool differs = false;
  for (const json& webhook : object.value("webhooks", json::array())) {
    if (!target.webhook.empty() && webhook.at("name") != target.webhook) continue;
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

StatusOr<bool> Inject(client::Reader& reader, client::Writer& writer, const Target& target,
                      const std::string& bundle_pem, const std::string& field_manager) {
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
      patch = Webhooks(object, target, bundle);
    }
  } catch (const json::exception&) {
    return base::DataLoss(target.name + " is not of the form of its kind");
  }
  if (patch.is_null()) return false;
  patch["apiVersion"] = resource.ApiVersion();
  patch["kind"] = resource.kind;
  // The uid: an object deleted meanwhile must not come back as a torso.
  patch["metadata"] = {{"name", target.name}, {"uid", std::string((*got)->uid())}};
  const auto applied =
      writer.Apply(resource, patch, {.field_manager = field_manager, .force = true});
  if (!applied.ok()) return applied.status().Annotate(target.name);
  return true;
}

}  // namespace sluice::certs
