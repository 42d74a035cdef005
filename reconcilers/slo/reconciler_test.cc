// The objective's controller over an API in memory and a scripted Prometheus.
#include "reconcilers/slo/reconciler.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <nlohmann/json.hpp>

#include "controller/cache/memory_store.h"
#include "controller/http/testing/imposter.h"
#include "controller/testing/fake_api.h"
#include "reconcilers/common/resources.h"

namespace sluice::slo {
namespace {

using nlohmann::json;
using std::chrono::minutes;
using std::chrono::seconds;
using ::testing::HasSubstr;
using ::testing::Not;

class NoEvents final : public recorder::Recorder {
 public:
  void Record(const recorder::Reference&, recorder::Type, std::string_view reason, std::string_view,
              std::string_view) override {
    reasons.emplace_back(reason);
  }
  std::vector<std::string> reasons;
};

constexpr char kObjective[] = R"json({"metadata": {"name": "phoenix-availability"}, "spec": {
  "subjectRef": {"kind": "Site", "name": "phoenix"}, "labels": {"team": "storage"},
  "indicator": {"ratio": {"good": "sum(rate(ok{site=\"$site\"}[$window]))",
                          "total": "sum(rate(all{site=\"$site\"}[$window]))"}},
  "budgetingMethod": "Occurrences", "window": "30m", "target": "0.999", "minEvents": 0}})json";

class SloReconcilerTest : public ::testing::Test {
 protected:
  SloReconcilerTest() : prometheus_([this](http::testing::ImposterConnection& c) { Serve(c); }) {
    PutSite(prometheus_.url());
    api_.Put(common::kObjectives, json::parse(kObjective));
    api_.OnRaw([this](std::string_view, std::string_view,
                      std::string_view) -> base::StatusOr<std::string> {
      if (!operator_installed_) return base::NotFound("no such group");
      return std::string(R"({"resources": [{"name": "prometheusrules"}]})");
    });
  }

  void PutSite(const std::string& url) {
    api_.Put(common::kSites,
             {{"metadata", {{"name", "phoenix"}}},
              {"spec", {{"prometheus", {{"url", url}, {"scrapeIntervalSeconds", 10}}}}}});
  }

  // Every number is `ratio_`, counts are 1000, samples are as new as the question.
  void Serve(http::testing::ImposterConnection& c) {
    while (const auto request = c.ReadRequest()) {
      const std::string now = request->body.substr(request->body.find("&time=") + 6, 10);
      std::string value = ratio_.load();
      if (request->body.find("timestamp") != std::string::npos) value = stopped_ ? "1" : now;
      if (request->body.find("%2A%201800") != std::string::npos) value = "1000";
      c.Send(http::testing::Answer(
          200, fmt::format(R"({{"status":"success","data":{{"resultType":"vector","result":[)"
                           R"({{"metric":{{}},"value":[{},"{}"]}}]}}}})",
                           now, value)));
    }
  }

  reconcile::Result Once() {
    for (auto* store : {&objectives_, &sites_, &tenants_, &config_maps_}) {
      const auto list = api_.List(store->resource(), {});
      store->BeginState();
      for (const meta::ObjectPtr& object : list->items) store->Put(object);
      store->EndState(list->resource_version);
    }
    return reconciler_.Reconcile({{"", "phoenix-availability"}}, {});
  }

  json Status() {
    return api_.Look(common::kObjectives, {"", "phoenix-availability"}).value("status", json());
  }
  std::string Reason(const std::string& type) {
    const json status = Status();
    for (const json& c : status.value("conditions", json::array())) {
      if (c["type"] == type) return c.value("status", "") + " " + c.value("reason", "");
    }
    return "";
  }

  std::atomic<const char*> ratio_{"0.0001"};
  std::atomic<bool> operator_installed_{false};
  std::atomic<bool> stopped_{false};  // its targets, long ago
  base::FakeClock clock_;
  http::testing::Imposter prometheus_;
  testing_kit::FakeApi api_{clock_};
  cache::MemoryStore objectives_{common::kObjectives, clock_}, sites_{common::kSites, clock_},
      tenants_{common::kTenants, clock_}, config_maps_{common::kConfigMaps, clock_},
      secret_store_{common::kSecrets, clock_};
  common::SecretReader secrets_{api_, secret_store_, "sluice-system", clock_};
  NoEvents events_;
  base::metrics::Registry registry_;
  SloReconciler reconciler_{Stores{objectives_, sites_, tenants_, config_maps_},
                            api_,
                            secrets_,
                            events_,
                            registry_,
                            clock_};
};

const meta::Key kRules{"sluice-system", "sluice-rules-phoenix-availability"};

