// Incidents from a real Alertmanager, through the receiver, into a real API server with the kinds
// and the policies: what it sends is taken, what the schema and the policies refuse stays refused.
#include <fcntl.h>
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "controller/base/file.h"
#include "controller/base/time_format.h"
#include "controller/client/config.h"
#include "controller/http/client.h"
#include "controller/testing/api_server.h"
#include "controller/testing/wait.h"
#include "reconcilers/common/people_resources.h"
#include "reconcilers/incident/receiver.h"

namespace sluice {
namespace {

using namespace std::chrono_literals;
using nlohmann::json;
using ::testing::HasSubstr;
using testing_kit::WaitUntil;

constexpr auto kPatience = 60s;
constexpr char kToken[] = "a-token-of-32-bytes-that-is-secret";

// A real Alertmanager that posts to one address, at once. Ended and removed by the destructor.
class Alertmanager {
 public:
  Alertmanager(const std::string& folder, int receiver_port) : folder_(folder) {
    const std::string config = fmt::format(R"yaml(
route: {{receiver: sluice, group_by: ['...'], group_wait: 0s, group_interval: 1s, repeat_interval: 1s}}
receivers:
- name: sluice
  webhook_configs:
  - url: http://127.0.0.1:{}{}
    send_resolved: true
    max_alerts: 200
    http_config: {{authorization: {{credentials_file: {}/token}}}}
)yaml",
                                           receiver_port, incident::kReceiverPath, folder);
    SLUICE_CHECK(base::WriteFileAtomic(folder + "/alertmanager.yml", config).ok());
    const int log = open((folder + "/log").c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    SLUICE_CHECK(log >= 0);
    pid_ = fork();
    SLUICE_CHECK(pid_ >= 0);
    if (pid_ == 0) {
      dup2(log, 1);
      dup2(log, 2);
      const std::string file = "--config.file=" + folder + "/alertmanager.yml";
      const std::string data = "--storage.path=" + folder + "/data";
      execlp("prometheus-alertmanager", "prometheus-alertmanager", file.c_str(), data.c_str(),
             "--web.listen-address=127.0.0.1:0", "--cluster.listen-address=", nullptr);
      _exit(127);
    }
    close(log);
  }
  ~Alertmanager() {
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
  }
  Alertmanager(const Alertmanager&) = delete;
  Alertmanager& operator=(const Alertmanager&) = delete;

  bool Ready() {
    return WaitUntil(
        [this] {
          const auto log = base::ReadFile(folder_ + "/log");
          const std::string mark = "\"Listening on\" address=127.0.0.1:";
          const auto at = log.ok() ? log->find(mark) : std::string::npos;
          if (at == std::string::npos) return false;
          url_ = fmt::format("http://127.0.0.1:{}", std::atoi(log->c_str() + at + mark.size()));
          return Ask("GET", "/-/ready", "") == 200;
        },
        kPatience);
  }
  // An alert of site phoenix, from now on until it is resolved; the same `starts` is the same
  // firing.
  bool Alert(const std::string& name, const std::string& severity, base::WallTime starts,
             bool resolved = false) {
    const auto now = std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now());
    const json alert = {{"labels",
                         {{"alertname", name},
                          {"subject_kind", "Site"},
                          {"subject", "phoenix"},
                          {"incident_severity", severity},
                          {"team", "storage"}}},
                        {"annotations", {{"summary", name + " at phoenix"}}},
                        {"startsAt", base::FormatRfc3339(starts)},
                        {"endsAt", base::FormatRfc3339(resolved ? now : now + 1h)}};
    return Ask("POST", "/api/v2/alerts", json::array({alert}).dump()) == 200;
  }

 private:
  int Ask(const std::string& method, const std::string& target, const std::string& body) {
    const auto client = http::Client::New({.base_url = url_});
    if (!client.ok()) return 0;
    http::Request request;
    request.method = method;
    request.target = target;
    request.headers = {{"Content-Type", "application/json"}};
    request.body = body;
    const auto answer = (*client)->Do(request);
    return answer.ok() ? answer->status : 0;
  }

