// A site that climbs from nothing over Crawl to Walk: the whole reconciler over an API in memory, a
// scripted Prometheus and a real audit log that can be away.
#pragma once

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>

#include "controller/cache/memory_store.h"
#include "controller/http/testing/imposter.h"
#include "controller/testing/fake_api.h"
#include "reconcilers/audit/watched_audit_for_test.h"
#include "reconcilers/common/resources.h"
#include "reconcilers/promotion/reconciler.h"

namespace sluice::promotion {

using nlohmann::json;
using std::chrono::seconds;

// Answers a query about time stamps with the query's own time, and every other with `value`.
class ScriptedPrometheus {
 public:
  ScriptedPrometheus() : imposter_([this](http::testing::ImposterConnection& c) { Serve(c); }) {}
  std::string url() { return imposter_.url(); }
  std::atomic<bool> down{false};
  std::atomic<const char*> value{"0"};

 private:
  void Serve(http::testing::ImposterConnection& c) {
    while (const auto request = c.ReadRequest()) {
      if (down) {
        c.Send(http::testing::Answer(503, "down"));
        continue;
      }
      const auto at = request->body.find("&time=");
      const std::string now = request->body.substr(at + 6, 10);
      const bool freshness = request->body.find("timestamp") != std::string::npos;
      c.Send(http::testing::Answer(
          200, fmt::format(R"({{"status":"success","data":{{"resultType":"vector","result":[)"
                           R"({{"metric":{{}},"value":[{},"{}"]}}]}}}})",
                           now, freshness ? now : std::string(value.load()))));
    }
  }
  http::testing::Imposter imposter_;
};

class RememberedEvents final : public recorder::Recorder {
 public:
  void Record(const recorder::Reference& about, recorder::Type, std::string_view reason,
              std::string_view, std::string_view) override {
    reasons.push_back(about.name + " " + std::string(reason));
  }
  std::vector<std::string> reasons;
};

class PromotionReconcilerTest : public ::testing::Test {
 protected:
  PromotionReconcilerTest() {
    promotions_.AddIndex(kPromotionsBySite, [](const meta::Object& p) {
      return std::vector<std::string>{p.ToJson()["spec"]["siteRef"].value("name", "")};
    });
    api_.Put(common::kStagePlans, json::parse(R"({"metadata": {"name": "plan"}, "spec": {"stages": [
        {"name": "Crawl", "tenancy": "SingleTenant", "maxTenants": 1, "entryGates": [
          {"name": "nodes", "validForSeconds": 300, "metric": {"query": "bad{site=\"$site\"}",
           "op": "lte", "threshold": "0", "freshnessSelector": "bad{site=\"$site\"}"}}]},
        {"name": "Walk", "tenancy": "CustomerTenant", "entryGates": [
          {"name": "soak", "validForSeconds": 300, "soak": {"seconds": 30}},
          {"name": "nodes", "validForSeconds": 300, "metric": {"query": "bad{site=\"$site\"}",
           "op": "lte", "threshold": "0", "freshnessSelector": "bad{site=\"$site\"}"}}]}]}})"));
    api_.Put(common::kSiteClasses,
             {{"metadata", {{"name", "class"}}}, {"spec", {{"stagePlanRef", {{"name", "plan"}}}}}});
    PutSite("Walk");
  }

  void PutSite(const std::string& stage) {
    api_.Put(common::kSites,
             {{"metadata", {{"name", "phoenix"}}},
              {"spec",
               {{"classRef", {{"name", "class"}}},
                {"stage", stage},
                {"requestedBy", "ana@example.com"},
                {"prometheus", {{"url", prometheus_.url()}, {"scrapeIntervalSeconds", 10}}}}}});
  }

  void Fill(cache::MemoryStore& store) {
    const auto list = api_.List(store.resource(), {});
    ASSERT_TRUE(list.ok());
    store.BeginState();
    for (const meta::ObjectPtr& object : list->items) store.Put(object);
    store.EndState(list->resource_version);
  }

  reconcile::Result Once() {
    for (auto* store : {&sites_, &classes_, &plans_, &promotions_, &objectives_}) Fill(*store);
    return reconciler_->Reconcile({{"", "phoenix"}}, {});
  }
  void Settle(int rounds = 12) {
    for (int i = 0; i < rounds; ++i) Once();
  }
  // A new process: everything in memory is lost.
  void Restart() {
    registry_ = std::make_unique<base::metrics::Registry>();
    reconciler_ = std::make_unique<PromotionReconciler>(
        Stores{sites_, classes_, plans_, promotions_, objectives_}, api_, secrets_, audit_, events_,
        *registry_, clock_);
  }

  json Site() { return api_.Look(common::kSites, {"", "phoenix"}); }
  std::string Stage() { return Site().value(json::json_pointer("/status/stage"), ""); }
  json Promotion(const std::string& name) { return api_.Look(common::kPromotions, {"", name}); }
  std::string Outcome(const std::string& name) {
    return Promotion(name).value(json::json_pointer("/status/outcome"), "");
  }

  base::FakeClock clock_;
  ScriptedPrometheus prometheus_;
  testing_kit::FakeApi api_{clock_};
  cache::MemoryStore sites_{common::kSites, clock_}, classes_{common::kSiteClasses, clock_},
      plans_{common::kStagePlans, clock_}, promotions_{common::kPromotions, clock_},
      objectives_{common::kObjectives, clock_}, secret_store_{common::kSecrets, clock_};
  common::SecretReader secrets_{api_, secret_store_, "sluice-system", clock_};
  RememberedEvents events_;
  audit::fakes::WatchedAudit audit_{clock_};
  std::unique_ptr<base::metrics::Registry> registry_ = std::make_unique<base::metrics::Registry>();
  std::unique_ptr<PromotionReconciler> reconciler_ = std::make_unique<PromotionReconciler>(
      Stores{sites_, classes_, plans_, promotions_, objectives_}, api_, secrets_, audit_, events_,
      *registry_, clock_);
};

}  // namespace sluice::promotion
