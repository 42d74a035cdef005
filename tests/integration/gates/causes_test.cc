// Every kind of gate on a real API server with a real Prometheus, held by each of its causes: one
// Site a row, all at once. The controller is restarted while they hold, which moves none of them;
// then each is healed by what its cause asks for, and advances.
#include <gtest/gtest.h>

#include <atomic>
#include <map>
#include <mutex>
#include <vector>

#include "controller/http/server.h"
#include "reconcilers/common/people_resources.h"
#include "tests/integration/gates/climb_world.h"

namespace sluice {
namespace {

// Waits after a provider's error double up to a minute.
constexpr auto kHeals = 180s;
constexpr char kCausesObjects[] = R"yaml(
apiVersion: v1
kind: ConfigMap
metadata: {name: nothing, namespace: sluice-system}
)yaml";
constexpr char kUnreachable[] =
    "remote_read: [{url: 'http://127.0.0.1:1/', read_recent: true, remote_timeout: 1s}]\n";

// The audit log of a full disk, while it is.
class SwitchedAudit final : public audit::Appender {
 public:
  base::Status Append(const std::vector<audit::Entry>&, audit::Anchor) override { return Ready(); }
  base::Status Ready() override {
    return full ? base::Unavailable("the disk is full") : base::OkStatus();
  }
  std::string HeadHash() const override { return {}; }
  std::atomic<bool> full{false};
};

// Another system: answers each path with what the test says; nothing: 500.
class Outside {
 public:
  Outside() : server_(http::Server::New({}).value()) {
    server_->Handle("/ask/", [this](const http::ServerRequest& request) -> http::ServerResponse {
      const std::lock_guard lock(mutex_);
      const auto found = answers_.find(request.path.substr(5));
      if (found == answers_.end()) return {.status = 500};
      return {.status = 200, .content_type = "application/json", .body = found->second};
    });
    SLUICE_CHECK(server_->Start().ok());
  }
  std::string host() const { return fmt::format("127.0.0.1:{}", server_->port()); }
  void Say(const std::string& path, const char* verdict) {
    const std::lock_guard lock(mutex_);
    answers_[path] = json{{"verdict", verdict}, {"reason", "as it is"}}.dump();
  }

 private:
  std::mutex mutex_;
  std::map<std::string, std::string> answers_;
  std::unique_ptr<http::Server> server_;
};

struct Row {
  std::string site, cause;
  json gate;
  std::function<void()> heal;
  json objective = nullptr;  // of a gate that asks one
  std::string verdict = "Hold";
  std::string url = {};              // of its Prometheus; empty: the one that is well
  std::function<void()> after = {};  // what needs the open Promotion
  std::string blocker = "tested";
};

class CausesTest : public ClimbWorld {
 protected:
  CausesTest() : ClimbWorld(kCausesObjects), asker_(gates::ExternalOptions{{outside_.host()}, ""}) {
    outer_.audit = &audit_;
    outer_.external = &asker_;
    exporter_.Set("alive", "1");
  }
  void SetUp() override {
    ASSERT_NO_FATAL_FAILURE(ClimbWorld::SetUp());
    for (auto* other : {&down_, &slow_, &partial_}) {
      auto made =
          PrometheusProcess::Start(exporter_.port(), "", other == &partial_ ? kUnreachable : "");
      ASSERT_TRUE(made.ok()) << made.status().ToString();
      *other = *std::move(made);
    }
  }

