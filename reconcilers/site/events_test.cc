#include "reconcilers/site/events.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "reconcilers/common/wiring_for_test.h"

namespace sluice::site {
namespace {

TEST(SiteEvents, ASiteMadeAnewUnderItsNameMattersAndItsAgentsCountsDoNot) {
  const nlohmann::json site = {{"metadata", {{"name", "phoenix"}}}, {"spec", {{"stage", "Walk"}}}};
  EXPECT_TRUE(SiteMatters(common::Wiring::MadeAnew(site)));
  EXPECT_FALSE(
      SiteMatters(common::Wiring::Changed(site, {{"status", {{"agents", {{"ready", 3}}}}}})));
  EXPECT_TRUE(SiteMatters(common::Wiring::Changed(site, {{"status", {{"stage", "Walk"}}}})));
}

}  // namespace
}  // namespace sluice::site
