#include "reconcilers/incident/plan.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <nlohmann/json.hpp>

#include "controller/base/check.h"
#include "controller/base/time_format.h"

namespace sluice::incident {
namespace {

using nlohmann::json;

constexpr std::size_t kMaxNameBytes = 40;      // Incident.spec.sites
constexpr std::size_t kMaxSummaryBytes = 256;  // Incident.spec.summary
constexpr std::size_t kMaxOwnerBytes = 253;
constexpr std::size_t kMaxLinkBytes = 1024;

std::string Of(const std::map<std::string, std::string>& texts, const char* name) {
  const auto found = texts.find(name);
  return found == texts.end() ? std::string() : found->second;
}

bool IsSiteName(const std::string& name) {
  return !name.empty() && name.size() <= kMaxNameBytes && name.front() != '-' &&
         name.back() != '-' &&
         name.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789-") == std::string::npos;
}

std::string SiteOf(const Alert& alert) {
  std::string site = Of(alert.labels, "site");
  if (site.empty() && Of(alert.labels, "subject_kind") == "Site") {
    site = Of(alert.labels, "subject");
  }
  return IsSiteName(site) ? site : std::string();
}

std::string SeverityOf(const Alert& alert) {
  const std::string level = Of(alert.labels, "incident_severity");
  const bool known = level == "1" || level == "2" || level == "3" || level == "4";
  return known ? "Severity" + level : std::string();
}

// At most `bytes` bytes, cut between characters (UTF-8).
std::string Cut(std::string text, std::size_t bytes) {
  if (text.size() <= bytes) return text;
  while (bytes > 0 && (static_cast<unsigned char>(text[bytes]) & 0xC0) == 0x80) --bytes;
  text.resize(bytes);
  return text;
}

bool IsLink(const std::string& text) {
  const bool http = text.rfind("http://", 0) == 0 || text.rfind("https://", 0) == 0;
  return http && text.size() > 8 && text.size() <= kMaxLinkBytes &&
         text.find(' ') == std::string::npos;
}

std::string NameOf(const Alert& alert) {
  return fmt::format(
      "alert-{}-{}", Fingerprint(alert),
      std::chrono::duration_cast<std::chrono::seconds>(alert.starts_at.time_since_epoch()).count());
}

std::string At(const json& object, const char* pointer) {
  const json::json_pointer at(pointer);
  return object.contains(at) && object[at].is_string() ? object[at].get<std::string>() : "";
}

// When the firing began that the Incident knows of; the epoch when it does not say.
base::WallTime StartedAt(const json& incident) {
  const auto time =
      base::ParseRfc3339(At(incident, "/metadata/annotations/sluice.dev~1alert-started"));
  return time.ok() ? *time : base::WallTime{};
}

Step StepFor(const Alert& alert, const json& incident) {
  const std::string state = At(incident, "/spec/state");
  const base::WallTime known = StartedAt(incident);
  if (alert.starts_at < known) return Step::kNone;
  if (!alert.resolved) {
    const bool ended = !At(incident, "/metadata/annotations/sluice.dev~1alert-resolved").empty();
    // A closed one stays the record of its firing; the next firing gets one of its own.
    if (state == "Closed") return ended && alert.starts_at == known ? Step::kReopen : Step::kNone;
    if (state != "Mitigated") return Step::kNone;
    return ended || alert.starts_at > known ? Step::kReopen : Step::kNone;
  }
  if (state == "Closed") return Step::kNone;
  const std::string severity = At(incident, "/spec/severity");
  const bool serious = severity == "Severity1" || severity == "Severity2";
  if (!serious || !At(incident, "/spec/postmortem").empty()) return Step::kClose;
  return state == "Mitigated" ? Step::kNone : Step::kMitigate;
}

}  // namespace

std::string_view StepName(Step step) {
  switch (step) {
    case Step::kNone:
      return "kept";
    case Step::kOpen:
      return "opened";
    case Step::kReopen:
      return "reopened";
    case Step::kMitigate:
      return "mitigated";
    case Step::kClose:
      return "closed";
  }
  SLUICE_CHECK(false);
  return {};
}

bool Concerns(const Alert& alert) { return !SiteOf(alert).empty() && !SeverityOf(alert).empty(); }

std::vector<Action> Plan(const Alert& alert, const std::vector<meta::ObjectPtr>& known) {
  SLUICE_CHECK(Concerns(alert));
  std::vector<Action> out;
  bool stands = false;
  for (const meta::ObjectPtr& object : known) {
    const json incident = object->ToJson();
    const Step step = StepFor(alert, incident);
    // Open already, or closed while the same firing goes on.
    stands =
        stands || At(incident, "/spec/state") != "Closed" || alert.starts_at <= StartedAt(incident);
    if (step != Step::kNone) {
      out.push_back({step, std::string(object->name()), std::string(object->resource_version())});
    }
  }
  if (!alert.resolved && !stands) out.push_back({Step::kOpen, NameOf(alert), ""});
  return out;
}

json NewIncident(const Alert& alert) {
  std::string summary = Of(alert.annotations, "summary");
  if (summary.empty()) summary = Of(alert.labels, "alertname");
  if (summary.empty()) summary = "an alert without a name";
  std::string owner = Of(alert.labels, "owner");
  if (owner.empty()) owner = Of(alert.labels, "team");
  if (owner.empty()) owner = "on-call";
  json spec = {{"sites", {SiteOf(alert)}},
               {"severity", SeverityOf(alert)},
               {"summary", Cut(summary, kMaxSummaryBytes)},
               {"owner", Cut(owner, kMaxOwnerBytes)},
               {"state", "Open"}};
  const std::string runbook = Of(alert.annotations, "runbook_url");
  if (IsLink(runbook)) spec["runbook"] = runbook;
  const std::string on_call = Of(alert.annotations, "on_call");
  if (!on_call.empty()) spec["onCall"] = Cut(on_call, kMaxLinkBytes);
  return {{"apiVersion", "sluice.dev/v1alpha1"},
          {"kind", "Incident"},
          {"metadata",
           {{"name", NameOf(alert)},
            {"labels", {{kAlertLabel, Fingerprint(alert)}}},
            {"annotations", {{kStartedAnnotation, base::FormatRfc3339(alert.starts_at)}}}}},
          {"spec", std::move(spec)}};
}

json PatchFor(const Action& action, const Alert& alert) {
  const std::string start = base::FormatRfc3339(alert.starts_at);
  json annotations;
  std::string state = action.step == Step::kMitigate ? "Mitigated" : "Closed";
  if (action.step == Step::kReopen) {
    state = "Open";
    annotations = {{kStartedAnnotation, start}, {kResolvedAnnotation, nullptr}};
  } else {
    annotations = {{kResolvedAnnotation, start}};
  }
  return {
      {"metadata", {{"resourceVersion", action.version}, {"annotations", std::move(annotations)}}},
      {"spec", {{"state", state}}}};
}

}  // namespace sluice::incident
