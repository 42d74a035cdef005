// Alertmanager's notifications become Incidents: the parser and the plan by themselves, then the
// endpoint over an API in memory.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "controller/base/file.h"
#include "controller/base/time_format.h"
#include "controller/testing/fake_api.h"
#include "reconcilers/common/people_resources.h"
#include "reconcilers/incident/limits.h"
#include "reconcilers/incident/receiver.h"

namespace sluice::incident {
namespace {

using nlohmann::json;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr char kToken[] = "a-token-of-32-bytes-that-is-secret";

json AlertJson(const std::string& status = "firing",
               const std::string& starts = "2026-11-22T10:00:00.5Z") {
  return {{"status", status},
          {"labels",
           {{"alertname", "SluiceSloBurnsFast"},
            {"subject_kind", "Site"},
            {"subject", "phoenix"},
            {"incident_severity", "2"},
            {"team", "storage"}}},
          {"annotations",
           {{"summary", "Site phoenix burns its budget fast"},
            {"runbook_url", "https://runbooks.example.com/burns"},
            {"on_call", "#storage-oncall"}}},
          {"startsAt", starts},
          {"endsAt", "0001-01-01T00:00:00Z"},
          {"fingerprint", "c0ffee"}};
}

std::string Notification(const std::vector<json>& alerts) {
  return json{{"version", "4"}, {"status", "firing"}, {"receiver", "sluice"}, {"alerts", alerts}}
      .dump();
}

Alert AlertOf(const json& item) {
  const auto alerts = ParseNotification(Notification({item}));
  EXPECT_TRUE(alerts.ok()) << alerts.status().ToString();
  return alerts.ok() && !alerts->empty() ? alerts->front() : Alert{};
}

meta::ObjectPtr Known(const Alert& alert, const json& spec) {
  json incident = NewIncident(alert);
  incident["metadata"]["resourceVersion"] = "7";
  incident["metadata"]["uid"] = "u";
  if (spec.is_object()) incident["spec"].update(spec);
  return *meta::Object::FromJson(incident);
}

std::vector<Step> Steps(const Alert& alert, const std::vector<meta::ObjectPtr>& known) {
  std::vector<Step> out;
  for (const Action& action : Plan(alert, known)) out.push_back(action.step);
  return out;
}

TEST(AlertmanagerNotification, KeepsWhatAnIncidentNeeds) {
  const Alert alert = AlertOf(AlertJson());
  EXPECT_FALSE(alert.resolved);
  EXPECT_EQ(alert.labels.at("subject"), "phoenix");
  EXPECT_EQ(alert.annotations.at("on_call"), "#storage-oncall");
  EXPECT_EQ(base::FormatRfc3339(alert.starts_at), "2026-11-22T10:00:00Z");
  EXPECT_TRUE(AlertOf(AlertJson("resolved")).resolved);
}

TEST(AlertmanagerNotification, IsIdentifiedByItsLabelsAlone) {
  const std::string before = Fingerprint(AlertOf(AlertJson()));
  EXPECT_EQ(Fingerprint(AlertOf(AlertJson("resolved", "2026-11-23T10:00:00Z"))), before);
  json other = AlertJson();
  other["labels"]["team"] = "network";
  EXPECT_NE(Fingerprint(AlertOf(other)), before);
  // What concatenation would confuse.
  json a = AlertJson(), b = AlertJson();
  a["labels"] = {{"x", "1y"}, {"z", ""}};
  b["labels"] = {{"x", "1"}, {"yz", ""}};
  EXPECT_NE(Fingerprint(AlertOf(a)), Fingerprint(AlertOf(b)));
}

TEST(AlertmanagerNotification, RefusesWhatItIsNotByField) {
  const auto error = [](const std::string& body) {
    const auto alerts = ParseNotification(body);
    EXPECT_FALSE(alerts.ok()) << body;
    return alerts.status();
  };
  EXPECT_THAT(error("[]").message(), HasSubstr("no JSON object"));
  EXPECT_THAT(error("{").message(), HasSubstr("no JSON object"));
  EXPECT_THAT(error(R"({"version": "3", "alerts": []})").message(), HasSubstr("version"));
  EXPECT_THAT(error(R"({"version": "4"})").message(), HasSubstr("alerts"));
  for (const auto& [field, value] :
       std::vector<std::pair<std::string, json>>{{"status", "odd"},
                                                 {"labels", 1},
                                                 {"labels", {{"a", 1}}},
                                                 {"startsAt", "now"},
                                                 {"startsAt", nullptr}}) {
    json alert = AlertJson();
    alert[field] = value;
    const base::Status status = error(Notification({AlertJson(), alert}));
    EXPECT_EQ(status.code(), base::Code::kInvalidArgument);
    EXPECT_THAT(status.message(), HasSubstr("alerts[1]"));
  }
}

TEST(AlertmanagerNotification, IsBounded) {
  const auto code = [](const std::string& body) { return ParseNotification(body).status().code(); };
  EXPECT_EQ(code(std::string(kMaxNotificationBytes + 1, ' ')), base::Code::kResourceExhausted);
  EXPECT_TRUE(ParseNotification(Notification(std::vector<json>(kMaxAlerts, AlertJson()))).ok());
  EXPECT_EQ(code(Notification(std::vector<json>(kMaxAlerts + 1, AlertJson()))),
            base::Code::kResourceExhausted);
  json alert = AlertJson();
  alert["annotations"]["long"] = std::string(kMaxTextBytes, 'x');
  EXPECT_EQ(code(Notification({alert})), base::Code::kResourceExhausted);
}

TEST(Incidents, AreOpenedOnlyByAlertsThatNameASeverityAndASite) {
  EXPECT_TRUE(Concerns(AlertOf(AlertJson())));
  json alert = AlertJson();
  alert["labels"].erase("incident_severity");
  EXPECT_FALSE(Concerns(AlertOf(alert)));
  alert = AlertJson();
  alert["labels"]["incident_severity"] = "5";
  EXPECT_FALSE(Concerns(AlertOf(alert)));
  alert = AlertJson();
  alert["labels"]["subject_kind"] = "Tenant";
  EXPECT_FALSE(Concerns(AlertOf(alert)));
  alert["labels"]["site"] = "reno";
  EXPECT_TRUE(Concerns(AlertOf(alert)));
  EXPECT_EQ(NewIncident(AlertOf(alert))["spec"]["sites"], json({"reno"}));
  alert["labels"]["site"] = "Not/A/Site";
  EXPECT_FALSE(Concerns(AlertOf(alert)));
}

TEST(Incidents, SayWhatTheAlertSays) {
  const json incident = NewIncident(AlertOf(AlertJson()));
  EXPECT_EQ(incident["spec"],
            json::parse(R"({"sites": ["phoenix"], "severity": "Severity2", "state": "Open",
                "summary": "Site phoenix burns its budget fast", "owner": "storage",
                "runbook": "https://runbooks.example.com/burns", "onCall": "#storage-oncall"})"));
  json bare = AlertJson();
  bare["annotations"] = {{"runbook_url", "not a link"}};
  bare["labels"].erase("team");
  const json spec = NewIncident(AlertOf(bare))["spec"];
  EXPECT_EQ(spec["summary"], "SluiceSloBurnsFast");
  EXPECT_EQ(spec["owner"], "on-call");
  EXPECT_FALSE(spec.contains("runbook"));
}

TEST(Incidents, AreCutBetweenCharacters) {
  json alert = AlertJson();
  alert["annotations"]["summary"] = std::string(255, 'x') + "\u00e9";
  EXPECT_EQ(NewIncident(AlertOf(alert))["spec"]["summary"], std::string(255, 'x'));
}

TEST(Incidents, OneFiringOpensOneAndTheNextAnother) {
  const Alert alert = AlertOf(AlertJson());
  EXPECT_THAT(Steps(alert, {}), ElementsAre(Step::kOpen));
  EXPECT_THAT(Steps(alert, {Known(alert, {})}), IsEmpty());
  EXPECT_THAT(Steps(alert, {Known(alert, {{"state", "Closed"}})}), IsEmpty())
      << "what people closed stays closed while the same firing goes on";
  const Alert next = AlertOf(AlertJson("firing", "2026-11-22T12:00:00Z"));
  EXPECT_THAT(Steps(next, {Known(alert, {{"state", "Closed"}})}), ElementsAre(Step::kOpen));
  EXPECT_NE(Plan(next, {})[0].name, Plan(alert, {})[0].name);
}

TEST(Incidents, AreResolvedAsTheirSeverityAllows) {
  const Alert fired = AlertOf(AlertJson());
  const Alert over = AlertOf(AlertJson("resolved"));
  EXPECT_THAT(Steps(over, {}), IsEmpty());
  EXPECT_THAT(Steps(over, {Known(fired, {})}), ElementsAre(Step::kMitigate))
      << "severity 2 is closed by a person, with its postmortem";
  EXPECT_THAT(Steps(over, {Known(fired, {{"state", "Mitigated"}})}), IsEmpty());
  EXPECT_THAT(Steps(over, {Known(fired, {{"postmortem", "https://pm.example.com/1"}})}),
              ElementsAre(Step::kClose));
  EXPECT_THAT(Steps(over, {Known(fired, {{"severity", "Severity3"}})}), ElementsAre(Step::kClose));
  EXPECT_THAT(Steps(over, {Known(fired, {{"state", "Closed"}})}), IsEmpty());
  const Action close = Plan(over, {Known(fired, {{"severity", "Severity4"}})})[0];
  EXPECT_EQ(PatchFor(close, over),
            json::parse(R"({"metadata": {"resourceVersion": "7", "annotations": {
                "sluice.dev/alert-resolved": "2026-11-22T10:00:00Z"}},
                "spec": {"state": "Closed"}})"));
}