TEST_F(SloReconcilerTest, MeasuresAndPutsTheRulesIntoAConfigMap) {
  EXPECT_EQ(Once().kind(), reconcile::Result::Kind::kAfter);
  EXPECT_EQ(Status()["budgetRemaining"], "0.9");
  EXPECT_EQ(Status()["events"], 1000);
  EXPECT_EQ(Reason("Ready"), "True Measured");
  const json map = api_.Look(common::kConfigMaps, kRules);
  EXPECT_THAT(map["data"]["phoenix-availability.yaml"].get<std::string>(),
              HasSubstr("team: \"storage\""));
  EXPECT_EQ(Status()["rulesObject"], "ConfigMap sluice-system/sluice-rules-phoenix-availability");
  EXPECT_THAT(registry_.Expose(),
              HasSubstr("sluice_slo_budget_remaining{slo=\"phoenix-availability\"} 0.9"));
}

TEST_F(SloReconcilerTest, PutsThemIntoAPrometheusRuleWhereThatKindIs) {
  operator_installed_ = true;
  Once();
  EXPECT_TRUE(api_.Look(common::kConfigMaps, kRules).is_null());
  const json rule = api_.Look(PrometheusRules(), kRules);
  ASSERT_TRUE(rule.is_object());
  EXPECT_EQ(rule["spec"]["groups"][0]["name"], "sluice-phoenix-availability");
  // Someone deletes it: it is there again after the next check.
  ASSERT_TRUE(api_.Delete(PrometheusRules(), kRules).ok());
  clock_.Advance(minutes(3));
  Once();
  EXPECT_TRUE(api_.Look(PrometheusRules(), kRules).is_object());
}

TEST_F(SloReconcilerTest, WritesNothingAtRestAndRepairsDriftedRules) {
  Once();
  Once();
  api_.ForgetCalls();
  for (int i = 0; i < 60; ++i) {
    clock_.Advance(seconds(60));
    Once();
  }
  EXPECT_EQ(api_.writes(), 0);
  json map = api_.Look(common::kConfigMaps, kRules);
  map["data"]["phoenix-availability.yaml"] = "groups: []";
  api_.Put(common::kConfigMaps, map);
  Once();
  EXPECT_THAT(api_.Look(common::kConfigMaps, kRules)["data"].dump(), HasSubstr("SluiceSlo"));
}

TEST_F(SloReconcilerTest, WritesNothingWhileItCannotBeMeasuredForOneReason) {
  const auto writes = [&] {
    Once();
    Once();
    api_.ForgetCalls();
    for (int i = 0; i < 60; ++i) {
      clock_.Advance(seconds(60));
      Once();
    }
    return api_.writes();
  };
  stopped_ = true;
  EXPECT_EQ(writes(), 0);
  EXPECT_EQ(Reason("Measurable"), "False StaleData");
  PutSite("http://127.0.0.1:1");
  EXPECT_EQ(writes(), 0);
  EXPECT_EQ(Reason("Measurable"), "False ProviderError");
}

TEST_F(SloReconcilerTest, MovesTheRulesWithThePrometheusOperatorAndLeavesNoneBehind) {
  Once();
  clock_.Advance(seconds(60));
  Once();
  operator_installed_ = true;
  clock_.Advance(seconds(70));  // the kind is asked for again; the ConfigMap was just looked at
  Once();
  EXPECT_TRUE(api_.Look(PrometheusRules(), kRules).is_object());
  EXPECT_TRUE(api_.Look(common::kConfigMaps, kRules).is_null());
  EXPECT_EQ(Status()["rulesObject"],
            "PrometheusRule sluice-system/sluice-rules-phoenix-availability");
  operator_installed_ = false;
  ASSERT_TRUE(api_.Delete(PrometheusRules(), kRules).ok());  // as a kind takes its objects along
  clock_.Advance(minutes(3));
  Once();
  EXPECT_TRUE(api_.Look(common::kConfigMaps, kRules).is_object());
  EXPECT_EQ(Reason("RulesReady"), "True Applied");
  EXPECT_EQ(Status()["rulesObject"], "ConfigMap sluice-system/sluice-rules-phoenix-availability");
}

