// What holds a gate, and what heals it: Prometheus servers that are well, killed, silent and
// partial, people who vote, another system that answers, an audit log on a full disk; and a Site a
// Row.
#pragma once

#include <gtest/gtest.h>

#include <atomic>
#include <map>
#include <mutex>
#include <vector>

#include "controller/http/server.h"
#include "reconcilers/common/people_resources.h"
#include "tests/integration/gates/climb_world.h"

namespace sluice {

inline constexpr char kCausesObjects[] = R"yaml(
apiVersion: v1
kind: ConfigMap
metadata: {name: nothing, namespace: sluice-system}
)yaml";
inline constexpr char kUnreachable[] =
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

class CausesWorld : public ClimbWorld {
 protected:
  CausesWorld()
      : ClimbWorld(kCausesObjects), asker_(gates::ExternalOptions{{outside_.host()}, ""}) {
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

  SwitchedAudit audit_;
  Outside outside_;
  gates::ExternalCheck asker_;
  std::unique_ptr<PrometheusProcess> down_, slow_, partial_;
  int votes_ = 0;
};

}  // namespace sluice
