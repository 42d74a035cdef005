// One admission question and its answer: AdmissionReview of admission.k8s.io/v1.
//
//   AdmissionDecision Judge(const AdmissionRequest& request) {
//     if (request.object()["spec"]["size"] > 10) return AdmissionDecision::Deny("size above 10");
//     return AdmissionDecision::Allow();
//   }
//
// Parsing and rendering are pure. Thread rule: values.
#pragma once

#include <map>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "controller/base/clock.h"
#include "controller/base/status.h"
#include "controller/meta/resource.h"

namespace sluice::webhook {

struct AdmissionRequest {
  // Errors: InvalidArgument saying what is wrong with the body, never quoting it.
  static base::StatusOr<AdmissionRequest> Parse(std::string_view review);

  std::string uid;
  std::string operation;  // "CREATE", "UPDATE", "DELETE" or "CONNECT"
  std::string group;      // of the object, as the webhook asked to see it
  std::string version;
  std::string kind;
  std::string resource;     // plural
  std::string subresource;  // empty: the object itself
  meta::Key key;            // no name yet on a CREATE with generateName
  std::string user;
  std::vector<std::string> groups;
  // Nothing will be stored: a handler with effects elsewhere must leave them out, and its
  // configuration says sideEffects: NoneOnDryRun.
  bool dry_run = false;

  // Null where there is none: no object on DELETE, no old_object on CREATE and CONNECT.
  const nlohmann::json& object() const;
  const nlohmann::json& old_object() const;
  const nlohmann::json& options() const;

  // Put in by the server. After `deadline` the answer is no longer wanted, and `stop` says so.
  base::MonoTime deadline = base::MonoTime::max();
  std::stop_token stop;

  std::shared_ptr<const nlohmann::json> review;  // the whole
};

class AdmissionDecision {
 public:
  static AdmissionDecision Allow();
  // `message` is what the person reads, behind 'admission webhook "x" denied the request: '.
  static AdmissionDecision Deny(const std::string& message, std::string reason = "Forbidden",
                                int code = 403);
  // Allowed as `changed`; the patch (RFC 6902) is made from the difference. For Mutate only.
  static AdmissionDecision Change(const nlohmann::json& changed);

  // kubectl shows it; at most kMaxWarnings of kMaxWarningBytes, the rest is dropped.
  AdmissionDecision& Warn(const std::string& warning);
  // An annotation of the audit event, prefixed by the webhook's name there.
  AdmissionDecision& Audit(std::string key, std::string value);

  bool allowed() const { return allowed_; }

 private:
  friend base::StatusOr<std::string> RenderReview(const AdmissionRequest& request,
                                                  const AdmissionDecision& decision,
                                                  bool may_change);
  bool allowed_ = true;
  int code_ = 200;
  std::string reason_;
  std::string message_;
  std::vector<std::string> warnings_;
  std::map<std::string, std::string> audit_;
  std::shared_ptr<const nlohmann::json> changed_;
};

// The AdmissionReview to answer with. Errors: Internal: a decision of Validate that changes the
// object (the API server would refuse it).
base::StatusOr<std::string> RenderReview(const AdmissionRequest& request,
                                         const AdmissionDecision& decision, bool may_change);

}  // namespace sluice::webhook