  const std::string folder_;
  pid_t pid_ = -1;
  std::string url_;
};

class AlertsTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string folder = std::filesystem::temp_directory_path() / "sluice-alerts-XXXXXX";
    ASSERT_NE(mkdtemp(folder.data()), nullptr);
    folder_ = folder;
    ASSERT_TRUE(base::WriteFileAtomic(folder_ + "/token", std::string(kToken) + "\n", 0600).ok());
    testing_kit::ApiServerOptions options;
    options.crds = "deploy/crds";
    auto server = testing_kit::ApiServer::Start(options);
    ASSERT_TRUE(server.ok()) << server.status().ToString();
    api_server_ = *std::move(server);
    ASSERT_TRUE(
        api_server_->Kubectl({"apply", "-f", "deploy/manifests/policies/people.yaml"}).ok());
    api_ = *client::NewClient(*client::LoadKubeconfig(api_server_->kubeconfig()));
    receiver_.emplace(*api_, *api_, registry_, folder_ + "/token");
    web_ = *http::Server::New({.address = "127.0.0.1:0"});
    web_->Handle(incident::kReceiverPath,
                 [this](const http::ServerRequest& request) { return receiver_->Handle(request); });
    ASSERT_TRUE(web_->Start().ok());
    alertmanager_ = std::make_unique<Alertmanager>(folder_, web_->port());
    ASSERT_TRUE(alertmanager_->Ready());
  }
  void TearDown() override {
    alertmanager_.reset();
    if (web_) web_->Stop();
    if (api_) api_->Stop();
    std::error_code ignored;
    std::filesystem::remove_all(folder_, ignored);
  }

  std::vector<json> Incidents() {
    std::vector<json> out;
    const auto list = api_->List(common::kIncidents, {});
    if (!list.ok()) return out;
    for (const meta::ObjectPtr& object : list->items) out.push_back(object->ToJson());
    return out;
  }
  // The states of the incidents of one alert, in the order of their names; "" while there is none.
  std::string States(const std::string& alert) {
    std::string out;
    for (const json& incident : Incidents()) {
      if (incident["spec"]["summary"] != alert + " at phoenix") continue;
      out += (out.empty() ? "" : " ") + incident["spec"]["state"].get<std::string>();
    }
    return out;
  }
  ::testing::AssertionResult Becomes(const std::string& alert, const std::string& wanted) {
    if (WaitUntil([&] { return States(alert) == wanted; }, kPatience)) {
      return ::testing::AssertionSuccess();
    }
    const auto log = base::ReadFile(folder_ + "/log");
    return ::testing::AssertionFailure() << "wanted " << wanted << ", got " << States(alert) << "\n"
                                         << (log.ok() ? *log : "");
  }
  double Count(const char* family, const char* label, const char* value) {
    return registry_.GetCounter(family, "", {{label, value}}).value();
  }

  std::string folder_;
  base::metrics::Registry registry_;
  std::unique_ptr<testing_kit::ApiServer> api_server_;
  std::unique_ptr<client::Client> api_;
  std::optional<incident::Receiver> receiver_;
  std::unique_ptr<http::Server> web_;
  std::unique_ptr<Alertmanager> alertmanager_;
};

