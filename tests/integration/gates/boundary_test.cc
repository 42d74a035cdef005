// The clock at every boundary where something ends, on a real API server: wall time stands a second
// before the boundary, then exactly at it, in a new life of the controller each. What ends there
// has ended at it, what opens there is open.
#include <gtest/gtest.h>

#include <atomic>
#include <vector>

#include "controller/http/server.h"
#include "reconcilers/common/people_resources.h"
#include "tests/integration/gates/climb_world.h"

namespace sluice {
namespace {

constexpr char kBoundaryObjects[] = R"yaml(
apiVersion: v1
kind: ConfigMap
metadata: {name: nothing, namespace: sluice-system}
)yaml";

// Wall time stands where the test puts it; waiting goes on.
class HeldClock final : public base::Clock {
 public:
  base::WallTime Wall() const override {
    return base::WallTime(std::chrono::seconds(seconds_.load()));
  }
  base::MonoTime Mono() const override { return real_.Mono(); }
  bool WaitUntil(std::unique_lock<std::mutex>& lock, std::condition_variable& cv,
                 base::MonoTime deadline, const std::function<bool()>& ready) override {
    return real_.WaitUntil(lock, cv, deadline, ready);
  }
  void Stand(base::WallTime at) {
    seconds_ = std::chrono::duration_cast<std::chrono::seconds>(at.time_since_epoch()).count();
  }

 private:
  base::RealClock real_;
  std::atomic<std::int64_t> seconds_{0};
};

struct Ends {
  std::string site;
  json gate;
  std::string before, at;  // "Pass Met": a second before the boundary, and at it
  std::string shown = "tested";
};

class BoundaryTest : public ClimbWorld {
 protected:
  BoundaryTest() : ClimbWorld(kBoundaryObjects), server_of_gates_(http::Server::New({}).value()) {
    server_of_gates_->Handle("/holds", [](const http::ServerRequest&) -> http::ServerResponse {
      return {.status = 200, .body = R"({"verdict": "hold", "reason": "as it is"})"};
    });
    SLUICE_CHECK(server_of_gates_->Start().ok());
    host_ = fmt::format("127.0.0.1:{}", server_of_gates_->port());
    asker_.emplace(gates::ExternalOptions{{host_}, ""});
    clock_.Stand(start_);
    outer_.clock = &clock_;
    outer_.external = &*asker_;
  }

  // The stage Walk asks `gate`, and room that there is not: nothing climbs, every gate is seen.
  void PutSite(const Ends& row) {
    json gate = row.gate;
    gate.update({{"name", "tested"}, {"waivable", "ByExemption"}});
    const json room = {{"name", "room"}, {"capacity", {{"minReadyAgents", 9}}}};
    const json quiet = {{"name", "quiet"}, {"incident", {{"atOrAbove", "Severity1"}}}};
    Put(common::kStagePlans, row.site,
        {{"stages", json::array({{{"name", "Crawl"},
                                  {"tenancy", "SingleTenant"},
                                  {"maxTenants", 1},
                                  {"entryGates", json::array({quiet})}},
                                 {{"name", "Walk"},
                                  {"tenancy", "CustomerTenant"},
                                  {"entryGates", json::array({gate, room})}}})},
         {"waiverRoles", json::array({{{"role", "Decide"}, {"users", {"bob"}}}})}});
    Put(common::kSiteClasses, row.site,
        {{"hardware", {{"gpusPerNode", 0}}},
         {"agent", {{"memory", "192Mi"}, {"protocols", {"S3"}}}},
         {"stagePlanRef", {{"name", row.site}}}});
    Put(common::kSites, row.site,
        {{"classRef", {{"name", row.site}}},
         {"nodeSelector", {{"sluice.dev/site", row.site}}},
         {"stage", "Walk"},
         {"requestedBy", "kubernetes-admin"}});
  }
  json Promotion(const std::string& site) {
    const json object = Look(common::kSites, site);
    return Look(common::kPromotions, object.value(json::json_pointer("/status/promotion"), ""));
  }
  // The gate of that name: "Pass Met", and "none" when there is none.
  std::string Said(const Ends& row, const std::string& when = {}) {
    const json promotion = Promotion(row.site);
    std::string said = "none";
    bool looked = false;
    for (const json& gate : promotion.value(json::json_pointer("/status/gates"), json::array())) {
      looked = looked || when.empty() || gate.value("evaluatedAt", "") == when;
      if (gate.value("name", "") != row.shown) continue;
      said = gate.value("verdict", "") + " " + gate.value("cause", "");
      if (!when.empty() && gate.value("evaluatedAt", "") != when) return "not looked at yet";
    }
    return looked ? said : "not looked at yet";
  }
  void Review(const std::string& site, const std::string& valid_for) {
    const json item = {{"name", "item"},        {"owner", "ana"},
                       {"verifiedBy", "bob"},   {"evidence", "https://wiki.example.com/item"},
                       {"validFor", valid_for}, {"verifiedAt", At(start_)}};
    Put(common::kReadinessReviews, site + "-walk",
        {{"siteRef", {{"name", site}}}, {"stage", "Walk"}, {"items", json::array({item})}});
  }
  // Bob decides about `subject`; the question and his answer end then.
  void Decide(const std::string& name, json subject, base::WallTime question,
              base::WallTime answer) {
    Put(common::kDecisions, name,
        {{"question", "May it?"},
         {"subject", subject},
         {"requestedBy", "ana"},
         {"expiresAt", At(question)}});
    json seen = {{"uid", subject["uid"]}, {"generation", subject["generation"]}};
    if (subject.contains("planHash")) seen["planHash"] = subject["planHash"];
    Put(common::kApprovals, name,
        {{"decisionRef",
          {{"name", name}, {"uid", Look(common::kDecisions, name)["metadata"]["uid"]}}},
         {"subject", seen},
         {"role", "Decide"},
         {"verdict", "Agree"},
         {"approver", {{"user", "bob"}}},
         {"expiresAt", At(answer)}});
  }
  json StepOf(const std::string& site) {
    const json object = Look(common::kSites, site), promotion = Promotion(site);
    return {{"kind", "Site"},
            {"name", site},
            {"uid", object["metadata"]["uid"]},
            {"generation", object["metadata"]["generation"]},
            {"stage", "Walk"},
            {"planHash", promotion["spec"]["plan"]["hash"]}};
  }
  void Exempt(const std::string& site, base::WallTime exemption, base::WallTime decision) {
    Put(common::kExemptions, site,
        {{"sites", {{"names", {site}}}},
         {"gates", {"tested"}},
         {"reason", "A deal."},
         {"ticket", "T-7"},
         {"requestedBy", "ana"},
         {"decisionRef", {{"name", site}}},
         {"expiresAt", At(exemption)}});
    Decide(site,
           {{"kind", "Exemption"},
            {"name", site},
            {"uid", Look(common::kExemptions, site)["metadata"]["uid"]},
            {"generation", 1}},
           decision, decision);
  }

