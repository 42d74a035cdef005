#include "reconcilers/gates/json_form.h"

#include <nlohmann/json.hpp>
#include <stdexcept>

#include "controller/base/time_format.h"
#include "reconcilers/gates/json_people.h"

namespace sluice::gates {

using base::Duration;
using base::WallTime;
using nlohmann::json;

std::string TimeText(WallTime time) { return base::FormatRfc3339Micro(time); }

namespace {

template <typename T>
T OrThrow(base::StatusOr<T> value) {
  if (!value.ok()) throw std::invalid_argument(value.status().message());
  return *std::move(value);
}
template <typename T>
T OrThrow(std::optional<T> value) {
  if (!value) throw std::invalid_argument("unknown name");
  return *value;
}

// Sums of what these let through cannot overflow.
constexpr WallTime kEarliest{std::chrono::seconds(0)};
constexpr WallTime kLatest{std::chrono::seconds(7'258'118'400)};  // the year 2200
constexpr Duration kLongest = std::chrono::hours(24 * 366 * 10);

}  // namespace

WallTime TimeFromJson(const json& j) {
  const WallTime time = OrThrow(base::ParseRfc3339(j.get<std::string>()));
  if (time < kEarliest || time > kLatest) throw std::invalid_argument("a time out of range");
  return time;
}
Duration SpanFromJson(const json& j) {
  const Duration span = OrThrow(base::ParseDuration(j.get<std::string>()));
  if (span > kLongest) throw std::invalid_argument("a duration out of range");
  return span;
}

namespace {

WallTime Time(const json& j) { return TimeFromJson(j); }
Duration Span(const json& j) { return SpanFromJson(j); }
Decimal Number(const json& j) { return OrThrow(Decimal::Parse(j.get<std::string>())); }
std::string Text(Duration d) { return base::FormatDuration(d); }

Reaction ReactionFrom(const json& j) {
  const auto name = j.get<std::string>();
  if (name == "Abort") return Reaction::kAbort;
  if (name == "Revert") return Reaction::kRevert;
  if (name != "Hold") throw std::invalid_argument("unknown reaction");
  return Reaction::kHold;
}

json ToJson(const Reading& r) {
  json out = {{"query", r.query}, {"series", r.series}};
  if (!r.value.empty()) out["value"] = r.value;
  if (!r.error.empty()) out["error"] = r.error;
  if (r.bad_query) out["badQuery"] = true;
  return out;
}

Reading ReadingFromJson(const json& j) {
  return {.query = j.at("query"),
          .value = j.value("value", ""),
          .series = j.at("series"),
          .error = j.value("error", ""),
          .bad_query = j.value("badQuery", false)};
}

std::string_view ClassName(ChangeClass c) {
  return c == ChangeClass::kP0 ? "P0" : c == ChangeClass::kSecurity ? "Security" : "Ordinary";
}

ChangeClass ClassFrom(const json& j) {
  for (const auto c : {ChangeClass::kOrdinary, ChangeClass::kP0, ChangeClass::kSecurity}) {
    if (j.get<std::string>() == ClassName(c)) return c;
  }
  throw std::invalid_argument("unknown class");
}

}  // namespace

json ToJson(const Evidence& e) {
  json out = {{"gate", e.gate}, {"observedAt", TimeText(e.observed_at)}};
  if (e.scrape_interval.count() != 0) out["scrapeInterval"] = Text(e.scrape_interval);
  for (const WindowEvidence& w : e.windows) {
    json item = {{"window", Text(w.window)}, {"value", ToJson(w.value)}};
    if (w.samples) item["samples"] = ToJson(*w.samples);
    if (w.start) item["start"] = TimeText(*w.start);
    out["windows"].push_back(std::move(item));
  }
  if (e.budget) {
    out["budget"] = {{"window", Text(e.budget->window)}, {"value", ToJson(e.budget->value)}};
    if (e.budget->start) out["budget"]["start"] = TimeText(*e.budget->start);
  }
  for (const Reading& r : e.freshness) out["freshness"].push_back(ToJson(r));
  if (e.ever_returned) out["everReturned"] = *e.ever_returned;
  if (!e.misconfigured.empty()) out["misconfigured"] = e.misconfigured;
  if (e.slo) {
    out["slo"] = {{"name", e.slo->name},
                  {"target", e.slo->target.ToString()},
                  {"minEvents", e.slo->min_events},
                  {"cautionBelow", e.slo->caution_below.ToString()}};
    // Left out where they say nothing, so that what was recorded before hashes as it did.
    if (e.slo->freeze_below != Decimal())
      out["slo"]["freezeBelow"] = e.slo->freeze_below.ToString();
    if (e.slo->exceptions != SloFacts{}.exceptions) {
      out["slo"]["exceptions"] = json::array();
      for (const ChangeClass c : e.slo->exceptions)
        out["slo"]["exceptions"].push_back(ClassName(c));
    }
  }
  if (e.soak) {
    out["soak"] = {{"stage", e.soak->stage}};
    if (e.soak->entered_at) out["soak"]["enteredAt"] = TimeText(*e.soak->entered_at);
  }
  AddPeople(e, out);
  return out;
}

Evidence EvidenceFromJson(const json& j) {
  Evidence e;
  e.gate = j.at("gate");
  e.observed_at = Time(j.at("observedAt"));
  if (j.contains("scrapeInterval")) e.scrape_interval = Span(j["scrapeInterval"]);
  for (const json& item : j.value("windows", json::array())) {
    WindowEvidence w{.window = Span(item.at("window")), .value = ReadingFromJson(item.at("value"))};
    if (item.contains("samples")) w.samples = ReadingFromJson(item["samples"]);
    if (item.contains("start")) w.start = Time(item["start"]);
    e.windows.push_back(std::move(w));
  }
  if (j.contains("budget")) {
    e.budget = WindowEvidence{.window = Span(j["budget"].at("window")),
                              .value = ReadingFromJson(j["budget"].at("value")),
                              .samples = {}};
    if (j["budget"].contains("start")) e.budget->start = Time(j["budget"]["start"]);
  }
  for (const json& item : j.value("freshness", json::array())) {
    e.freshness.push_back(ReadingFromJson(item));
  }
  if (j.contains("everReturned")) e.ever_returned = j["everReturned"].get<bool>();
  e.misconfigured = j.value("misconfigured", "");
  if (j.contains("slo")) {
    const json& s = j["slo"];
    e.slo = SloFacts{s.at("name"), Number(s.at("target")), s.at("minEvents"),
                     Number(s.at("cautionBelow"))};
    if (s.contains("freezeBelow")) e.slo->freeze_below = Number(s["freezeBelow"]);
    if (s.contains("exceptions")) {
      e.slo->exceptions.clear();
      for (const json& c : s["exceptions"]) e.slo->exceptions.push_back(ClassFrom(c));
    }
  }
  if (j.contains("soak")) {
    e.soak = SoakFacts{.stage = j["soak"].at("stage")};
    if (j["soak"].contains("enteredAt")) e.soak->entered_at = Time(j["soak"]["enteredAt"]);
  }
  ReadPeople(j, e);
  return e;
}

json ToJson(const Gate& g) {
  json out = {{"name", g.name},
              {"kind", GateKindName(g.kind)},
              {"onFail", ReactionName(g.on_fail)},
              {"onNoData", ReactionName(g.on_no_data)},
              {"onError", ReactionName(g.on_error)},
              {"waivable", g.waivable},
              {"validFor", Text(g.valid_for)},
              {"minSamples", g.min_samples}};
  switch (g.kind) {
    case GateKind::kSlo:
      out["template"] = g.slo_template;
      out["minBudgetRemaining"] = g.min_budget_remaining.ToString();
      break;
    case GateKind::kBurnRate:
      out["template"] = g.slo_template;
      out["below"] = g.burn_below.ToString();
      break;
    case GateKind::kMetric:
      out["query"] = g.query;
      out["op"] = ComparisonName(g.op);
      out["threshold"] = g.threshold.ToString();
      out["freshnessSelector"] = g.freshness_selector;
      break;
    case GateKind::kSoak:
      out["soak"] = Text(g.soak);
      break;
    case GateKind::kReadiness:
      out["items"] = g.items;
      break;
    case GateKind::kDrill:
      out["items"] = g.items;
      out["maxAge"] = Text(g.max_age);
      break;
    case GateKind::kApproval:
      out["roles"] = RulesToJson(g.roles);
      out["serviceAccounts"] = g.service_accounts;
      break;
    case GateKind::kCapacity:
      out["minReadyAgents"] = g.min_ready_agents;
      break;
    case GateKind::kIncident:
      out["holdsFromSeverity"] = g.holds_from_severity;
      break;
    case GateKind::kGpuIdle:
      out["query"] = g.query;
      out["freshnessSelector"] = g.freshness_selector;
      out["items"] = g.items;
      out["minReduction"] = g.min_reduction.ToString();
      break;
    case GateKind::kExternal:
      out["url"] = g.url;
      break;
    case GateKind::kUnknown:
      break;
  }
  return out;
}

Gate GateFromJson(const json& j) {
  Gate g;
  g.name = j.at("name");
  g.kind = GateKindFromName(j.at("kind").get<std::string>());
  g.on_fail = ReactionFrom(j.at("onFail"));
  g.on_no_data = ReactionFrom(j.at("onNoData"));
  g.on_error = ReactionFrom(j.at("onError"));
  g.waivable = j.at("waivable");
  g.valid_for = Span(j.at("validFor"));
  g.min_samples = j.at("minSamples");
  g.slo_template = j.value("template", "");
  if (j.contains("minBudgetRemaining")) g.min_budget_remaining = Number(j["minBudgetRemaining"]);
  if (j.contains("below")) g.burn_below = Number(j["below"]);
  g.query = j.value("query", "");
  if (j.contains("op")) g.op = OrThrow(ComparisonFromName(j["op"].get<std::string>()));
  if (j.contains("threshold")) g.threshold = Number(j["threshold"]);
  g.freshness_selector = j.value("freshnessSelector", "");
  if (j.contains("soak")) g.soak = Span(j["soak"]);
  if (j.contains("items")) g.items = j["items"].get<std::vector<std::string>>();
  const bool needs_item =
      g.kind == GateKind::kReadiness || g.kind == GateKind::kDrill || g.kind == GateKind::kGpuIdle;
  if (needs_item && g.items.empty()) throw std::invalid_argument("a gate without its item");
  if (j.contains("maxAge")) g.max_age = Span(j["maxAge"]);
  if (j.contains("roles")) g.roles = RulesFromJson(j["roles"]);
  g.service_accounts = j.value("serviceAccounts", false);
  g.min_ready_agents = j.value("minReadyAgents", std::int64_t{0});
  g.holds_from_severity = j.value("holdsFromSeverity", 0);
  if (j.contains("minReduction")) g.min_reduction = Number(j["minReduction"]);
  g.url = j.value("url", "");
  return g;
}

json ToJson(const GateResult& r) {
  json out = {{"gate", r.gate},
              {"verdict", VerdictName(r.verdict)},
              {"threshold", r.threshold},
              {"value", r.value},
              {"evaluatedAt", TimeText(r.evaluated_at)},
              {"validUntil", TimeText(r.valid_until)},
              {"since", TimeText(r.since)},
              {"evidenceHash", r.evidence_hash},
              {"unblockedBy", r.unblocked_by},
              {"reaction", ReactionName(r.reaction)},
              {"latched", r.latched}};
  for (const CauseDetail& c : r.causes) {
    out["causes"].push_back({{"cause", CauseName(c.cause)}, {"message", c.message}});
  }
  if (r.data_time) out["dataTime"] = TimeText(*r.data_time);
  if (r.raw_verdict) out["rawVerdict"] = VerdictName(*r.raw_verdict);
  if (r.raw_cause) out["rawCause"] = CauseName(*r.raw_cause);
  if (!r.exempted_by.empty()) out["exemptedBy"] = r.exempted_by;
  return out;
}

GateResult ResultFromJson(const json& j) {
  GateResult r;
  r.gate = j.at("gate");
  r.verdict = OrThrow(VerdictFromName(j.at("verdict").get<std::string>()));
  r.threshold = j.at("threshold");
  r.value = j.at("value");
  r.evaluated_at = Time(j.at("evaluatedAt"));
  r.valid_until = Time(j.at("validUntil"));
  r.since = Time(j.at("since"));
  r.evidence_hash = j.at("evidenceHash");
  r.unblocked_by = j.at("unblockedBy");
  r.reaction = ReactionFrom(j.at("reaction"));
  r.latched = j.at("latched");
  for (const json& c : j.at("causes")) {
    r.causes.push_back({OrThrow(CauseFromName(c.at("cause").get<std::string>())), c.at("message")});
  }
  if (r.causes.empty()) throw std::invalid_argument("a result without a cause");
  if (j.contains("dataTime")) r.data_time = Time(j["dataTime"]);
  if (j.contains("rawVerdict")) {
    r.raw_verdict = OrThrow(VerdictFromName(j["rawVerdict"].get<std::string>()));
  }
  if (j.contains("rawCause")) {
    r.raw_cause = OrThrow(CauseFromName(j["rawCause"].get<std::string>()));
  }
  r.exempted_by = j.value("exemptedBy", "");
  return r;
}

json ToJson(const Context& c) {
  json out = {{"class", ClassName(c.change_class)},
              {"auditWritable", c.audit_writable},
              {"maxEvidenceAge", Text(c.max_evidence_age)}};
  for (const Exemption& e : c.exemptions) {
    json item = {{"name", e.name}, {"gates", e.gates}, {"expiresAt", TimeText(e.expires_at)}};
    for (const Cause cause : e.also) item["also"].push_back(CauseName(cause));
    if (!e.freezes.empty()) item["freezes"] = e.freezes;
    out["exemptions"].push_back(std::move(item));
  }
  for (const Freeze& f : c.freezes) {
    json item = {{"name", f.name}, {"reason", f.reason}, {"reopensAt", TimeText(f.reopens_at)}};
    for (const ChangeClass exception : f.exceptions) {
      item["exceptions"].push_back(ClassName(exception));
    }
    if (!f.problem.empty()) item["problem"] = f.problem;
    out["freezes"].push_back(std::move(item));
  }
  return out;
}

Context ContextFromJson(const json& j) {
  Context c;
  c.change_class = ClassFrom(j.at("class"));
  c.audit_writable = j.at("auditWritable");
  c.max_evidence_age = Span(j.at("maxEvidenceAge"));
  for (const json& item : j.value("exemptions", json::array())) {
    Exemption e{.name = item.at("name"),
                .gates = item.at("gates"),
                .also = {},
                .expires_at = Time(item.at("expiresAt")),
                .freezes = item.value("freezes", std::vector<std::string>())};
    for (const json& cause : item.value("also", json::array())) {
      e.also.push_back(OrThrow(CauseFromName(cause.get<std::string>())));
    }
    c.exemptions.push_back(std::move(e));
  }
  for (const json& item : j.value("freezes", json::array())) {
    Freeze f{.name = item.at("name"),
             .reason = item.at("reason"),
             .reopens_at = Time(item.at("reopensAt")),
             .exceptions = {},
             .problem = item.value("problem", "")};
    for (const json& exception : item.value("exceptions", json::array())) {
      f.exceptions.push_back(ClassFrom(exception));
    }
    c.freezes.push_back(std::move(f));
  }
  return c;
}

}  // namespace sluice::gates