TEST(Incidents, OneThatWasMitigatedOpensAgainWithTheNextFiring) {
  const Alert fired = AlertOf(AlertJson());
  const Alert again = AlertOf(AlertJson("firing", "2026-11-22T11:00:00Z"));
  EXPECT_THAT(Steps(fired, {Known(fired, {{"state", "Mitigated"}})}), IsEmpty());
  const auto actions = Plan(again, {Known(fired, {{"state", "Mitigated"}})});
  ASSERT_EQ(actions.size(), 1U);
  EXPECT_EQ(actions[0].step, Step::kReopen);
  const json patch = PatchFor(actions[0], again);
  EXPECT_EQ(patch["spec"]["state"], "Open");
  EXPECT_EQ(patch["metadata"]["annotations"][std::string(kStartedAnnotation)],
            "2026-11-22T11:00:00Z");
}

TEST(Incidents, OneThatTheAlertsEndClosedOpensAgainWhenItFiresAfterAll) {
  // Alertmanager gives up an alert it heard nothing of, and takes two firings that overlap for one.
  const Alert alert = AlertOf(AlertJson());
  const auto ended = [&](const char* state) {
    json incident = Known(alert, {{"state", state}})->ToJson();
    incident["metadata"]["annotations"][std::string(kResolvedAnnotation)] = "2026-11-22T10:00:00Z";
    return *meta::Object::FromJson(incident);
  };
  EXPECT_THAT(Steps(alert, {ended("Closed")}), ElementsAre(Step::kReopen));
  EXPECT_THAT(Steps(alert, {ended("Mitigated")}), ElementsAre(Step::kReopen));
  const json patch = PatchFor(Plan(alert, {ended("Closed")})[0], alert);
  EXPECT_TRUE(patch["metadata"]["annotations"][std::string(kResolvedAnnotation)].is_null());
  // The next firing leaves the record of this one closed.
  const Alert next = AlertOf(AlertJson("firing", "2026-11-22T12:00:00Z"));
  EXPECT_THAT(Steps(next, {ended("Closed")}), ElementsAre(Step::kOpen));
  EXPECT_THAT(Steps(next, {ended("Mitigated")}), ElementsAre(Step::kReopen));
}

