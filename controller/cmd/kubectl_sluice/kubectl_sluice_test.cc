#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <nlohmann/json.hpp>

#include "controller/base/file.h"
#include "controller/base/time_format.h"
#include "controller/cmd/kubectl_sluice/answer.h"
#include "controller/cmd/kubectl_sluice/chain.h"
#include "controller/cmd/kubectl_sluice/commands.h"
#include "controller/cmd/kubectl_sluice/json_form.h"
#include "controller/cmd/kubectl_sluice/listing.h"
#include "controller/cmd/kubectl_sluice/options.h"
#include "controller/cmd/kubectl_sluice/text.h"
#include "controller/testing/fake_api.h"
#include "controller/testing/status_matchers.h"
#include "reconcilers/common/resources.h"

namespace sluice::kubectl {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;
using ::testing::Not;
using testing_kit::HasError;
using testing_kit::IsOk;

// Read from the source root, where the tests run. SLUICE_UPDATE_GOLDEN=1 rewrites what is expected.
const std::string kData = "controller/cmd/kubectl_sluice/testdata/";

struct Case {
  Objects objects;
  base::WallTime now;
};

Case Load(const std::string& name) {
  const json data = json::parse(base::ReadFile(kData + name + ".json").value());
  Case out;
  out.objects.site = *meta::Object::FromJson(data.at("site"));
  for (const json& promotion : data.at("promotions")) {
    out.objects.promotions.push_back(*meta::Object::FromJson(promotion));
  }
  if (data.contains("plan")) out.objects.plan = *meta::Object::FromJson(data["plan"]);
  for (const json& objective : data.value("objectives", json::array())) {
    out.objects.objectives.push_back(*meta::Object::FromJson(objective));
  }
  out.now = *base::ParseRfc3339(data.at("now").get<std::string>());
  return out;
}

void ExpectGolden(const std::string& file, const std::string& text) {
  if (std::getenv("SLUICE_UPDATE_GOLDEN") != nullptr) {
    ASSERT_THAT(base::WriteFileAtomic(kData + file, text), IsOk());
  }
  const auto expected = base::ReadFile(kData + file);
  ASSERT_THAT(expected, IsOk());
  EXPECT_EQ(text, *expected) << file;
}

class WhyGolden : public ::testing::TestWithParam<const char*> {};

TEST_P(WhyGolden, PrintsWhatTheStatusesRecord) {
  const Case c = Load(GetParam());
  const auto chain = BuildChain(c.objects, c.now);
  ASSERT_THAT(chain, IsOk());
  ExpectGolden(std::string(GetParam()) + ".txt", RenderText(*chain, {}, c.now));
}

INSTANTIATE_TEST_SUITE_P(Cases, WhyGolden,
                         ::testing::Values("holding", "provider_error", "reached", "aborted",
                                           "superseded", "lower_wanted", "blocked_by_class",
                                           "former_site"));

TEST(Why, JsonCarriesTheEvidence) {
  const Case c = Load("holding");
  const auto chain = BuildChain(c.objects, c.now);
  ASSERT_THAT(chain, IsOk());
  ExpectGolden("holding.expected.json", RenderJson(*chain));
}

TEST(Why, EvidenceAndColourOnlyWhenAskedFor) {
  const Case c = Load("holding");
  const auto chain = BuildChain(c.objects, c.now);
  const std::string plain = RenderText(*chain, {}, c.now);
  EXPECT_THAT(plain, Not(HasSubstr("\x1b[")));
  EXPECT_THAT(plain, Not(HasSubstr("query")));
  const std::string full = RenderText(*chain, {.colour = true, .evidence = true}, c.now);
  EXPECT_THAT(full, HasSubstr("\x1b[33mHOLD"));
  EXPECT_THAT(full, HasSubstr("query 1 - good/total"));
}

// The controller is stopped, and the Site's stage was changed: the condition is of the old spec.
TEST(Why, AnOldStatusIsNotPassedOffAsTodaysAnswer) {
  Case c = Load("lower_wanted");
  json site = c.objects.site->ToJson();
  site["metadata"]["generation"] = 8;
  site["status"]["conditions"] = {{{"type", "StageReached"},
                                   {"status", "False"},
                                   {"reason", "PlanMissing"},
                                   {"message", "there is no StagePlan crawl-walk-run"}}};
  c.objects.site = *meta::Object::FromJson(site);
  const auto chain = BuildChain(c.objects, c.now);
  ASSERT_THAT(chain, IsOk());
  const std::string said =
      "the controller has not looked at generation 8 yet (it saw 7); is it running?";
  const std::string text = RenderText(*chain, {}, c.now);
  EXPECT_THAT(text, HasSubstr("\n" + said));
  EXPECT_THAT(text, Not(HasSubstr("there is no StagePlan")));
  EXPECT_EQ(json::parse(RenderJson(*chain))["stale"], said);
  EXPECT_FALSE(json::parse(RenderJson(*chain)).contains("note"));
  site["status"].erase("observedGeneration");
  c.objects.site = *meta::Object::FromJson(site);
  EXPECT_THAT(BuildChain(c.objects, c.now)->stale, HasSubstr("(it saw none)"));
}

TEST(Why, ColourIsForTerminalsThatShowIt) {
  EXPECT_TRUE(WantsColour(true, nullptr, "xterm"));
  EXPECT_TRUE(WantsColour(true, "", nullptr)) << "NO_COLOR counts when it is not empty";
  EXPECT_FALSE(WantsColour(true, "1", "xterm"));
  EXPECT_FALSE(WantsColour(true, nullptr, "dumb"));
  EXPECT_FALSE(WantsColour(false, nullptr, "xterm"));
}

TEST(Preview, JudgesKnownEvidenceByTheLaterGatesOwnLimits) {
  const Case c = Load("holding");
  const auto chain = BuildChain(c.objects, c.now);
  ASSERT_THAT(chain, IsOk());
  ASSERT_EQ(chain->then.size(), 1u);
  const LaterStage& run = chain->then[0];
  EXPECT_EQ(run.gates, 4);
  ASSERT_EQ(run.holds.size(), 2u) << "soak, and 82 % where 90 % is needed";
  EXPECT_EQ(run.holds[1].cause, "GateFailed");
  // Nothing is known of capacity, and the recorded burn has no evidence: neither is invented.
  EXPECT_THAT(run.unknown, ::testing::ElementsAre("burn", "capacity"));
}

// The evidence was read 38 s after the period began: the later gate holds for that, whatever it
// says.
TEST(Preview, KnowsTheCalendarOfAnObjective) {
  Case c = Load("holding");
  json objective = json::parse(base::ReadFile(kData + "holding.json").value())["objectives"][0];
  objective["spec"]["window"] = "1M";
  objective["spec"]["calendar"] = {{"startTime", "2026-01-22 09:59:00"}, {"timeZone", "UTC"}};
  c.objects.objectives = {*meta::Object::FromJson(objective)};
  const auto chain = BuildChain(c.objects, c.now);
  ASSERT_THAT(chain, IsOk());
  EXPECT_EQ(chain->then.at(0).holds.at(1).cause, "InsufficientSamples");
}

TEST(CanAdvance, SaysNoWithEveryHoldAndYesOnlyWhileEveryPassIsValid) {
  const Case c = Load("holding");
  auto chain = BuildChain(c.objects, c.now);
  ASSERT_THAT(chain, IsOk());
  const Advance no = CanAdvance(*chain, c.now);
  EXPECT_FALSE(no.yes);
  EXPECT_THAT(no.text, HasSubstr("no: phoenix from Crawl to Walk\n  HOLD  soak  Soaking"));
  EXPECT_EQ(json::parse(no.json)["holds"][0]["gate"], "soak");
  for (GateLine& gate : chain->gates) gate.verdict = "Pass";
  chain->gates[0].valid_until = chain->gates[1].valid_until;
  EXPECT_TRUE(CanAdvance(*chain, c.now).yes);
  EXPECT_FALSE(CanAdvance(*chain, c.now + std::chrono::hours(24 * 365)).yes)
      << "no Pass is eternal";
  chain->next.clear();
  EXPECT_FALSE(CanAdvance(*chain, c.now).yes);
}

TEST(CanAdvance, CannotTellFromAStatusOfAnOlderSpec) {
  Case c = Load("holding");
  json site = c.objects.site->ToJson();
  site["metadata"]["generation"] = 8;
  c.objects.site = *meta::Object::FromJson(site);
  auto chain = BuildChain(c.objects, c.now);
  ASSERT_THAT(chain, IsOk());
  for (GateLine& gate : chain->gates) {
    gate.verdict = "Pass";
    gate.valid_until = base::FormatRfc3339(c.now + std::chrono::hours(1));
  }
  const Advance answer = CanAdvance(*chain, c.now);
  EXPECT_FALSE(answer.yes);
  EXPECT_EQ(answer.text, "cannot tell of phoenix: " + chain->stale + "\n");
  EXPECT_EQ(json::parse(answer.json)["advances"], false);
  EXPECT_EQ(json::parse(answer.json)["stale"], chain->stale);
}

TEST(Yaml, IsWhatTheJsonIs) {
  EXPECT_EQ(YamlOf(R"({"a":"1","b":[],"c":[{"d":true,"e":[1,"x"]},2],"f":{},"No":1,"a b":2})"),
            "a: \"1\"\nb: []\nc:\n  - d: true\n    e:\n      - 1\n      - \"x\"\n"
            "  - 2\nf: {}\n\"No\": 1\n\"a b\": 2\n");
  EXPECT_EQ(YamlOf("[]"), "[]\n");
  EXPECT_EQ(YamlOf("[{\"a\":1}]"), "- a: 1\n");
}

TEST(Commands, ATenantIsExplainedWithItsSites) {
  base::FakeClock clock;
  testing_kit::FakeApi api(clock);
  api.Put(common::kTenants,
          json::parse(R"({"metadata": {"name": "falcon"}, "spec": {"sites": ["phoenix", "gone"]},
            "status": {"conditions": [{"type": "Ready", "status": "False", "reason": "StageFull",
                                       "message": "no place"}]}})"));
  api.Put(common::kSites,
          json::parse(R"({"metadata": {"name": "phoenix"}, "spec": {"stage": "Crawl"}})"));
  Options options;
  options.tenant = "falcon";
  const auto text = Why(api, options, {}, clock.Wall());
  ASSERT_THAT(text, IsOk());
  EXPECT_THAT(*text, HasSubstr("falcon\n  the controller has not looked at generation 1 yet (it "
                               "saw none); is it running?\n  False  Ready  StageFull  no place"));
  EXPECT_THAT(*text, HasSubstr("gone: there is no such Site"));
  EXPECT_THAT(*text, HasSubstr("phoenix"));
  options.output = Output::kYaml;
  EXPECT_THAT(*Why(api, options, {}, clock.Wall()), HasSubstr("tenant: \"falcon\""));
  options.tenant = "nobody";
  EXPECT_THAT(Why(api, options, {}, clock.Wall()),
              HasError(base::Code::kNotFound,
                       HasSubstr("there is no Tenant \"nobody\"; there are: falcon")));
}

TEST(Commands, AMissingSiteIsToldWithThoseThatExist) {
  base::FakeClock clock;
  testing_kit::FakeApi api(clock);
  api.Put(common::kSites, {{"apiVersion", "sluice.dev/v1alpha1"},
                           {"kind", "Site"},
                           {"metadata", {{"name", "denver"}}},
                           {"spec", {{"stage", "Crawl"}}}});
  Options options;
  options.site = "phoenix";
  EXPECT_THAT(Why(api, options, {}, clock.Wall()),
              HasError(base::Code::kNotFound,
                       HasSubstr("there is no Site \"phoenix\"; there are: denver")));
  EXPECT_THAT(*SiteTable(api, options), AllOf(HasSubstr("denver   -"), HasSubstr("not looked at")));
  api.Put(common::kSites, {{"metadata", {{"name", "denver"}}},
                           {"spec", {{"stage", "Crawl"}}},
                           {"status", {{"observedGeneration", 1}}}});
  EXPECT_THAT(*SiteTable(api, options), Not(HasSubstr("not looked at")));
  options.command = Command::kStatus;
  options.output = Output::kJson;
  EXPECT_EQ(json::parse(*SiteTable(api, options)),
            json::parse(R"([{"site": "denver", "stage": "", "wants": "Crawl", "ready": "Unknown",
                             "agents": {"ready": 0, "wanted": 0}, "blockedBy": []}])"));
}

