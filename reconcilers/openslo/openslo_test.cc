#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "api/types/json_codec.h"
#include "api/v1alpha1/service_level_objective.pb.h"
#include "reconcilers/gates/objects/convert.h"
#include "reconcilers/openslo/documents_for_test.h"

namespace sluice::openslo {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class RoundTrip : public ::testing::TestWithParam<const char*> {};

TEST_P(RoundTrip, ImportExportAndImportAgainMeanTheSame) {
  const Imported first = ImportOf(Load(GetParam()));
  ASSERT_THAT(first.problems, IsEmpty()) << Told(first);
  const Exported exported = Export(first.objects);
  ASSERT_THAT(exported.problems, IsEmpty());
  // Through the text that is printed, too.
  std::vector<json> documents;
  for (const std::string& each : exported.documents) documents.push_back(json::parse(each));
  const auto read = ReadYaml(WriteYaml(documents));
  ASSERT_TRUE(read.ok()) << read.status().ToString();
  EXPECT_EQ(*read, documents);
  const Imported again = ImportOf(*read);
  ASSERT_THAT(again.problems, IsEmpty()) << Told(again);
  EXPECT_EQ(ByName(again.objects), ByName(first.objects));
  // A second export has nothing left to change.
  EXPECT_EQ(Export(again.objects).documents, exported.documents);
}

TEST_P(RoundTrip, WhatIsImportedIsMeasuredByTheEvaluator) {
  const Imported imported = ImportOf(Load(GetParam()));
  for (const std::string& text : imported.objects) {
    const json object = json::parse(text);
    v1alpha1::ServiceLevelObjective message;
    const base::Status read = types::FromJson({{"spec", object["spec"]}}, &message);
    ASSERT_TRUE(read.ok()) << read.ToString();
    const auto slo =
        gates::SloFrom(object["metadata"]["name"], message.spec(), std::chrono::seconds(15));
    EXPECT_TRUE(slo.ok()) << slo.status().ToString();
  }
}

INSTANTIATE_TEST_SUITE_P(Files, RoundTrip,
                         ::testing::Values("checkout.yaml", "slices.yaml", "calendar.yaml",
                                           "list.yaml"));

TEST(OpenSlo, EachObjectiveBecomesAnObjectWithEverythingThatMeasures) {
  const Imported imported = ImportOf(Load("checkout.yaml"));
  ASSERT_THAT(imported.objects, SizeIs(2));
  EXPECT_EQ(json::parse(imported.objects[1])["metadata"]["name"], "lake-reads-availability-2");
  EXPECT_EQ(SpecOf(imported.objects[1]), json::parse(R"json({
    "subjectRef": {"kind": "Site", "name": "phoenix"},
    "description": "Reads are answered",
    "budgetingMethod": "Occurrences", "window": "4w", "target": "0.9995", "minEvents": 1000,
    "budgetPolicy": {"cautionBelow": "0.25"},
    "indicator": {"ratio": {"good": "sum(rate(reads_total{outcome=\"ok\"}[$window]))",
                            "total": "sum(rate(reads_total[$window]))"}},
    "alertWindows": [
      {"severity": "Page", "factor": "14.4", "longWindow": "1h", "shortWindow": "5m"},
      {"severity": "Ticket", "factor": "1", "longWindow": "3d", "shortWindow": "6h"}]})json"));
  EXPECT_EQ(SpecOf(imported.objects[0])["target"], "0.99");
}

TEST(OpenSlo, CalendarsAndRatiosAsTheyStandAreTakenAsTheySay) {
  const Imported imported = ImportOf(Load("calendar.yaml"));
  ASSERT_THAT(imported.problems, IsEmpty()) << Told(imported);
  auto specs = ByName(imported.objects);
  EXPECT_THAT(specs, SizeIs(7));
  EXPECT_EQ(specs["lake-week"]["window"], "1w");
  EXPECT_EQ(specs["lake-week"]["calendar"],
            json::parse(R"({"startTime": "2024-01-06 12:00:00", "timeZone": "America/New_York"})"));
  EXPECT_EQ(specs["lake-contract-2"]["target"], "0.99");
  EXPECT_EQ(specs["lake-contract-2"]["window"], "1M");
  const json& raw = specs["satisfied-quarter-1"]["indicator"]["rawRatio"];
  EXPECT_EQ(raw["type"], "success");
  EXPECT_THAT(raw["query"].get<std::string>(), HasSubstr("client_complaint_ratio[$window]"));
  EXPECT_EQ(specs["satisfied-quarter-2"]["alertWindows"][0]["severity"], "Page");
  EXPECT_EQ(specs["failed-share"]["indicator"]["rawRatio"]["type"], "failure");
  EXPECT_EQ(specs["search-time"]["budgetingMethod"], "Occurrences");
}

TEST(OpenSlo, CalendarsAndRatiosAsTheyStandComeBackAsTheyWere) {
  std::map<std::string, json> exported;
  for (const std::string& text : Export(ImportOf(Load("calendar.yaml")).objects).documents) {
    const json document = json::parse(text);
    exported[document["metadata"]["name"].get<std::string>()] = document;
  }
  std::map<std::string, json> original;
  for (const json& document : Load("calendar.yaml")) {
    original[document["metadata"]["name"].get<std::string>()] = document;
  }
  for (const char* name : {"lake-week", "lake-contract", "satisfied-quarter", "failed-share"}) {
    const json& was = original[name]["spec"]["timeWindow"][0];
    const json& is = exported[name]["spec"]["timeWindow"][0];
    EXPECT_EQ(is["duration"], was["duration"]) << name;
    EXPECT_EQ(is["calendar"], was["calendar"]) << name;
    EXPECT_EQ(is["isRolling"], false) << name;
  }
  EXPECT_EQ(exported["lake-week"]["metadata"], original["lake-week"]["metadata"]);
  EXPECT_EQ(exported["lake-week"]["spec"]["objectives"],
            original["lake-week"]["spec"]["objectives"]);
  EXPECT_EQ(exported["lake-contract"]["spec"]["objectives"][0]["op"], "gte");
  EXPECT_FALSE(exported["lake-contract"]["spec"]["objectives"][1].contains("op"));
  EXPECT_EQ(exported["failed-share"]["spec"]["indicator"],
            original["failed-share"]["spec"]["indicator"]);
  // By reference: inline now, under its own name and labels.
  const json& sli = exported["satisfied-quarter"]["spec"]["indicator"];
  EXPECT_EQ(sli["metadata"], original["client-satisfaction"]["metadata"]);
  EXPECT_EQ(sli["spec"]["ratioMetric"]["rawType"], "success");
  EXPECT_EQ(sli["spec"]["ratioMetric"]["raw"]["metricSource"]["metricSourceRef"],
            "prometheus-phoenix");
  EXPECT_EQ(exported["satisfied-quarter"]["spec"]["alertPolicies"],
            original["satisfied-quarter"]["spec"]["alertPolicies"]);
}

TEST(OpenSlo, ExportGivesBackWhatDoesNotMeasure) {
  std::map<std::string, json> by_kind;
  for (const std::string& text : Export(ImportOf(Load("checkout.yaml")).objects).documents) {
    const json document = json::parse(text);
    by_kind[document["kind"].get<std::string>()] = document;
  }
  for (const json& original : Load("checkout.yaml")) {
    const auto kind = original["kind"].get<std::string>();
    if (kind == "SLI") continue;  // comes back inline
    if (kind != "SLO") {
      EXPECT_EQ(by_kind[kind], original);
      continue;
    }
    const json& slo = by_kind["SLO"];
    for (const char* key : {"displayName", "labels", "annotations", "name"}) {
      EXPECT_EQ(slo["metadata"][key], original["metadata"][key]);
    }
    for (const char* key : {"service", "alertPolicies", "timeWindow", "description"}) {
      EXPECT_EQ(slo["spec"][key], original["spec"][key]);
    }
    EXPECT_EQ(slo["spec"]["objectives"][1]["target"], "0.9995");
    EXPECT_EQ(slo["spec"]["objectives"][1]["displayName"], "aimed at");
  }
}

TEST(OpenSlo, AnObjectEditedSinceIsExportedAsItIsNow) {
  auto objects = ImportOf(Load("checkout.yaml")).objects;
  json changed = json::parse(objects[0]);
  changed["spec"]["alertWindows"] = json::array(
      {{{"severity", "Page"}, {"factor", "6"}, {"longWindow", "6h"}, {"shortWindow", "30m"}}});
  objects[0] = changed.dump();
  const Exported exported = Export(objects);
  int slos = 0;
  for (const std::string& text : exported.documents) {
    const json document = json::parse(text);
    if (document["kind"] != "SLO") continue;
    ++slos;
    if (document["metadata"]["name"] == "lake-reads-availability-1") {
      EXPECT_EQ(document["spec"]["alertPolicies"][0]["spec"]["conditions"][0]["spec"]["condition"]
                        ["threshold"],
                "6");
    }
  }
  EXPECT_EQ(slos, 2) << "its objectives have no longer the same policies";
}

TEST(OpenSlo, AnObjectMadeByHandCanBeExported) {
  const auto example = ReadYaml(*base::ReadFile("docs/examples/slo.yaml"));
  ASSERT_TRUE(example.ok());
  std::vector<std::string> objects;
  for (const json& each : *example) objects.push_back(each.dump());
  const Exported exported = Export(objects);
  ASSERT_FALSE(exported.documents.empty());
  std::vector<json> documents;
  for (const std::string& each : exported.documents) documents.push_back(json::parse(each));
  const Imported imported = ImportOf(documents);
  ASSERT_THAT(imported.objects, SizeIs(1)) << Told(imported);
  json original = (*example)[0]["spec"];
  original.erase("minEvents");  // a number in the cluster's JSON, text in a YAML that we read
  EXPECT_EQ(SpecOf(imported.objects[0]), original);
}

TEST(OpenSlo, SecretsOfADataSourceStayOutsideAndAreNamed) {
  std::vector<json> documents = Load("checkout.yaml");
  for (json& document : documents) {
    if (document["kind"] != "DataSource") continue;
    document["spec"]["connectionDetails"] = {
        {"url", "https://ana:s3cret@prometheus.example.com/api?token=s3cret#s3cret"},
        {"region", "us-west-2"},
        {"accessToken", "s3cret"},
        {"headers", {{"Authorization", "Bearer s3cret"}}},
        {"host", {"s3cret"}}};
  }
  const Imported imported = ImportOf(documents);
  ASSERT_THAT(imported.problems, IsEmpty()) << Told(imported);
  std::string all;
  for (const std::string& object : imported.objects) all += object;
  EXPECT_THAT(all, ::testing::Not(HasSubstr("s3cret")));
  EXPECT_THAT(all, HasSubstr("https://prometheus.example.com/api"));
  EXPECT_THAT(all, HasSubstr("us-west-2"));
  std::string warned;
  for (const Problem& p : imported.warnings)
    warned += p.document + ": " + p.field + " " + p.rule + "\n";
  EXPECT_THAT(imported.warnings, SizeIs(4)) << warned;
  EXPECT_THAT(warned, HasSubstr("document 2: spec.connectionDetails.accessToken was left out"));
  EXPECT_THAT(warned, HasSubstr("spec.connectionDetails.url was kept without user, password"));
  EXPECT_THAT(warned, ::testing::Not(HasSubstr("s3cret")));
  EXPECT_THAT(ImportOf(Load("checkout.yaml")).warnings, IsEmpty()) << "a plain address is kept";
}

TEST(OpenSlo, ABudgetsPolicyComesAndGoesInAnnotations) {
  std::vector<json> documents = Load("checkout.yaml");
  for (json& document : documents) {
    if (document["kind"] != "SLO") continue;
    document["metadata"]["annotations"]["sluice.dev/freeze-below"] = "0.1";
    document["metadata"]["annotations"]["sluice.dev/budget-exceptions"] = "Security";
  }
  const Imported imported = ImportOf(documents);
  ASSERT_THAT(imported.problems, IsEmpty()) << Told(imported);
  EXPECT_EQ(SpecOf(imported.objects[0])["budgetPolicy"],
            json::parse(R"({"cautionBelow": "0.25", "freezeBelow": "0.1",
                            "exceptions": ["Security"]})"));
  std::string exported;
  for (const std::string& text : Export(imported.objects).documents) exported += text;
  EXPECT_THAT(exported, HasSubstr(R"("sluice.dev/freeze-below":"0.1")"));
  EXPECT_THAT(exported, HasSubstr(R"("sluice.dev/budget-exceptions":"Security")"));
  for (json& document : documents) {
    if (document["kind"] != "SLO") continue;
    document["metadata"]["annotations"]["sluice.dev/budget-exceptions"] = "None,P0";
  }
  EXPECT_THAT(Told(ImportOf(documents)), HasSubstr("must be P0 and Security"));
}

TEST(OpenSlo, TheDocumentIsNamedAndTheSubjectMayComeFromOutside) {
  auto documents = Load("slices.yaml");
  documents[1]["spec"].erase("service");
  EXPECT_THAT(Told(ImportOf(documents)), HasSubstr("document 2: spec.service"));
  documents = Load("slices.yaml");
  for (json& each : documents) each["metadata"].erase("annotations");
  const Imported imported = ImportOf(documents, "Site/denver");
  ASSERT_THAT(imported.objects, SizeIs(3)) << Told(imported);
  EXPECT_EQ(SpecOf(imported.objects[2])["subjectRef"]["name"], "denver");
  EXPECT_THAT(Told(ImportOf({})), HasSubstr("no SLO"));
}
TEST(OpenSlo, AListIsAsManyDocumentsAndShortWaysToWriteThemAreRead) {
  const std::vector<json> documents = Load("list.yaml");
  ASSERT_THAT(documents, SizeIs(6));
  const Imported imported = ImportOf(documents);
  ASSERT_THAT(imported.problems, IsEmpty()) << Told(imported);
  ASSERT_THAT(imported.objects, SizeIs(1));
  const json spec = SpecOf(imported.objects[0]);
  EXPECT_EQ(spec["alertWindows"], json::parse(R"([{"severity": "Page", "factor": "6",
      "longWindow": "1h", "shortWindow": "5m"}])"));
  EXPECT_EQ(spec["indicator"]["ratio"]["good"],
            R"(sum(rate(ingest_batches_total{result="ok"}[$window])))");
  std::string warned;
  for (const Problem& p : imported.warnings)
    warned += p.document + ": " + p.field + " " + p.rule + "\n";
  EXPECT_THAT(imported.warnings, SizeIs(2)) << warned;
  EXPECT_THAT(warned, HasSubstr("document 5: spec.connectionDetails[1].token was left out"));
  EXPECT_THAT(warned, HasSubstr("document 1: spec.alertPolicies[0] op lte is read as"));
  EXPECT_THAT(imported.objects[0], ::testing::Not(HasSubstr("s3cret")));
  EXPECT_THAT(imported.objects[0], HasSubstr("prometheus.example.com:9090"));
}

}  // namespace
}  // namespace sluice::openslo
