#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <map>
#include <nlohmann/json.hpp>

#include "api/types/json_codec.h"
#include "api/v1alpha1/service_level_objective.pb.h"
#include "controller/base/file.h"
#include "reconcilers/gates/objects/convert.h"
#include "reconcilers/openslo/convert.h"
#include "reconcilers/openslo/document.h"
#include "reconcilers/openslo/limits.h"

namespace sluice::openslo {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

std::vector<json> Load(const std::string& file) {
  const auto text = base::ReadFile("reconcilers/openslo/testdata/" + file);
  EXPECT_TRUE(text.ok());
  auto documents = ReadYaml(*text);
  EXPECT_TRUE(documents.ok()) << documents.status().ToString();
  return *documents;
}

Imported ImportOf(const std::vector<json>& documents, const std::string& subject = "") {
  std::vector<Document> named;
  for (const json& each : documents) {
    named.push_back({"document " + std::to_string(named.size() + 1), each.dump()});
  }
  return Import(named, {.subject = subject});
}

std::string Told(const Imported& imported) {
  std::string out;
  for (const Problem& p : imported.problems)
    out += p.document + ": " + p.field + " " + p.rule + "\n";
  return out;
}

json SpecOf(const std::string& object) { return json::parse(object)["spec"]; }

std::map<std::string, json> ByName(const std::vector<std::string>& objects) {
  std::map<std::string, json> out;
  for (const std::string& text : objects) {
    out[json::parse(text)["metadata"]["name"].get<std::string>()] = SpecOf(text);
  }
  EXPECT_EQ(out.size(), objects.size());
  return out;
}

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

INSTANTIATE_TEST_SUITE_P(Files, RoundTrip, ::testing::Values("checkout.yaml", "slices.yaml"));

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

// A change of a good document, and what is told about it. `document` counts from 1.
struct Wrong {
  const char* file;
  int document;
  std::function<void(json&)> change;
  const char* field;
  const char* rule;
};

#define SPEC d["spec"]
#define OBJECTIVE d["spec"]["objectives"][0]
#define RATIO d["spec"]["indicator"]["spec"]["ratioMetric"]

TEST(OpenSlo, RefusesWithDocumentFieldAndRule) {
  const Wrong rows[] = {
      // What the specification refuses.
      {"slices.yaml", 1, [](json& d) { d["apiVersion"] = "openslo/v1alpha"; }, "apiVersion",
       "openslo/v1"},
      {"slices.yaml", 1, [](json& d) { d["kind"] = "Objective"; }, "kind", "not a kind"},
      {"slices.yaml", 1, [](json& d) { d["metadata"].erase("name"); }, "metadata.name", "required"},
      {"slices.yaml", 1, [](json& d) { d.erase("spec"); }, "spec", "required"},
      {"slices.yaml", 1, [](json& d) { SPEC.erase("service"); }, "spec.service", "required"},
      {"slices.yaml", 1, [](json& d) { SPEC["description"] = std::string(1051, 'x'); },
       "spec.description", "1050"},
      {"slices.yaml", 1, [](json& d) { SPEC["indicatorRef"] = "x"; }, "spec.indicator",
       "exactly one"},
      {"slices.yaml", 1, [](json& d) { SPEC.erase("indicator"); }, "spec.indicator", "exactly one"},
      {"checkout.yaml", 7, [](json& d) { SPEC["indicatorRef"] = "x"; }, "spec.indicatorRef",
       "no SLI"},
      {"slices.yaml", 1, [](json& d) { SPEC.erase("timeWindow"); }, "spec.timeWindow", "required"},
      {"slices.yaml", 1, [](json& d) { SPEC["timeWindow"].push_back(SPEC["timeWindow"][0]); },
       "spec.timeWindow", "exactly one"},
      {"slices.yaml", 1, [](json& d) { SPEC["timeWindow"][0]["duration"] = "month"; },
       "spec.timeWindow[0].duration", "duration"},
      {"slices.yaml", 1,
       [](json& d) {
         SPEC["timeWindow"][0]["calendar"] = {{"startTime", "2026-01-01 00:00:00"},
                                              {"timeZone", "UTC"}};
       },
       "spec.timeWindow[0].calendar", "rolling"},
      {"slices.yaml", 1, [](json& d) { SPEC["timeWindow"][0].erase("isRolling"); },
       "spec.timeWindow[0]", "calendar"},
      {"slices.yaml", 1,
       [](json& d) {
         SPEC["timeWindow"][0] = {{"duration", "1d"},
                                  {"calendar", {{"startTime", "2026-01-01 00:00:00"}}}};
       },
       "spec.timeWindow[0].calendar.timeZone", "required"},
      {"slices.yaml", 1, [](json& d) { SPEC["budgetingMethod"] = "Means"; }, "spec.budgetingMethod",
       "Occurrences"},
      {"slices.yaml", 1, [](json& d) { SPEC["objectives"] = json::array(); }, "spec.objectives",
       "at least one"},
      {"slices.yaml", 1, [](json& d) { OBJECTIVE["targetPercent"] = "99"; },
       "spec.objectives[0].target", "exactly one"},
      {"slices.yaml", 1, [](json& d) { OBJECTIVE["target"] = "1"; }, "spec.objectives[0].target",
       "[0, 1)"},
      {"slices.yaml", 1,
       [](json& d) {
         OBJECTIVE.erase("target");
         OBJECTIVE["targetPercent"] = "100";
       },
       "spec.objectives[0].targetPercent", "[0, 100)"},
      {"slices.yaml", 1, [](json& d) { OBJECTIVE.erase("timeSliceTarget"); },
       "spec.objectives[0].timeSliceTarget", "(0, 1]"},
      {"slices.yaml", 1, [](json& d) { OBJECTIVE["timeSliceTarget"] = "0"; },
       "spec.objectives[0].timeSliceTarget", "(0, 1]"},
      {"slices.yaml", 1, [](json& d) { OBJECTIVE.erase("timeSliceWindow"); },
       "spec.objectives[0].timeSliceWindow", "duration"},
      {"slices.yaml", 1, [](json& d) { OBJECTIVE["op"] = "lte"; }, "spec.objectives[0].op",
       "thresholdMetric only"},
      {"slices.yaml", 2, [](json& d) { OBJECTIVE["timeSliceTarget"] = "0.9"; },
       "spec.objectives[0].timeSliceTarget", "Timeslices only"},
      {"slices.yaml", 3, [](json& d) { OBJECTIVE.erase("op"); }, "spec.objectives[0].op",
       "lte, gte"},
      {"slices.yaml", 3, [](json& d) { OBJECTIVE["value"] = "fast"; }, "spec.objectives[0].value",
       "number"},
      {"slices.yaml", 3, [](json& d) { SPEC["objectives"].push_back(OBJECTIVE); },
       "spec.objectives", "only one"},
      {"slices.yaml", 1, [](json& d) { RATIO["good"] = RATIO["bad"]; }, "ratioMetric.good",
       "exactly one of good and bad"},
      {"slices.yaml", 1, [](json& d) { RATIO.erase("total"); }, "ratioMetric.total", "required"},
      {"slices.yaml", 1, [](json& d) { RATIO.erase("counter"); }, "ratioMetric.counter",
       "true or false"},
      {"slices.yaml", 1, [](json& d) { RATIO["rawType"] = "success"; }, "ratioMetric.rawType",
       "raw only"},
      {"slices.yaml", 1, [](json& d) { RATIO["raw"] = RATIO["bad"]; }, "ratioMetric.bad",
       "cannot be given with raw"},
      {"slices.yaml", 1,
       [](json& d) {
         RATIO = {{"raw", RATIO["total"]}};
       },
       "ratioMetric.rawType", "success or failure"},
      {"slices.yaml", 1, [](json& d) { RATIO["total"]["metricSource"].erase("type"); },
       "metricSource.type", "required"},
      {"slices.yaml", 1, [](json& d) { RATIO["total"]["metricSource"].erase("spec"); },
       "metricSource.spec", "required"},
      {"checkout.yaml", 2, [](json& d) { SPEC.erase("type"); }, "spec.type", "required"},
      {"checkout.yaml", 4, [](json& d) { SPEC.erase("target"); }, "spec.target", "required"},
      {"checkout.yaml", 5, [](json& d) { SPEC["condition"]["kind"] = "latency"; },
       "spec.condition.kind", "burnrate"},
      {"checkout.yaml", 5, [](json& d) { SPEC["condition"].erase("alertAfter"); },
       "spec.condition.alertAfter", "duration"},
      {"checkout.yaml", 6, [](json& d) { SPEC["conditions"].push_back(SPEC["conditions"][0]); },
       "spec.conditions", "exactly one"},
      {"checkout.yaml", 6, [](json& d) { SPEC.erase("notificationTargets"); },
       "spec.notificationTargets", "at least one"},
      {"checkout.yaml", 6, [](json& d) { SPEC["notificationTargets"][0]["targetRef"] = "x"; },
       "notificationTargets[0].targetRef", "no AlertNotificationTarget"},
      {"checkout.yaml", 7, [](json& d) { SPEC["alertPolicies"][0]["alertPolicyRef"] = "x"; },
       "spec.alertPolicies[0].alertPolicyRef", "no AlertPolicy"},
      // What it allows and we do not measure.
      {"slices.yaml", 1,
       [](json& d) {
         SPEC["timeWindow"][0] = {
             {"duration", "1M"},
             {"calendar", {{"startTime", "2026-01-01 00:00:00"}, {"timeZone", "UTC"}}}};
       },
       "spec.timeWindow[0].calendar", "not measured"},
      {"slices.yaml", 1, [](json& d) { SPEC["timeWindow"][0]["duration"] = "1Q"; },
       "spec.timeWindow[0].duration", "no fixed length"},
      {"slices.yaml", 1,
       [](json& d) {
         RATIO = {{"raw", RATIO["total"]}, {"rawType", "success"}};
       },
       "ratioMetric.raw", "not measured"},
      {"slices.yaml", 1, [](json& d) { RATIO["total"]["metricSource"]["type"] = "Datadog"; },
       "total.metricSource.type", "only Prometheus"},
      {"slices.yaml", 1,
       [](json& d) { RATIO["total"]["metricSource"]["spec"]["query"] = "avg(reads_total)"; },
       "total.metricSource.spec.query", "$window"},
      {"slices.yaml", 2, [](json& d) { RATIO["counter"] = false; }, "good.metricSource.spec.query",
       "$window"},
      {"slices.yaml", 3,
       [](json& d) {
         SPEC["budgetingMethod"] = "Occurrences";
         OBJECTIVE.erase("timeSliceTarget");
         OBJECTIVE.erase("timeSliceWindow");
       },
       "spec.budgetingMethod", "Timeslices"},
      {"slices.yaml", 3, [](json& d) { OBJECTIVE["timeSliceTarget"] = "0.9"; },
       "spec.objectives[0].timeSliceTarget", "must be 1"},
      {"slices.yaml", 1, [](json& d) { OBJECTIVE["target"] = "0"; }, "spec.objectives[0].target",
       "above 0"},
      {"slices.yaml", 1, [](json& d) { OBJECTIVE["timeSliceWindow"] = "0.5"; },
       "spec.objectives[0].timeSliceWindow", "whole minutes"},
      {"slices.yaml", 1, [](json& d) { d["metadata"]["annotations"].erase("sluice.dev/subject"); },
       "sluice.dev/subject", "Site/NAME"},
      {"slices.yaml", 1, [](json& d) { d["metadata"]["name"] = "Read Slices"; }, "metadata.name",
       "object's name"},
      {"slices.yaml", 2, [](json& d) { d["metadata"]["name"] = "read-slices"; }, "metadata.name",
       "given twice"},
      {"checkout.yaml", 5, [](json& d) { SPEC["condition"]["op"] = "lt"; }, "spec.alertPolicies[0]",
       "gt or gte"},
      {"checkout.yaml", 7,
       [](json& d) { d["metadata"]["annotations"]["sluice.dev/min-events"] = "1.5"; },
       "sluice.dev/min-events", "whole number"},
  };
  for (const Wrong& row : rows) {
    auto documents = Load(row.file);
    row.change(documents[static_cast<std::size_t>(row.document - 1)]);
    const Imported imported = ImportOf(documents);
    EXPECT_THAT(imported.objects, IsEmpty()) << row.field;
    bool found = false;
    for (const Problem& p : imported.problems) {
      found = found || (p.field.find(row.field) != std::string::npos &&
                        p.rule.find(row.rule) != std::string::npos);
    }
    EXPECT_TRUE(found) << row.field << " " << row.rule << "; told:\n" << Told(imported);
  }
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

TEST(OpenSloYaml, KeepsTextAndRefusesWhatIsNoDocument) {
  const auto read =
      ReadYaml("a: 0.9990\nb: \"true\"\nc: true\nd: [1, {e: null}]\n---\n---\nf: x\n");
  ASSERT_TRUE(read.ok());
  EXPECT_EQ((*read)[0], json::parse(R"({"a":"0.9990","b":"true","c":true,"d":["1",{"e":null}]})"));
  EXPECT_EQ(read->size(), 2U);
  EXPECT_FALSE(ReadYaml("a: [").ok());
  EXPECT_FALSE(ReadYaml("a: 1\na: 2\n").ok());
  EXPECT_FALSE(ReadYaml("? [a]\n: b\n").ok());
  EXPECT_FALSE(ReadYaml(std::string(100, '[')).ok());
  EXPECT_FALSE(ReadYaml(std::string(kMaxBytes + 1, ' ')).ok());
  // Aliases that grow by ten at each of nine levels.
  std::string bomb = "a0: &a0 x\n";
  for (int i = 1; i < 9; ++i) {
    bomb += "a" + std::to_string(i) + ": &a" + std::to_string(i) + " [";
    for (int k = 0; k < 10; ++k) bomb += "*a" + std::to_string(i - 1) + ",";
    bomb += "]\n";
  }
  EXPECT_FALSE(ReadYaml(bomb).ok());
}

}  // namespace
}  // namespace sluice::openslo