TEST(Commands, AnErrorOfTheClientIsToldWithItsCure) {
  const std::string server = "https://h:6443";
  EXPECT_EQ(Explained(base::Unavailable("h:6443: connect: Connection refused"), server).message(),
            "the API server https://h:6443 does not answer: h:6443: connect: Connection refused; "
            "--context names another cluster");
  EXPECT_THAT(
      Explained(base::Status(base::Code::kUnauthenticated, "Unauthorized"), server),
      HasError(base::Code::kUnauthenticated, HasSubstr("credentials: Unauthorized; renew")));
  EXPECT_THAT(
      Explained(base::Status(base::Code::kPermissionDenied, "sites.sluice.dev is forbidden"),
                server),
      HasError(base::Code::kPermissionDenied, HasSubstr("; ClusterRole sluice-view allows")));
  EXPECT_EQ(Explained(base::NotFound("x"), server).message(), "x");
}

TEST(Commands, AClusterWithoutSluiceIsToldApartFromAnEmptyOne) {
  base::FakeClock clock;
  testing_kit::FakeApi api(clock);
  Options options;
  options.site = "phoenix";
  EXPECT_THAT(*SiteTable(api, options), HasSubstr("No sites found"));
  EXPECT_THAT(Why(api, options, {}, clock.Wall()),
              HasError(base::Code::kNotFound, HasSubstr("\"phoenix\"; there are none")));
  api.FailBefore([](const testing_kit::Call&) {
    return base::NotFound("the server could not find the requested resource");
  });
  EXPECT_THAT(SiteTable(api, options),
              HasError(base::Code::kFailedPrecondition,
                       HasSubstr("the cluster has no sites.sluice.dev: Sluice is not installed")));
  EXPECT_THAT(Why(api, options, {}, clock.Wall()),
              HasError(base::Code::kFailedPrecondition, HasSubstr("--context names another")));
}

}  // namespace
}  // namespace sluice::kubectl