  static json Metric(const std::string& query, const json& more = json::object()) {
    json metric = {{"query", query},
                   {"op", "lt"},
                   {"threshold", "1"},
                   {"freshnessSelector", "alive"},
                   {"learningWindow", "5m"}};
    metric.update(more);
    return {{"metric", metric}};
  }
  static json Slo(const char* least) {
    return {{"slo", {{"template", "availability"}, {"minBudgetRemaining", least}}}};
  }
  // Of 100 events a second, `bad` are bad; a tenth may be.
  json Objective(const std::string& site, double bad, const json& more = json::object()) {
    exporter_.Grow(site + "_all", 100);
    exporter_.Grow(site + "_bad", bad);
    json objective = {{"subjectRef", {{"kind", "Site"}, {"name", site}}},
                      {"indicator",
                       {{"ratio",
                         {{"bad", "sum(rate(" + site + "_bad[$window]))"},
                          {"total", "sum(rate(" + site + "_all[$window]))"}}}}},
                      {"window", "20s"},
                      {"target", "0.9"},
                      {"minEvents", 10},
                      {"alertWindows", json::array({{{"severity", "Page"},
                                                     {"longWindow", "10s"},
                                                     {"shortWindow", "4s"},
                                                     {"factor", "2"}}})}};
    objective.update(more);
    return objective;
  }
  static json Approval() {
    return {{"approval", {{"roles", json::array({{{"role", "Decide"}, {"users", {"bob"}}}})}}}};
  }
  std::function<void()> Sets(const std::string& series, const std::string& value) {
    return [=, this] { exporter_.Set(series, value); };
  }
  std::function<void()> NoMoreBad(const std::string& site) {
    return [=, this] { exporter_.Grow(site + "_bad", 0); };
  }
  // A Site that asks the Prometheus that is well.
  std::function<void()> Moves(const std::string& site) {
    return [=, this] { PutSite(site, prometheus_->url()); };
  }
  std::function<void()> Reviews(const std::string& site, base::Duration ago,
                                const std::string& value = "") {
    return [=, this] {
      json item = {{"name", "item"},
                   {"owner", "ana"},
                   {"evidence", "https://wiki.example.com/item"},
                   {"verifiedBy", "kubernetes-admin"},
                   {"verifiedAt", At(std::chrono::system_clock::now() -
                                     std::chrono::duration_cast<std::chrono::seconds>(ago))},
                   {"validFor", "90d"}};
      if (!value.empty()) item["value"] = value;
      Put(common::kReadinessReviews, site + "-crawl",
          {{"siteRef", {{"name", site}}}, {"stage", "Crawl"}, {"items", json::array({item})}});
    };
  }
  std::function<void()> Votes(const std::string& site, const std::string& verdict) {
    return [=, this] { Vote(site, verdict); };
  }

  void Vote(const std::string& site, const std::string& verdict) {
    json object, promotion;
    ASSERT_TRUE(WaitUntil(
        [&] {
          object = Look(common::kSites, site);
          promotion = Look(common::kPromotions, At(object, "/status/promotion"));
          return promotion.contains("spec") &&
                 promotion["spec"]["generation"] == object["metadata"]["generation"];
        },
        kPatience))
        << object.dump(1);
    const std::string name = fmt::format("{}-{}", site, ++votes_);
    const std::string ends = sluice::At(std::chrono::system_clock::now() + 1h);
    json subject = {{"uid", object["metadata"]["uid"]},
                    {"generation", object["metadata"]["generation"]},
                    {"planHash", promotion["spec"]["plan"]["hash"]}};
    json asked = subject;
    asked.update({{"kind", "Site"}, {"name", site}, {"stage", "Crawl"}});
    Put(common::kDecisions, name,
        {{"question", "Crawl?"}, {"subject", asked}, {"requestedBy", "ana"}, {"expiresAt", ends}});
    Put(common::kApprovals, name,
        {{"decisionRef",
          {{"name", name}, {"uid", At(Look(common::kDecisions, name), "/metadata/uid")}}},
         {"subject", subject},
         {"role", "Decide"},
         {"verdict", verdict},
         {"approver", {{"user", "bob"}}},
         {"expiresAt", ends}});
  }
  static std::string At(const json& object, const char* pointer) {
    return object.value(json::json_pointer(pointer), "");
  }
  static std::string At(base::WallTime time) { return sluice::At(time); }

  void PutSite(const std::string& site, const std::string& url, const std::string& region = "") {
    json spec = {{"classRef", {{"name", site}}},
                 {"nodeSelector", {{"sluice.dev/site", site}}},
                 {"prometheus", {{"url", url}, {"scrapeIntervalSeconds", 1}}},
                 {"stage", "Crawl"},
                 {"requestedBy", "kubernetes-admin"}};
    if (!region.empty()) spec["region"] = region;
    Put(common::kSites, site, std::move(spec));
  }
  void PutPlan(const std::string& site, json gate) {
    gate.update({{"name", "tested"}, {"validForSeconds", 30}});
    Put(common::kStagePlans, site,
        {{"stages", json::array({{{"name", "Crawl"},
                                  {"tenancy", "SingleTenant"},
                                  {"maxTenants", 1},
                                  {"entryGates", json::array({gate})}}})}});
  }
  void PutRow(const Row& row) {
    PutPlan(row.site, row.gate);
    Put(common::kSiteClasses, row.site,
        {{"hardware", {{"gpusPerNode", 0}}},
         {"agent", {{"memory", "192Mi"}, {"protocols", {"S3"}}}},
         {"stagePlanRef", {{"name", row.site}}}});
    if (!row.objective.is_null()) {
      Put(common::kObjectives, row.site + "-availability", row.objective);
    }
    PutSite(row.site, row.url.empty() ? prometheus_->url() : row.url);
  }

