// What is refused, document by document: by the specification, and because we do not measure it.
#include <functional>

#include "reconcilers/openslo/documents_for_test.h"
#include "reconcilers/openslo/limits.h"

namespace sluice::openslo {
namespace {

using ::testing::IsEmpty;

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
#define CALENDAR d["spec"]["timeWindow"][0]["calendar"]
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
      {"calendar.yaml", 1, [](json& d) { CALENDAR["startTime"] = "2026-02-30 00:00:00"; },
       "spec.timeWindow[0].calendar.startTime", "not a time"},
      {"calendar.yaml", 1, [](json& d) { CALENDAR["startTime"] = "noon"; },
       "spec.timeWindow[0].calendar.startTime", "not a time"},
      {"calendar.yaml", 1, [](json& d) { CALENDAR["timeZone"] = "Mars/Base"; },
       "spec.timeWindow[0].calendar.timeZone", "no time zone Mars/Base"},
      {"calendar.yaml", 1, [](json& d) { SPEC["timeWindow"][0]["isRolling"] = true; },
       "spec.timeWindow[0].calendar", "rolling"},
      {"calendar.yaml", 1, [](json& d) { SPEC["timeWindow"][0]["duration"] = "9Y"; },
       "spec.timeWindow[0].duration", "five years"},
      {"calendar.yaml", 1, [](json& d) { OBJECTIVE["value"] = "1"; }, "spec.objectives[0].value",
       "thresholdMetric only"},
      {"calendar.yaml", 5, [](json& d) { RATIO.erase("rawType"); }, "ratioMetric.rawType",
       "success or failure"},
      {"calendar.yaml", 5, [](json& d) { RATIO["rawType"] = "mixed"; }, "ratioMetric.rawType",
       "success or failure"},
      {"calendar.yaml", 5, [](json& d) { RATIO["total"] = RATIO["raw"]; }, "ratioMetric.total",
       "cannot be given"},
      {"calendar.yaml", 5, [](json& d) { RATIO["raw"]["metricSource"].erase("type"); },
       "raw.metricSource.type", "required"},
      {"calendar.yaml", 4,
       [](json& d) {
         SPEC["alertPolicies"][0]["spec"]["conditions"][0]["spec"]["condition"]["kind"] = "delay";
       },
       "spec.condition.kind", "burnrate"},
      {"calendar.yaml", 4,
       [](json& d) {
         SPEC["alertPolicies"][0]["spec"]["conditions"][0]["spec"]["condition"]["op"] = "eq";
       },
       "spec.condition.op", "lte, gte"},
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
      {"slices.yaml", 1, [](json& d) { RATIO["counter"] = "yes"; }, "ratioMetric.counter",
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
      {"slices.yaml", 1, [](json& d) { SPEC["timeWindow"][0]["duration"] = "1Q"; },
       "spec.timeWindow[0].duration", "no fixed length"},
      {"slices.yaml", 1, [](json& d) { RATIO["total"]["metricSource"]["type"] = "Datadog"; },
       "total.metricSource.type", "only Prometheus"},
      {"slices.yaml", 1,
       [](json& d) { RATIO["total"]["metricSource"]["spec"]["query"] = "avg(reads_total)"; },
       "total.metricSource.spec.query", "$window"},
      {"slices.yaml", 2, [](json& d) { RATIO["counter"] = false; }, "good.metricSource.spec.query",
       "$window"},
      {"slices.yaml", 2, [](json& d) { RATIO.erase("counter"); }, "good.metricSource.spec.query",
       "$window"},
      {"calendar.yaml", 5, [](json& d) { RATIO["raw"]["metricSource"]["type"] = "Datadog"; },
       "raw.metricSource.type", "only Prometheus"},
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

TEST(OpenSloYaml, KeepsTextAndRefusesWhatIsNoDocument) {
  const auto read =
      ReadYaml("a: 0.9990\nb: \"true\"\nc: true\nd: [1, {e: null}]\n---\n---\nf: x\n");
  ASSERT_TRUE(read.ok());
  EXPECT_EQ((*read)[0], json::parse(R"({"a":"0.9990","b":"true","c":true,"d":["1",{"e":null}]})"));
  EXPECT_EQ(read->size(), 2U);
  for (const char* behind : {"- a\n, b\n", "[a], b\n", "{a: b}, {c: d}\n", ", a\n"}) {
    const auto refused = ReadYaml(behind);
    ASSERT_FALSE(refused.ok()) << behind;
    EXPECT_NE(refused.status().message().find("belongs to no document"), std::string::npos)
        << refused.status().ToString();
  }
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