  const base::WallTime start_ =
      std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now());
  const base::WallTime boundary_ = start_ + 1h;
  HeldClock clock_;
  std::unique_ptr<http::Server> server_of_gates_;
  std::string host_;
  std::optional<gates::ExternalCheck> asker_;
};

TEST_F(BoundaryTest, WhatEndsAtAnInstantHasEndedAtItAndNotASecondBefore) {
  const json approval = {
      {"approval", {{"roles", json::array({{{"role", "Decide"}, {"users", {"bob"}}}})}}}};
  const json readiness = {{"readiness", {{"items", {"item"}}}}};
  const json holds = {{"external", {{"url", "http://" + host_ + "/holds"}}}};
  const std::vector<Ends> rows = {
      {"soak", {{"soak", {{"seconds", 3600}}}}, "Hold Soaking", "Pass Met"},
      {"item", readiness, "Pass Met", "Hold ReadinessMissing"},
      {"drill",
       {{"drill", {{"item", "item"}, {"maxAgeSeconds", 3600}}}},
       "Pass Met",
       "Hold ReadinessMissing"},
      {"vote", approval, "Pass Met", "Hold AwaitingApproval"},
      {"question", approval, "Pass Met", "Hold AwaitingApproval"},
      {"exemption", holds, "Pass Exempted", "Hold GateFailed"},
      {"permission", holds, "Pass Exempted", "Hold GateFailed"},
      {"closing", readiness, "Hold Frozen", "none", "freeze"},
      {"opening", readiness, "none", "Hold Frozen", "freeze"},
  };
  for (const Ends& row : rows) PutSite(row);
  Review("item", "1h");
  for (const char* site : {"drill", "closing", "opening"}) Review(site, "90d");
  for (const Ends& row : rows) {
    const auto waits_for_walk = [&] {
      const json promotion = Promotion(row.site);
      return promotion.value(json::json_pointer("/spec/to"), "") == "Walk" &&
             promotion.contains(json::json_pointer("/status/gates"));
    };
    ASSERT_TRUE(WaitUntil(waits_for_walk, kPatience))
        << row.site << Look(common::kSites, row.site).dump(1);
  }
  const auto later = boundary_ + 1h;
  Decide("vote", StepOf("vote"), later, boundary_);
  Decide("question", StepOf("question"), boundary_, later);
  Exempt("exemption", boundary_, later);
  Exempt("permission", later, boundary_);
  Put(common::kFreezeWindows, "closing",
      {{"reason", "Golden run."},
       {"sites", {{"names", {"closing"}}}},
       {"once", {{"from", At(start_)}, {"to", At(boundary_)}}}});
  Put(common::kFreezeWindows, "opening",
      {{"reason", "Golden run."},
       {"sites", {{"names", {"opening"}}}},
       {"once", {{"from", At(boundary_)}, {"to", At(later)}}}});

  life_.reset();
  clock_.Stand(boundary_ - 1s);
  Start();
  for (const Ends& row : rows) {
    EXPECT_TRUE(WaitUntil([&] { return Said(row, At(boundary_ - 1s)) == row.before; }, kPatience))
        << row.site << " a second before is " << Said(row);
  }
  life_.reset();
  clock_.Stand(boundary_);
  Start();
  for (const Ends& row : rows) {
    EXPECT_TRUE(WaitUntil([&] { return Said(row) == row.at; }, kPatience))
        << row.site << " at the boundary is " << Said(row);
  }
}

}  // namespace
}  // namespace sluice