  // "tested Hold NoData"; what no gate says has no verdict of its own.
  std::string Held(const std::string& site) {
    const json status = Look(common::kSites, site).value("status", json::object());
    const json first = status.value(json::json_pointer("/blockedBy/0"), json::object());
    const std::string gate = first.value("gate", ""), cause = first.value("cause", "");
    std::string verdict = "Hold";
    const json promotion = Look(common::kPromotions, status.value("promotion", ""));
    for (const json& each : promotion.value(json::json_pointer("/status/gates"), json::array())) {
      if (each.value("name", "") == gate) verdict = each.value("verdict", "");
    }
    return gate + " " + verdict + " " + cause;
  }
  std::string StageOf(const std::string& site) {
    return At(Look(common::kSites, site), "/status/stage");
  }
  void ExpectHeld(const Row& row, const char* when) {
    const std::string wanted = row.blocker + " " + row.verdict + " " + row.cause;
    EXPECT_TRUE(WaitUntil([&] { return Held(row.site) == wanted; }, kPatience))
        << when << ": " << row.site << " wanted " << wanted << ", is " << Held(row.site) << "\n"
        << Look(common::kPromotions, At(Look(common::kSites, row.site), "/status/promotion"))
               .value("status", json())
               .dump(1);
    EXPECT_EQ(StageOf(row.site), "") << row.site << " " << when;
  }
  void ExpectReached(const std::string& site, std::chrono::seconds limit) {
    EXPECT_TRUE(WaitUntil([&] { return StageOf(site) == "Crawl"; }, limit))
        << site << " is held by " << Held(site);
  }

  std::vector<Row> AllRows();
  std::vector<Row> OfMetrics();
  std::vector<Row> OfObjectives();
  std::vector<Row> OfPeople();
  std::vector<Row> OfProviders();