TEST(Incidents, NewsOfAnEarlierFiringChangesNothing) {
  const Alert now = AlertOf(AlertJson("firing", "2026-11-22T11:00:00Z"));
  const Alert late = AlertOf(AlertJson("resolved", "2026-11-22T10:00:00Z"));
  EXPECT_THAT(Steps(late, {Known(now, {{"severity", "Severity3"}})}), IsEmpty());
}

class ReceiverTest : public ::testing::Test {
 protected:
  ReceiverTest() { WriteToken(std::string(kToken) + "\n"); }
  ~ReceiverTest() override { std::filesystem::remove_all(folder_); }

  static std::string MakeFolder() {
    std::string folder = std::filesystem::temp_directory_path() / "sluice-receiver-XXXXXX";
    SLUICE_CHECK(mkdtemp(folder.data()) != nullptr);
    return folder;
  }
  void WriteToken(const std::string& token) {
    ASSERT_TRUE(base::WriteFileAtomic(folder_ + "/token", token, 0600).ok());
  }
  int Post(const std::string& body,
           const std::string& authorization = "Bearer " + std::string(kToken),
           const std::string& method = "POST") {
    return receiver_.Handle({method, kReceiverPath, {}, {{"Authorization", authorization}}, body})
        .status;
  }
  int PostAlert(const json& alert) { return Post(Notification({alert})); }
  std::vector<std::string> States() const {
    std::vector<std::string> out;
    for (const json& incident : api_.LookAll(common::kIncidents)) {
      out.push_back(incident["spec"]["state"]);
    }
    return out;
  }
  double Count(const char* family, const char* label, const char* value) {
    return registry_.GetCounter(family, "", {{label, value}}).value();
  }

  const std::string folder_ = MakeFolder();
  base::FakeClock clock_;
  testing_kit::FakeApi api_{clock_};
  base::metrics::Registry registry_;
  Receiver receiver_{api_, api_, registry_, folder_ + "/token"};
};

