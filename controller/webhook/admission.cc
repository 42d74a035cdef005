#include "controller/webhook/admission.h"

#include <nlohmann/json.hpp>

#include "controller/base/digest.h"
#include "controller/base/text.h"
#include "controller/webhook/limits.h"
#include "controller/webhook/review.h"

namespace sluice::webhook {

using nlohmann::json;

namespace {

constexpr const char* kAdmissionVersion = "admission.k8s.io/v1";
constexpr const char* kAdmissionKind = "AdmissionReview";

const json& Part(const std::shared_ptr<const json>& review, const char* key) {
  static const json kNull;
  const json& request = (*review)["request"];
  const auto found = request.find(key);
  return found == request.end() ? kNull : *found;
}

}  // namespace

base::StatusOr<AdmissionRequest> AdmissionRequest::Parse(std::string_view bytes) {
  SLUICE_ASSIGN_OR_RETURN(json review, ParseReview(bytes, kAdmissionKind, kAdmissionVersion));
  AdmissionRequest out;
  out.review = std::make_shared<const json>(std::move(review));
  const json& request = (*out.review)["request"];
  out.uid = TextOf(request, "uid");
  out.operation = TextOf(request, "operation");
  if (out.operation.empty()) return base::InvalidArgument("the request has no operation");
  const json& kind = Part(out.review, "kind");
  out.group = TextOf(kind, "group");
  out.version = TextOf(kind, "version");
  out.kind = TextOf(kind, "kind");
  out.resource = TextOf(Part(out.review, "resource"), "resource");
  out.subresource = TextOf(request, "subResource");
  out.key = {TextOf(request, "namespace"), TextOf(request, "name")};
  const json& user = Part(out.review, "userInfo");
  out.user = TextOf(user, "username");
  if (const auto groups = user.find("groups"); groups != user.end() && groups->is_array()) {
    for (const json& group : *groups) {
      if (group.is_string()) out.groups.push_back(group.get<std::string>());
    }
  }
  const json& dry_run = Part(out.review, "dryRun");
  out.dry_run = dry_run.is_boolean() && dry_run.get<bool>();
  return out;
}

const json& AdmissionRequest::object() const { return Part(review, "object"); }
const json& AdmissionRequest::old_object() const { return Part(review, "oldObject"); }
const json& AdmissionRequest::options() const { return Part(review, "options"); }

AdmissionDecision AdmissionDecision::Allow() { return {}; }

AdmissionDecision AdmissionDecision::Deny(const std::string& message, std::string reason,
                                          int code) {
  AdmissionDecision out;
  out.allowed_ = false;
  out.code_ = code;
  out.reason_ = std::move(reason);
  out.message_ = std::string(base::Cut(message, kMaxMessageBytes));
  return out;
}

AdmissionDecision AdmissionDecision::Change(const json& changed) {
  AdmissionDecision out;
  out.changed_ = std::make_shared<const json>(changed);
  return out;
}

AdmissionDecision& AdmissionDecision::Warn(const std::string& warning) {
  if (warnings_.size() < kMaxWarnings) {
    warnings_.emplace_back(base::Cut(warning, kMaxWarningBytes));
  }
  return *this;
}

AdmissionDecision& AdmissionDecision::Audit(std::string key, std::string value) {
  audit_[std::move(key)] = std::move(value);
  return *this;
}

base::StatusOr<std::string> RenderReview(const AdmissionRequest& request,
                                         const AdmissionDecision& decision, bool may_change) {
  json response = {{"uid", request.uid}, {"allowed", decision.allowed_}};
  if (!decision.allowed_) {
    response["status"] = {
        {"code", decision.code_}, {"reason", decision.reason_}, {"message", decision.message_}};
  }
  if (!decision.warnings_.empty()) response["warnings"] = decision.warnings_;
  if (!decision.audit_.empty()) response["auditAnnotations"] = decision.audit_;
  if (decision.changed_ != nullptr) {
    if (!may_change) return base::Internal("a validating webhook changed the object");
    const json patch = json::diff(request.object(), *decision.changed_);
    if (!patch.empty()) {
      response["patchType"] = "JSONPatch";
      response["patch"] = base::Base64Encode(patch.dump());
    }
  }
  const json review = {
      {"apiVersion", kAdmissionVersion}, {"kind", kAdmissionKind}, {"response", response}};
  // A handler's text may not be UTF-8; that must not become an exception.
  return review.dump(-1, ' ', false, json::error_handler_t::replace);
}

}  // namespace sluice::webhook