  SwitchedAudit audit_;
  Outside outside_;
  gates::ExternalCheck asker_;
  std::unique_ptr<PrometheusProcess> down_, slow_, partial_;
  int votes_ = 0;
};

// What is set here is there before anything is spoilt, so that every query has returned data once.
std::vector<Row> CausesTest::OfMetrics() {
  for (const char* metric : {"fails", "notanumber", "infinite", "several", "gone", "badquery"}) {
    exporter_.Set(metric, "0");
  }
  exporter_.Set("empty", "6");
  exporter_.Set("shrinks_20s", "0");
  exporter_.Set("shrinks_2s", "0");
  exporter_.Set("idle", "0.1");
  // A sample with a time of its own, which goes on being told.
  const auto now = std::chrono::duration_cast<std::chrono::milliseconds>(
      std::chrono::system_clock::now().time_since_epoch());
  exporter_.Set("old", fmt::format("0 {}", now.count()));
  return {
      {"fails", "GateFailed", Metric("fails"), Sets("fails", "0"), nullptr, "Fail"},
      // The names of two series stand for two windows: neither clears by itself.
      {"shrinks", "Recovering",
       Metric("shrinks_$window", {{"longWindow", "20s"}, {"shortWindow", "2s"}}),
       Sets("shrinks_20s", "0")},
      {"notanumber", "NoData", Metric("notanumber"), Sets("notanumber", "0")},
      {"infinite", "NoData", Metric("infinite"), Sets("infinite", "0")},
      {"empty", "NoData", Metric("empty > 5", {{"op", "gte"}}), Sets("empty", "6")},
      {"typo", "Misconfigured", Metric("typo"), Sets("typo", "0")},
      {"several", "Misconfigured", Metric("several"),
       [this] { exporter_.Remove("several{second=\"1\"}"); }},
      {"badquery", "Misconfigured", Metric("badquery +"),
       [this] { PutPlan("badquery", Metric("badquery")); }},
      {"gone", "StaleData",
       Metric("avg_over_time(gone[$window])",
              {{"longWindow", "10m"}, {"freshnessSelector", "gone"}}),
       Sets("gone", "0")},
      {"old", "StaleData", Metric("old", {{"freshnessSelector", "old"}}), Sets("old", "0")},
      {"idle",
       "GateFailed",
       {{"gpuIdle",
         {{"query", "avg(avg_over_time(idle[$window]))"},
          {"freshnessSelector", "idle"},
          {"window", "3s"},
          {"baselineItem", "item"},
          {"minReduction", "0.5"}}}},
       Sets("idle", "0.1"),
       nullptr,
       "Fail"},
      {"nobaseline",
       "ReadinessMissing",
       {{"gpuIdle",
         {{"query", "alive - 0.9"},
          {"freshnessSelector", "alive"},
          {"baselineItem", "item"},
          {"minReduction", "0.5"}}}},
       Reviews("nobaseline", 1h, "0.4")},
  };
}

std::vector<Row> CausesTest::OfObjectives() {
  return {
      {"exhausted", "BudgetExhausted", Slo("0.1"), NoMoreBad("exhausted"),
       Objective("exhausted", 50)},
      {"spent", "GateFailed", Slo("0.9"), NoMoreBad("spent"), Objective("spent", 2), "Fail"},
      {"cautious", "BudgetCaution", Slo("0.1"), NoMoreBad("cautious"),
       Objective("cautious", 2, {{"budgetPolicy", {{"cautionBelow", "0.9"}}}})},
      {"frozenbudget", "BudgetExhausted", Slo("0.1"), NoMoreBad("frozenbudget"),
       Objective("frozenbudget", 2,
                 {{"budgetPolicy", {{"cautionBelow", "0.9"}, {"freezeBelow", "0.9"}}}})},
      {"few", "InsufficientSamples", Slo("0.1"), [this] { exporter_.Grow("few_all", 5000); },
       Objective("few", 0, {{"minEvents", 20000}})},
      {"burns",
       "GateFailed",
       {{"burnRate", {{"template", "availability"}, {"below", "0.1"}}}},
       NoMoreBad("burns"),
       Objective("burns", 2),
       "Fail"},
      {"noobjective", "Misconfigured", Slo("0.1"),
       [this] {
         Put(common::kObjectives, "noobjective-availability", Objective("noobjective", 0));
       }},
  };
}

std::vector<Row> CausesTest::OfPeople() {
  const auto external = [this](const char* path) -> json {
    return {{"external", {{"url", "http://" + outside_.host() + "/ask/" + path}}}};
  };
  const auto now = std::chrono::system_clock::now();
  const json incident = {{"sites", {"incident"}},
                         {"severity", "Severity1"},
                         {"state", "Open"},
                         {"summary", "Reads fail."},
                         {"owner", "eve"}};
  Put(common::kIncidents, "inc-7", incident);
  json closed = incident;
  closed.update({{"state", "Closed"}, {"postmortem", "https://wiki.example.com/pm-7"}});
  Put(common::kFreezeWindows, "golden-run",
      {{"reason", "Golden run."},
       {"sites", {{"names", {"frozen"}}}},
       {"once", {{"from", At(now - 1h)}, {"to", At(now + 24h)}}}});
  Reviews("drill", 2h)();
  Reviews("idle", 1h, "0.4")();
  outside_.Say("refuses", "fail");
  outside_.Say("waits", "hold");
  const json quiet = {{"incident", {{"atOrAbove", "Severity2"}}}};
  return {
      {"unready",
       "ReadinessMissing",
       {{"readiness", {{"items", {"item"}}}}},
       Reviews("unready", 1h)},
      {"drill",
       "ReadinessMissing",
       {{"drill", {{"item", "item"}, {"maxAgeSeconds", 3600}}}},
       Reviews("drill", 1min)},
      {"unasked", "AwaitingApproval", Approval(), Votes("unasked", "Agree")},
      {"refused", "Refused", Approval(), Votes("refused", "Agree"), nullptr, "Hold", "",
       Votes("refused", "Disagree")},
      {"outdated", "ApprovalOutdated", Approval(), Votes("outdated", "Agree"), nullptr, "Hold", "",
       [this] {
         Vote("outdated", "Disagree");
         PutSite("outdated", prometheus_->url(), "west");
       }},
      {"small",
       "WaitingForCapacity",
       {{"capacity", {{"minReadyAgents", 1}}}},
       [this] {
         PutStatus(common::kSites, "small", {{"agents", {{"ready", 1}}}});
       }},
      {"incident", "IncidentOpen", quiet, [=, this] { Put(common::kIncidents, "inc-7", closed); }},
      {"frozen",
       "Frozen",
       quiet,
       [this] {
         EXPECT_TRUE(api_->Delete(common::kFreezeWindows, {"", "golden-run"}).ok());
       },
       nullptr,
       "Hold",
       "",
       {},
       "freeze"},
      {"fail", "GateFailed", external("refuses"), [this] { outside_.Say("refuses", "pass"); },
       nullptr, "Fail"},
      {"hold", "GateFailed", external("waits"), [this] { outside_.Say("waits", "pass"); }},
      {"mute", "ProviderError", external("silent"), [this] { outside_.Say("silent", "pass"); }},
      {"unlisted",
       "Misconfigured",
       {{"external", {{"url", "http://127.0.0.1:1/x"}}}},
       [this] {
         PutPlan("unlisted", {{"capacity", {{"minReadyAgents", 1}}}});
         PutStatus(common::kSites, "unlisted", {{"agents", {{"ready", 1}}}});
       }},
  };
}

std::vector<Row> CausesTest::OfProviders() {
  const json alive = Metric("alive", {{"threshold", "2"}});
  return {
      {"down", "ProviderError", alive, Moves("down"), nullptr, "Hold", down_->url()},
      {"slow", "ProviderError", alive, [this] { slow_->Resume(); }, nullptr, "Hold", slow_->url()},
      {"partial", "ProviderError", alive, Moves("partial"), nullptr, "Hold", partial_->url()},
  };
}

std::vector<Row> CausesTest::AllRows() {
  std::vector<Row> rows;
  for (auto part : {&CausesTest::OfMetrics, &CausesTest::OfObjectives, &CausesTest::OfPeople,
                    &CausesTest::OfProviders}) {
    for (Row& row : (this->*part)()) rows.push_back(std::move(row));
  }
  return rows;
}

TEST_F(CausesTest, EveryGateHoldsByEachOfItsCausesAcrossARestartAndThenGoesOn) {
  const std::vector<Row> rows = AllRows();
  const auto scrape = [this](int count) {
    const int until = exporter_.scrapes() + count;
    ASSERT_TRUE(WaitUntil([&] { return exporter_.scrapes() >= until; }, kPatience));
  };
  scrape(24);  // four Prometheus: six rounds of each
  exporter_.Set("fails", "2");
  exporter_.Set("shrinks_20s", "2");
  exporter_.Set("notanumber", "NaN");
  exporter_.Set("infinite", "+Inf");
  exporter_.Set("empty", "1");
  exporter_.Set("several{second=\"1\"}", "0");
  exporter_.Remove("gone");
  exporter_.Set("idle", "0.3");
  down_->Kill();
  slow_->Stop();
  scrape(12);
  for (const Row& row : rows) PutRow(row);
  for (const Row& row : rows) {
    if (row.after) row.after();
  }
  for (const Row& row : rows) ExpectHeld(row, "at first");
  Restart();
  // The last in the queue of the new life: when it has advanced, all others were looked at.
  PutRow({"last", "", Metric("alive", {{"threshold", "2"}}), {}});
  ExpectReached("last", kPatience);
  for (const Row& row : rows) ExpectHeld(row, "after the restart");
  for (const Row& row : rows) row.heal();
  for (const Row& row : rows) ExpectReached(row.site, kHeals);
}

TEST_F(CausesTest, AnAuditLogThatCannotBeWrittenAndAReleasePastItsEndHoldWhateverTheGatesSay) {
  const json alive = Metric("alive", {{"threshold", "2"}});
  const auto life = [this](bool over) {
    PutStatus(common::kSites, "ended",
              {{"conditions",
                json::array({{{"type", "ReleaseSupported"},
                              {"status", over ? "False" : "True"},
                              {"reason", over ? "EndOfLife" : "Supported"},
                              {"message", "as the Site's controller says"},
                              {"lastTransitionTime", At(std::chrono::system_clock::now())}}})}});
  };
  const Row unrecorded{"unrecorded", "AuditUnavailable", alive, {}, nullptr, "Hold", "",
                       {},           "StageReached"};
  const Row ended{"ended", "EndOfLife", alive, {}, nullptr, "Hold", "", {}, "StageReached"};
  life_.reset();
  PutRow(ended);
  life(true);
  Start();
  ExpectHeld(ended, "at first");
  audit_.full = true;
  PutRow(unrecorded);
  ExpectHeld(unrecorded, "at first");
  Restart();
  ExpectHeld(unrecorded, "after the restart");
  ExpectHeld(ended, "after the restart");
  audit_.full = false;
  ExpectReached("unrecorded", kHeals);
  life(false);
  ExpectReached("ended", kHeals);
}

}  // namespace
}  // namespace sluice