TEST_F(ReceiverTest, OpensAndResolvesIncidentsHoweverOftenItIsTold) {
  json other = AlertJson();
  other["labels"]["incident_severity"] = "3";
  EXPECT_EQ(Post(Notification({AlertJson(), other})), 200);
  EXPECT_EQ(Post(Notification({AlertJson(), other})), 200);
  EXPECT_THAT(States(), ElementsAre("Open", "Open"));
  EXPECT_EQ(Count("sluice_alert_incidents_total", "action", "opened"), 2);
  EXPECT_EQ(Count("sluice_alert_incidents_total", "action", "kept"), 2);
  other["status"] = "resolved";
  EXPECT_EQ(Post(Notification({AlertJson("resolved"), other})), 200);
  EXPECT_THAT(States(), ::testing::UnorderedElementsAre("Mitigated", "Closed"));
  EXPECT_EQ(PostAlert(AlertJson("firing", "2026-11-22T11:00:00Z")), 200);
  EXPECT_THAT(States(), ::testing::UnorderedElementsAre("Open", "Closed"));
  EXPECT_EQ(Count("sluice_alert_notifications_total", "outcome", "taken"), 4);
}

TEST_F(ReceiverTest, AnAlertWithoutASeverityIsCountedAndLeftAlone) {
  json alert = AlertJson();
  alert["labels"].erase("incident_severity");
  EXPECT_EQ(PostAlert(alert), 200);
  EXPECT_THAT(States(), IsEmpty());
  EXPECT_EQ(Count("sluice_alert_incidents_total", "action", "ignored"), 1);
}

TEST_F(ReceiverTest, AsksForTheTokenBeforeAnythingElse) {
  for (const std::string& wrong :
       {std::string(), std::string("Bearer "), std::string("Bearer x"), std::string(kToken),
        std::string("Basic ") + kToken, std::string("Bearer ") + kToken + "x"}) {
    EXPECT_EQ(Post(Notification({AlertJson()}), wrong), 401) << wrong;
  }
  EXPECT_EQ(Post("no JSON", "Bearer x"), 401);
  EXPECT_THAT(States(), IsEmpty());
  EXPECT_EQ(Count("sluice_alert_notifications_total", "outcome", "unauthenticated"), 7);
  // A rotated token counts at once.
  WriteToken("another-token-that-is-long");
  EXPECT_EQ(PostAlert(AlertJson()), 401);
  EXPECT_EQ(Post(Notification({AlertJson()}), "Bearer another-token-that-is-long"), 200);
}

TEST_F(ReceiverTest, WithoutAUsableTokenNobodyIsLetIn) {
  for (const char* token : {"", "\n", "short"}) {
    WriteToken(token);
    EXPECT_EQ(Post(Notification({AlertJson()}), std::string("Bearer ") + token), 503) << token;
  }
  std::filesystem::remove(folder_ + "/token");
  EXPECT_EQ(PostAlert(AlertJson()), 503);
  EXPECT_THAT(States(), IsEmpty());
}

TEST_F(ReceiverTest, RefusesWhatIsNoNotification) {
  EXPECT_EQ(Post("{}"), 400);
  EXPECT_EQ(Post(std::string(kMaxNotificationBytes + 1, ' ')), 413);
  EXPECT_EQ(Post(Notification({AlertJson()}), "Bearer " + std::string(kToken), "GET"), 405);
  EXPECT_EQ(Count("sluice_alert_notifications_total", "outcome", "refused"), 3);
}

TEST_F(ReceiverTest, AnApiServerThatIsAwayIsAskedAgainLater) {
  api_.FailBefore([](const testing_kit::Call& call) -> std::optional<base::Status> {
    if (call.verb != "create") return std::nullopt;
    return base::Unavailable("away");
  });
  EXPECT_EQ(PostAlert(AlertJson()), 503);
  EXPECT_EQ(Count("sluice_alert_notifications_total", "outcome", "failed"), 1);
  api_.FailBefore({});
  EXPECT_EQ(PostAlert(AlertJson()), 200);
  EXPECT_THAT(States(), ElementsAre("Open"));
}

TEST_F(ReceiverTest, ALostAnswerMakesNoSecondIncident) {
  bool lost = false;
  api_.FailAfter([&](const testing_kit::Call& call) -> std::optional<base::Status> {
    if (call.verb != "create" || lost) return std::nullopt;
    lost = true;
    return base::Unavailable("the answer was lost");
  });
  EXPECT_EQ(PostAlert(AlertJson()), 503);
  EXPECT_EQ(PostAlert(AlertJson()), 200);
  EXPECT_THAT(States(), ElementsAre("Open"));
}

}  // namespace
}  // namespace sluice::incident