TEST_F(AlertsTest, ARealAlertmanagerOpensAndResolvesIncidents) {
  const auto start =
      std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now()) - 60s;
  ASSERT_TRUE(alertmanager_->Alert("ReadsFail", "2", start));
  ASSERT_TRUE(alertmanager_->Alert("ReadsAreSlow", "3", start));
  EXPECT_TRUE(Becomes("ReadsFail", "Open"));
  EXPECT_TRUE(Becomes("ReadsAreSlow", "Open"));
  // It goes on telling, and nothing more comes of it.
  const auto kept = [this] { return Count("sluice_alert_incidents_total", "action", "kept"); };
  EXPECT_TRUE(WaitUntil([&] { return kept() >= 2; }, kPatience));
  EXPECT_EQ(Incidents().size(), 2U);

  ASSERT_TRUE(alertmanager_->Alert("ReadsAreSlow", "3", start, true));
  EXPECT_TRUE(Becomes("ReadsAreSlow", "Closed"));
  ASSERT_TRUE(alertmanager_->Alert("ReadsFail", "2", start, true));
  EXPECT_TRUE(Becomes("ReadsFail", "Mitigated")) << "severity 2 waits for its postmortem";

  // The next firing is told apart: the mitigated one opens again, the closed one gets a successor.
  // It begins after the last one ended, or Alertmanager would take both for one.
  const auto ended = std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now());
  ASSERT_TRUE(WaitUntil([&] { return std::chrono::system_clock::now() >= ended + 2s; }, kPatience));
  ASSERT_TRUE(alertmanager_->Alert("ReadsFail", "2", ended + 1s));
  ASSERT_TRUE(alertmanager_->Alert("ReadsAreSlow", "3", ended + 1s));
  EXPECT_TRUE(Becomes("ReadsFail", "Open"));
  EXPECT_TRUE(Becomes("ReadsAreSlow", "Closed Open"));
  EXPECT_EQ(Count("sluice_alert_notifications_total", "outcome", "unauthenticated"), 0);
  EXPECT_EQ(Count("sluice_alert_notifications_total", "outcome", "failed"), 0);
}

TEST_F(AlertsTest, WithAnotherTokenNothingIsOpened) {
  ASSERT_TRUE(base::WriteFileAtomic(folder_ + "/other", "another-token-that-is-long", 0600).ok());
  receiver_.emplace(*api_, *api_, registry_, folder_ + "/other");
  const auto now = std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now());
  ASSERT_TRUE(alertmanager_->Alert("ReadsFail", "1", now));
  EXPECT_TRUE(WaitUntil(
      [&] { return Count("sluice_alert_notifications_total", "outcome", "unauthenticated") >= 1; },
      kPatience));
  EXPECT_EQ(Incidents().size(), 0U);
}

TEST_F(AlertsTest, WhatAnAlertOpenedIsGuardedAsAnyOther) {
  const auto now = std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now());
  ASSERT_TRUE(alertmanager_->Alert("ReadsFail", "1", now));
  ASSERT_TRUE(Becomes("ReadsFail", "Open"));
  const meta::Key key{"", Incidents()[0]["metadata"]["name"].get<std::string>()};
  const auto closed = api_->Patch(common::kIncidents, key, client::PatchType::kMerge,
                                  {{"spec", {{"state", "Closed"}}}});
  ASSERT_FALSE(closed.ok());
  EXPECT_THAT(closed.status().message(), HasSubstr("postmortem"));
  // The policy is in force soon after it was applied.
  const std::vector<std::string> remove = {"delete", "incident", key.name, "--dry-run=server"};
  ASSERT_TRUE(WaitUntil([&] { return !api_server_->Kubectl(remove).ok(); }, kPatience));
  EXPECT_THAT(api_->Delete(common::kIncidents, key).message(), HasSubstr("close it"));
  // Closed by a person, with what was learned, it stays closed while the alert goes on.
  const auto learned = api_->Patch(
      common::kIncidents, key, client::PatchType::kMerge,
      {{"spec", {{"state", "Closed"}, {"postmortem", "https://postmortems.example.com/1"}}}});
  ASSERT_TRUE(learned.ok()) << learned.status().ToString();
  const double kept = Count("sluice_alert_incidents_total", "action", "kept");
  EXPECT_TRUE(
      WaitUntil([&] { return Count("sluice_alert_incidents_total", "action", "kept") >= kept + 2; },
                kPatience));
  EXPECT_EQ(States("ReadsFail"), "Closed");
}

}  // namespace
}  // namespace sluice
