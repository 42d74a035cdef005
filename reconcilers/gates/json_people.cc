#include "reconcilers/gates/json_people.h"

#include <nlohmann/json.hpp>
#include <stdexcept>

#include "controller/base/time_format.h"
#include "reconcilers/gates/json_form.h"

namespace sluice::gates {
namespace {

using nlohmann::json;

json ToJson(const Subject& s) {
  return {
      {"uid", s.uid}, {"generation", s.generation}, {"planHash", s.plan_hash}, {"stage", s.stage}};
}

Subject SubjectFromJson(const json& j) {
  return {.uid = j.at("uid"),
          .generation = j.at("generation"),
          .plan_hash = j.at("planHash"),
          .stage = j.at("stage")};
}

json ToJson(const ReadinessFacts& r) {
  json out = {{"review", r.review}, {"found", r.found}, {"items", json::array()}};
  for (const ReadinessItem& i : r.items) {
    json item = {
        {"name", i.name}, {"owner", i.owner}, {"validFor", base::FormatDuration(i.valid_for)}};
    if (!i.verified_by.empty()) item["verifiedBy"] = i.verified_by;
    if (i.verified_at) item["verifiedAt"] = TimeText(*i.verified_at);
    if (!i.value.empty()) item["value"] = i.value;
    out["items"].push_back(std::move(item));
  }
  return out;
}

ReadinessFacts ReadinessFromJson(const json& j) {
  ReadinessFacts r{.review = j.at("review"), .found = j.at("found"), .items = {}};
  for (const json& item : j.at("items")) {
    ReadinessItem i;
    i.name = item.at("name");
    i.owner = item.at("owner");
    i.valid_for = SpanFromJson(item.at("validFor"));
    i.verified_by = item.value("verifiedBy", "");
    if (item.contains("verifiedAt")) i.verified_at = TimeFromJson(item["verifiedAt"]);
    i.value = item.value("value", "");
    r.items.push_back(std::move(i));
  }
  return r;
}

json ToJson(const Ballot& b) {
  json out = {{"subject", ToJson(b.subject)},
              {"requestedBy", b.requested_by},
              {"decisions", json::array()},
              {"votes", json::array()}};
  for (const DecisionFacts& d : b.decisions) {
    out["decisions"].push_back({{"name", d.name},
                                {"uid", d.uid},
                                {"subject", ToJson(d.subject)},
                                {"requestedBy", d.requested_by},
                                {"roles", RulesToJson(d.roles)},
                                {"changeClass", d.change_class},
                                {"expiresAt", TimeText(d.expires_at)}});
  }
  for (const VoteFacts& v : b.votes) {
    out["votes"].push_back({{"approval", v.approval},
                            {"decisionUid", v.decision_uid},
                            {"subjectUid", v.subject_uid},
                            {"generation", v.generation},
                            {"planHash", v.plan_hash},
                            {"user", v.user},
                            {"groups", v.groups},
                            {"role", v.role},
                            {"agrees", v.agrees},
                            {"castAt", TimeText(v.cast_at)},
                            {"expiresAt", TimeText(v.expires_at)}});
  }
  return out;
}

Ballot BallotFromJson(const json& j) {
  Ballot b;
  b.subject = SubjectFromJson(j.at("subject"));
  b.requested_by = j.at("requestedBy").get<std::vector<std::string>>();
  for (const json& d : j.at("decisions")) {
    b.decisions.push_back({.name = d.at("name"),
                           .uid = d.at("uid"),
                           .subject = SubjectFromJson(d.at("subject")),
                           .requested_by = d.at("requestedBy"),
                           .roles = RulesFromJson(d.at("roles")),
                           .change_class = d.at("changeClass"),
                           .expires_at = TimeFromJson(d.at("expiresAt"))});
  }
  for (const json& v : j.at("votes")) {
    b.votes.push_back({.approval = v.at("approval"),
                       .decision_uid = v.at("decisionUid"),
                       .subject_uid = v.at("subjectUid"),
                       .generation = v.at("generation"),
                       .plan_hash = v.at("planHash"),
                       .user = v.at("user"),
                       .groups = v.at("groups").get<std::vector<std::string>>(),
                       .role = v.at("role"),
                       .agrees = v.at("agrees"),
                       .cast_at = TimeFromJson(v.at("castAt")),
                       .expires_at = TimeFromJson(v.at("expiresAt"))});
  }
  return b;
}

json ToJson(const IncidentList& list) {
  json out = json::array();
  for (const IncidentFacts& i : list.open) {
    out.push_back({{"name", i.name},
                   {"severity", i.severity},
                   {"owner", i.owner},
                   {"openedAt", TimeText(i.opened_at)}});
  }
  return out;
}

IncidentList IncidentsFromJson(const json& j) {
  IncidentList list;
  for (const json& i : j) {
    list.open.push_back({.name = i.at("name"),
                         .severity = i.at("severity"),
                         .owner = i.at("owner"),
                         .opened_at = TimeFromJson(i.at("openedAt"))});
  }
  return list;
}

}  // namespace

json RulesToJson(const std::vector<RoleRule>& rules) {
  json out = json::array();
  for (const RoleRule& r : rules) {
    out.push_back(
        {{"role", r.role}, {"users", r.users}, {"groups", r.groups}, {"quorum", r.quorum}});
  }
  return out;
}

std::vector<RoleRule> RulesFromJson(const json& j) {
  std::vector<RoleRule> out;
  for (const json& r : j) {
    RoleRule rule{.role = r.at("role"),
                  .users = r.at("users").get<std::vector<std::string>>(),
                  .groups = r.at("groups").get<std::vector<std::string>>(),
                  .quorum = r.at("quorum")};
    if (rule.quorum < 1 || rule.quorum > 1000) throw std::invalid_argument("a quorum out of range");
    out.push_back(std::move(rule));
  }
  return out;
}

void AddPeople(const Evidence& e, json& out) {
  if (e.readiness) out["readiness"] = ToJson(*e.readiness);
  if (e.ballot) out["ballot"] = ToJson(*e.ballot);
  if (e.incidents) out["incidents"] = ToJson(*e.incidents);
  if (e.capacity) out["capacity"] = {{"readyAgents", e.capacity->ready_agents}};
  if (e.external) {
    out["external"] = {{"url", e.external->url},
                       {"verdict", e.external->verdict},
                       {"reason", e.external->reason},
                       {"error", e.external->error}};
  }
}

void ReadPeople(const json& j, Evidence& e) {
  if (j.contains("readiness")) e.readiness = ReadinessFromJson(j["readiness"]);
  if (j.contains("ballot")) e.ballot = BallotFromJson(j["ballot"]);
  if (j.contains("incidents")) e.incidents = IncidentsFromJson(j["incidents"]);
  if (j.contains("capacity")) e.capacity = CapacityFacts{j["capacity"].at("readyAgents")};
  if (j.contains("external")) {
    const json& x = j["external"];
    e.external = ExternalFacts{x.at("url"), x.at("verdict"), x.at("reason"), x.at("error")};
  }
}

}  // namespace sluice::gates
