// What leads to a look at a class.
#include "reconcilers/siteclass/register.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "controller/testing/fake_api.h"
#include "reconcilers/common/resources.h"
#include "reconcilers/common/wiring_for_test.h"

namespace sluice::siteclass {
namespace {

using common::Wiring;
using nlohmann::json;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;

TEST(SiteClassWiring, ASiteMadeAnewConcernsTheClassesBeforeAndNowAndItsStatusNone) {
  base::FakeClock clock;
  testing_kit::FakeApi api(clock);
  Wiring wiring(api, clock);
  Register(wiring, {api, clock});
  const json site = {{"metadata", {{"name", "phoenix"}}},
                     {"spec", {{"classRef", {{"name", "old"}}}}}};
  cache::Event event = Wiring::MadeAnew(site);
  EXPECT_THAT(wiring.Looks("siteclass", common::kSites, event), ElementsAre("old"));
  json moved = event.after->ToJson();
  moved["spec"]["classRef"]["name"] = "new";
  event.after = meta::Object::FromJson(moved).value();
  EXPECT_THAT(wiring.Looks("siteclass", common::kSites, event), UnorderedElementsAre("old", "new"));
  EXPECT_THAT(wiring.Looks("siteclass", common::kSites,
                           Wiring::Changed(site, {{"status", {{"stage", "Walk"}}}})),
              IsEmpty());
}

}  // namespace
}  // namespace sluice::siteclass
