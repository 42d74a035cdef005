// Every kind of gate on a real API server with a real Prometheus, held by each of its causes: one
// Site a row, all at once. The controller is restarted while they hold, which moves none of them;
// then each is healed by what its cause asks for, and advances.
#include "tests/integration/gates/causes_world.h"

namespace sluice {
namespace {

// Waits after a provider's error double up to a minute.
constexpr auto kHeals = 180s;

class CausesTest : public CausesWorld {
 protected:
  std::vector<Row> AllRows();
  std::vector<Row> OfMetrics();
  std::vector<Row> OfObjectives();
  std::vector<Row> OfPeople();
  std::vector<Row> OfProviders();
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
