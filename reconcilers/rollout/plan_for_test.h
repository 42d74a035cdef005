// A Rollout of two waves with a site of four nodes each, and the controllers that obey it, played.
#pragma once

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "api/types/conditions.h"
#include "api/types/json_codec.h"
#include "api/v1alpha1/common.pb.h"
#include "api/v1alpha1/promotion.pb.h"
#include "api/v1alpha1/rollout.pb.h"
#include "api/v1alpha1/stage_plan.pb.h"
#include "reconcilers/rollout/plan.h"

namespace sluice::rollout {

using gates::Cause;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

inline constexpr const char* kOld = "agent@sha256:old";
inline constexpr const char* kNew = "agent@sha256:new";

class RolloutPlan : public ::testing::Test {
 protected:
  RolloutPlan() {
    const auto read = types::FromJson(nlohmann::json::parse(R"({"releaseRef": {"name": "r2"},
        "requestedBy": "ana", "waves": [
        {"name": "first", "sites": {"names": ["a"]}, "soakSeconds": 10, "stepPercent": 50},
        {"name": "rest", "sites": {"names": ["b"]}, "soakSeconds": 10, "stepPercent": 50}],
        "progressDeadlineSeconds": 100})"),
                                      &spec_);
    EXPECT_TRUE(read.ok()) << read.ToString();
    seen_.name = "weekly";
    seen_.generation = 1;
    seen_.spec = &spec_;
    seen_.status = &status_;
    seen_.release = ReleaseView{"2.0.0", kNew, "IfNotPresent", {}, std::nullopt};
    seen_.members = {{"first", {"a"}}, {"rest", {"b"}}};
    seen_.now = base::WallTime(std::chrono::seconds(1'800'000'000));
    for (const char* name : {"a", "b"}) {
      SiteView site;
      site.name = name;
      site.uid = std::string("uid-") + name;
      site.current = true;
      site.release = "r1";
      site.image = kOld;
      site.image_pull_policy = "IfNotPresent";
      site.version = "1.0.0";
      site.nodes = 4;
      seen_.sites[name] = site;
    }
  }
  // One run of the controller: asks what the plan asks, writes the status, then the sites.
  Plan Run(bool passes = true) {
    seen_.answer.reset();
    Plan plan = PlanRollout(seen_);
    if (plan.question) {
      asked_.push_back(*plan.question);
      Answer answer{*plan.question, passes, false, false, {}, nullptr, {}};
      answer.said = std::make_shared<v1alpha1::RolloutStatus>();
      if (!passes) answer.holds = {{"a/quiet", Cause::kIncidentOpen, "inc-7", "eve", ""}};
      seen_.answer = answer;
      plan = PlanRollout(seen_);
      seen_.answer.reset();
    }
    status_ = *plan.status;
    for (const Move& move : plan.moves) moves_.push_back(move.type);
    Project();
    return plan;
  }
  void Project() {
    for (const SiteRelease& wanted : WantedReleases(seen_, status_)) {
      SiteView& site = seen_.sites.at(wanted.site);
      site.release = wanted.release;
      site.image = wanted.image;
      site.image_pull_policy = wanted.image_pull_policy;
      site.rollout = wanted.under_rollout ? "weekly" : "";
      site.current = false;
    }
  }
  const v1alpha1::RolloutSite* Entry(const std::string& name) const {
    for (const auto& site : status_.sites()) {
      if (site.name() == name) return &site;
    }
    return nullptr;
  }
  // The site's controller gives as many nodes the image as it may, all of them ready but `unready`.
  void Obey(const std::string& name, int unready = 0, int failed = 0) {
    if (seen_.sites.count(name) == 0) return;
    SiteView& site = seen_.sites.at(name);
    const v1alpha1::RolloutSite* entry = Entry(name);
    const int target = entry == nullptr ? 0 : std::min(entry->target_nodes(), site.nodes);
    site.current = true;
    if (site.rollout != "weekly") return;
    site.counted_image = site.image;
    site.updated = target;
    site.updated_ready = target - unready;
    site.failed = failed;
  }
  void Pass(int seconds) { seen_.now += std::chrono::seconds(seconds); }
  void Settle(const std::string& site) {
    Obey(site);
    Run();
    Pass(10);
    Run();
  }
  std::string Held() const {
    return status_.blocked_by_size() == 0
               ? ""
               : status_.blocked_by(0).gate() + " " + status_.blocked_by(0).cause();
  }
  void Finish() {
    for (int i = 0; i < 40 && status_.outcome().empty(); ++i) {
      Settle("a");
      Settle("b");
    }
  }

  v1alpha1::RolloutSpec spec_;
  v1alpha1::RolloutStatus status_;
  Observed seen_;
  std::vector<Question> asked_;
  std::vector<std::string> moves_;
};

}  // namespace sluice::rollout