TEST_F(SloReconcilerTest, LeavesRulesThatSomebodyElseOwnsAndTellsOfThoseItMayNotDelete) {
  Once();
  json map = api_.Look(common::kConfigMaps, kRules);
  const json ours = map["metadata"]["ownerReferences"];
  map["metadata"]["ownerReferences"][0]["uid"] = "another";
  api_.Put(common::kConfigMaps, map);
  operator_installed_ = true;
  clock_.Advance(minutes(3));
  Once();
  EXPECT_TRUE(api_.Look(common::kConfigMaps, kRules).is_object());
  EXPECT_EQ(Reason("RulesReady"), "True Applied");
  map["metadata"]["ownerReferences"] = ours;
  api_.Put(common::kConfigMaps, map);
  std::atomic<bool> forbidden{true};
  api_.FailBefore([&](const testing_kit::Call& call) -> std::optional<base::Status> {
    if (!forbidden || call.verb != "delete") return std::nullopt;
    return base::PermissionDenied("configmaps is forbidden");
  });
  Once();
  EXPECT_EQ(Reason("RulesReady"), "False ApplyFailed");
  EXPECT_THAT(Status().dump(), HasSubstr("still in two places"));
  forbidden = false;
  Once();
  EXPECT_TRUE(api_.Look(common::kConfigMaps, kRules).is_null());
  EXPECT_EQ(Reason("RulesReady"), "True Applied");
}

TEST_F(SloReconcilerTest, TellsThatItMayNotReadARuleAndWritesNoneBlindly) {
  operator_installed_ = true;
  std::atomic<bool> forbidden{true};
  api_.FailBefore([&](const testing_kit::Call& call) -> std::optional<base::Status> {
    if (!forbidden || call.verb != "get") return std::nullopt;
    return base::PermissionDenied("prometheusrules is forbidden");
  });
  Once();
  EXPECT_TRUE(api_.Look(PrometheusRules(), kRules).is_null());
  EXPECT_EQ(Reason("RulesReady"), "False ApplyFailed");
  EXPECT_THAT(Status().dump(), HasSubstr("prometheusrules is forbidden"));
  forbidden = false;
  Once();
  EXPECT_TRUE(api_.Look(PrometheusRules(), kRules).is_object());
  EXPECT_EQ(Reason("RulesReady"), "True Applied");
}

TEST_F(SloReconcilerTest, ARestartThatCannotAskForTheKindLeavesTheRulesWhereTheyAre) {
  operator_installed_ = true;
  Once();
  api_.OnRaw(
      [](std::string_view, std::string_view, std::string_view) -> base::StatusOr<std::string> {
        return base::Unavailable("starting");
      });
  SloReconciler restarted(Stores{objectives_, sites_, tenants_, config_maps_}, api_, secrets_,
                          events_, registry_, clock_);
  Once();
  restarted.Reconcile({{"", "phoenix-availability"}}, {});
  EXPECT_TRUE(api_.Look(common::kConfigMaps, kRules).is_null());
  EXPECT_TRUE(api_.Look(PrometheusRules(), kRules).is_object());
}

TEST_F(SloReconcilerTest, SaysWhatKeepsItFromBeingMeasured) {
  ratio_ = "NaN";
  Once();
  EXPECT_EQ(Reason("Measurable"), "False NoData");
  EXPECT_THAT(registry_.Expose(), Not(HasSubstr("sluice_slo_budget_remaining{")));
  EXPECT_THAT(registry_.Expose(),
              HasSubstr("sluice_blocked{kind=\"ServiceLevelObjective\",cause=\"NoData\"} 1"));
  PutSite("http://127.0.0.1:1");
  Once();
  EXPECT_EQ(Reason("Measurable"), "False ProviderError");
  json objective = json::parse(kObjective);
  objective["spec"]["subjectRef"] = {{"kind", "Tenant"}, {"name", "falcon"}};
  api_.Put(common::kObjectives, objective);
  Once();
  EXPECT_EQ(Reason("Measurable"), "False Misconfigured");
  EXPECT_EQ(Reason("Ready"), "False Misconfigured");
}

TEST_F(SloReconcilerTest, AnnouncesABudgetThatRunsOut) {
  Once();
  ratio_ = "0.002";
  clock_.Advance(seconds(30));
  Once();
  EXPECT_EQ(Status()["budgetState"], "Exhausted");
  EXPECT_THAT(events_.reasons, ::testing::Contains("BudgetExhausted"));
}

TEST_F(SloReconcilerTest, RulesThatMayNotBeWrittenAreToldAndTheBudgetStillMeasured) {
  api_.FailBefore([](const testing_kit::Call& call) -> std::optional<base::Status> {
    if (call.verb == "apply" && call.resource == "configmaps") {
      return base::PermissionDenied("configmaps is forbidden");
    }
    return std::nullopt;
  });
  Once();
  EXPECT_EQ(Reason("RulesReady"), "False ApplyFailed");
  EXPECT_EQ(Reason("Measurable"), "True Measured");
}

TEST_F(SloReconcilerTest, LeavesNoSeriesBehind) {
  Once();
  ASSERT_TRUE(api_.Delete(common::kObjectives, {"", "phoenix-availability"}).ok());
  Once();
  EXPECT_THAT(registry_.Expose(), Not(HasSubstr("slo=\"phoenix-availability\"")));
}

}  // namespace
}  // namespace sluice::slo
