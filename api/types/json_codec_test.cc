#include "api/types/json_codec.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <limits>
#include <nlohmann/json.hpp>

#include "api/v1alpha1/promotion.pb.h"
#include "api/v1alpha1/service_level_objective.pb.h"
#include "api/v1alpha1/site.pb.h"
#include "api/v1alpha1/site_class.pb.h"
#include "api/v1alpha1/stage_plan.pb.h"
#include "api/v1alpha1/tenant.pb.h"

namespace sluice::types {
namespace {

using nlohmann::json;

json SiteJson() {
  return json::parse(R"({
    "spec": {
      "classRef": {"name": "gpu-dense-liquid"},
      "nodeSelector": {"sluice.dev/site": "phoenix"},
      "origins": [{"name": "lake", "s3": {"endpoint": "https://s3.example.com", "region": "us-west-2",
                   "credentialsRef": {"name": "lake-agent"}}}],
      "mounts": [{"path": "/datasets", "origin": "lake", "bucket": "training", "prefix": "curated/"}],
      "updates": {"maxUnavailable": 2, "drainSeconds": 30},
      "stage": "Run",
      "requestedBy": "ana@example.com"
    },
    "status": {
      "observedGeneration": 7,
      "stage": "Crawl",
      "agents": {"wanted": 2, "ready": 0},
      "blockedBy": [{"gate": "soak", "since": "2026-11-22T05:00:00Z"}]
    }
  })");
}

std::string ErrorOf(const json& value, google::protobuf::Message* message) {
  const base::Status status = FromJson(value, message);
  EXPECT_EQ(status.code(), base::Code::kInvalidArgument) << status.ToString();
  return status.message();
}

TEST(JsonCodec, ReadsAndWritesAnObjectUnchanged) {
  v1alpha1::Site site;
  ASSERT_TRUE(FromJson(SiteJson(), &site).ok());
  EXPECT_EQ(site.spec().class_ref().name(), "gpu-dense-liquid");
  EXPECT_EQ(site.spec().node_selector().at("sluice.dev/site"), "phoenix");
  EXPECT_EQ(site.spec().origins(0).s3().credentials_ref().name(), "lake-agent");
  EXPECT_EQ(site.status().blocked_by(0).gate(), "soak");
  EXPECT_EQ(ToJson(site), SiteJson());
}

TEST(JsonCodec, PassesOverWhatItDoesNotKnow) {
  json value = SiteJson();
  value["apiVersion"] = "sluice.dev/v1alpha1";
  value["metadata"] = {{"name", "phoenix"}, {"generation", 7}};
  value["spec"]["addedInALaterVersion"] = {1, 2, 3};
  v1alpha1::Site site;
  ASSERT_TRUE(FromJson(value, &site).ok());
  EXPECT_EQ(ToJson(site), SiteJson());
}

TEST(JsonCodec, KeepsZeroApartFromUnset) {
  v1alpha1::Site site;
  ASSERT_TRUE(FromJson(SiteJson(), &site).ok());
  EXPECT_TRUE(site.status().agents().has_ready());
  EXPECT_FALSE(site.status().agents().has_configured());
  EXPECT_EQ(ToJson(site)["status"]["agents"], (json{{"wanted", 2}, {"ready", 0}}));
}

TEST(JsonCodec, WritesARequiredScalarEvenWhenItIsZero) {
  v1alpha1::Promotion promotion;
  promotion.mutable_spec()->mutable_site_ref();
  EXPECT_EQ(ToJson(promotion)["spec"]["siteRef"], (json{{"name", ""}, {"uid", ""}}));
  EXPECT_FALSE(ToJson(promotion)["spec"].contains("from"));
}

TEST(JsonCodec, ReadsNullAsUnset) {
  json value = SiteJson();
  value["status"]["agents"]["ready"] = nullptr;
  value["spec"]["origins"] = nullptr;
  v1alpha1::Site site;
  ASSERT_TRUE(FromJson(value, &site).ok());
  EXPECT_FALSE(site.status().agents().has_ready());
  EXPECT_EQ(site.spec().origins_size(), 0);
}

TEST(JsonCodec, KeepsIntegersBeyondADouble) {
  const std::int64_t big = (std::int64_t{1} << 53) + 1;
  v1alpha1::Promotion promotion;
  for (const std::int64_t number :
       {big, std::numeric_limits<std::int64_t>::max(), std::numeric_limits<std::int64_t>::min()}) {
    const json value = json::parse(R"({"spec": {"generation": )" + std::to_string(number) + "}}");
    ASSERT_TRUE(FromJson(value, &promotion).ok());
    EXPECT_EQ(promotion.spec().generation(), number);
    EXPECT_EQ(json::parse(ToJson(promotion).dump())["spec"]["generation"], number);
  }
}

TEST(JsonCodec, TakesQuantitiesAndPercentagesAsStringOrInteger) {
  v1alpha1::SiteClass site_class;
  ASSERT_TRUE(
      FromJson({{"spec", {{"agent", {{"memory", 1073741824}, {"disk", "48Ti"}}}}}}, &site_class)
          .ok());
  EXPECT_EQ(site_class.spec().agent().memory(), "1073741824");
  const json written = ToJson(site_class)["spec"]["agent"];
  EXPECT_EQ(written, (json{{"memory", 1073741824}, {"disk", "48Ti"}}));
}

TEST(JsonCodec, NamesThePathOfAWrongType) {
  v1alpha1::Site site;
  json value = SiteJson();
  value["spec"]["origins"][0]["name"] = 5;
  EXPECT_EQ(ErrorOf(value, &site), "spec.origins[0].name: expected a string, found a number");
  EXPECT_EQ(ToJson(site), json::object()) << "nothing half-read is left";

  value = SiteJson();
  value["spec"]["nodeSelector"]["sluice.dev/site"] = true;
  EXPECT_EQ(ErrorOf(value, &site),
            "spec.nodeSelector[sluice.dev/site]: expected a string, found a boolean");
  value = SiteJson();
  value["spec"]["mounts"] = json::object();
  EXPECT_EQ(ErrorOf(value, &site), "spec.mounts: expected a list, found an object");
  EXPECT_EQ(ErrorOf(json::array(), &site), "object: expected an object, found a list");
}

TEST(JsonCodec, RefusesFractionsAndWhatDoesNotFit) {
  v1alpha1::Site site;
  const auto with_wanted = [](const char* number) {
    return json::parse(std::string(R"({"status": {"agents": {"wanted": )") + number + "}}}");
  };
  EXPECT_EQ(
      ErrorOf(with_wanted("1.5"), &site),
      "status.agents.wanted: expected an integer, found a number with a fraction or exponent");
  EXPECT_EQ(ErrorOf(with_wanted("2147483648"), &site),
            "status.agents.wanted: 2147483648 does not fit into 32 bits");
  EXPECT_EQ(ErrorOf(with_wanted("18446744073709551615"), &site),
            "status.agents.wanted: 18446744073709551615 does not fit into 32 bits");
  EXPECT_TRUE(FromJson(with_wanted("-2147483648"), &site).ok());
}

TEST(JsonCodec, RefusesTwoMembersOfAOneof) {
  v1alpha1::StagePlan plan;
  const json gate = json::parse(R"({"name": "a", "soak": {"seconds": 30},
      "slo": {"template": "read-availability", "minBudgetRemaining": "0.5"}})");
  const json value = {{"spec", {{"stages", {{{"name", "Walk"}, {"entryGates", {gate}}}}}}}};
  EXPECT_EQ(ErrorOf(value, &plan),
            "spec.stages[0].entryGates[0].soak: cannot be given together with slo");
}

TEST(JsonCodec, ShowsWhichKindOfGateItRead) {
  v1alpha1::Gate gate;
  ASSERT_TRUE(
      FromJson(json::parse(R"({"name": "soak", "soak": {"seconds": 1209600}})"), &gate).ok());
  EXPECT_EQ(gate.kind_case(), v1alpha1::Gate::kSoak);
  EXPECT_EQ(gate.soak().seconds(), 1209600);
}

}  // namespace
}  // namespace sluice::types
