#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <future>
#include <latch>
#include <nlohmann/json.hpp>

#include "controller/base/digest.h"
#include "controller/http/client.h"
#include "controller/http/testing/imposter.h"
#include "controller/testing/wait.h"
#include "controller/webhook/limits.h"
#include "controller/webhook/server.h"

namespace sluice::webhook {
namespace {

using namespace std::chrono_literals;
using http::testing::TestCa;
using nlohmann::json;
using ::testing::HasSubstr;
using ::testing::Not;
using testing_kit::WaitUntil;

json Review(const json& extra = json::object()) {
  json request = {{"uid", "u-1"},
                  {"operation", "CREATE"},
                  {"kind", {{"group", "t.dev"}, {"version", "v1"}, {"kind", "Widget"}}},
                  {"resource", {{"group", "t.dev"}, {"version", "v1"}, {"resource", "widgets"}}},
                  {"namespace", "default"},
                  {"name", "w"},
                  {"userInfo", {{"username", "ann"}, {"groups", {"devs"}}}},
                  {"object", {{"metadata", {{"name", "w"}}}, {"spec", {{"size", 3}}}}}};
  request.update(extra);
  return {{"apiVersion", "admission.k8s.io/v1"}, {"kind", "AdmissionReview"}, {"request", request}};
}

json Rendered(const AdmissionDecision& decision, bool may_change = true) {
  const auto request = AdmissionRequest::Parse(Review().dump()).value();
  return json::parse(RenderReview(request, decision, may_change).value())["response"];
}

TEST(Admission, AQuestionIsReadWhole) {
  const auto request =
      AdmissionRequest::Parse(
          Review({{"dryRun", true}, {"subResource", "status"}, {"oldObject", {{"a", 1}}}}).dump())
          .value();
  EXPECT_EQ(request.uid, "u-1");
  EXPECT_EQ(request.operation, "CREATE");
  EXPECT_EQ(request.group + "/" + request.version + "/" + request.kind, "t.dev/v1/Widget");
  EXPECT_EQ(request.resource + "/" + request.subresource, "widgets/status");
  EXPECT_EQ(request.key, (meta::Key{"default", "w"}));
  EXPECT_EQ(request.user, "ann");
  EXPECT_THAT(request.groups, ::testing::ElementsAre("devs"));
  EXPECT_TRUE(request.dry_run);
  EXPECT_EQ(request.object()["spec"]["size"], 3);
  EXPECT_EQ(request.old_object()["a"], 1);
  EXPECT_TRUE(request.options().is_null());
}

TEST(Admission, WhatIsNoReviewIsRefusedWithoutBeingQuoted) {
  json other = Review();
  other["apiVersion"] = "admission.k8s.io/v1beta1";
  json nobody = Review();
  nobody["request"].erase("uid");
  const std::string deep = std::string(kMaxDepth + 2, '[') + std::string(kMaxDepth + 2, ']');
  for (const std::string& body :
       {std::string(), std::string("SECRET"), std::string("[]"), std::string("{}"), other.dump(),
        nobody.dump(), R"({"kind":"AdmissionReview","x":)" + deep + "}"}) {
    const auto request = AdmissionRequest::Parse(body);
    ASSERT_FALSE(request.ok()) << body.substr(0, 80);
    EXPECT_EQ(request.status().code(), base::Code::kInvalidArgument);
    EXPECT_THAT(request.status().message(), Not(HasSubstr("SECRET")));
  }
}

TEST(Admission, ARefusalSaysWhyAndWarningsAreBounded) {
  auto decision = AdmissionDecision::Deny("size above 2", "Invalid", 422);
  for (int i = 0; i < 100; ++i) decision.Warn(std::string(1000, 'w'));
  decision.Audit("rule", "size");
  const json response = Rendered(decision);
  EXPECT_EQ(response["uid"], "u-1");
  EXPECT_EQ(response["allowed"], false);
  EXPECT_EQ(response["status"],
            (json{{"code", 422}, {"reason", "Invalid"}, {"message", "size above 2"}}));
  EXPECT_EQ(response["warnings"].size(), kMaxWarnings);
  EXPECT_EQ(response["warnings"][0].get<std::string>().size(), kMaxWarningBytes);
  EXPECT_EQ(response["auditAnnotations"]["rule"], "size");
}

TEST(Admission, AChangeBecomesTheShortestPatchAndNoChangeNone) {
  json changed = Review()["request"]["object"];
  EXPECT_FALSE(Rendered(AdmissionDecision::Change(changed)).contains("patch"));
  changed["metadata"]["labels"] = {{"a/b", "c"}};
  const json response = Rendered(AdmissionDecision::Change(changed));
  EXPECT_EQ(response["allowed"], true);
  EXPECT_EQ(response["patchType"], "JSONPatch");
  EXPECT_EQ(json::parse(base::Base64Decode(response["patch"].get<std::string>()).value()),
            json::parse(R"([{"op":"add","path":"/metadata/labels","value":{"a/b":"c"}}])"));
  const auto request = AdmissionRequest::Parse(Review().dump()).value();
  EXPECT_EQ(RenderReview(request, AdmissionDecision::Change(changed), false).status().code(),
            base::Code::kInternal);
}

std::string ConversionOf(const json& objects) {
  return json{{"apiVersion", "apiextensions.k8s.io/v1"},
              {"kind", "ConversionReview"},
              {"request", {{"uid", "c"}, {"desiredAPIVersion", "t.dev/v2"}, {"objects", objects}}}}
      .dump();
}

json Widget(const std::string& version, const std::string& name) {
  return {{"apiVersion", "t.dev/" + version},
          {"kind", "Widget"},
          {"metadata", {{"name", name}}},
          {"size", 9007199254740993}};
}

TEST(Conversion, EachObjectBecomesTheAskedVersionAndNothingElseIsLost) {
  const auto answer = ConvertReview(ConversionOf({Widget("v1", "a"), Widget("v2", "b")}),
                                    [](json& object, const std::string&) {
                                      object["length"] = object["size"];
                                      object.erase("size");
                                      return base::OkStatus();
                                    });
  const json response = json::parse(answer.value())["response"];
  EXPECT_EQ(response["uid"], "c");
  EXPECT_EQ(response["result"]["status"], "Success");
  EXPECT_EQ(response["convertedObjects"][0]["apiVersion"], "t.dev/v2");
  EXPECT_EQ(response["convertedObjects"][0]["length"], 9007199254740993);
  EXPECT_EQ(response["convertedObjects"][1], Widget("v2", "b")) << "is of that version already";
}

TEST(Conversion, AFailureNamesTheObjectAndConvertsNone) {
  const auto response = [](const Converter& converter) {
    return json::parse(ConvertReview(ConversionOf(json::array({Widget("v1", "a")})), converter)
                           .value())["response"];
  };
  const json refused =
      response([](json&, const std::string&) { return base::InvalidArgument("no length"); });
  EXPECT_EQ(refused["result"]["status"], "Failure");
  EXPECT_EQ(refused["result"]["message"], "\"a\" to t.dev/v2: no length");
  EXPECT_TRUE(refused["convertedObjects"].empty());
  const json renamed = response([](json& object, const std::string&) {
    object["metadata"]["name"] = "b";
    return base::OkStatus();
  });
  EXPECT_THAT(renamed["result"]["message"].get<std::string>(), HasSubstr("kind or metadata"));
  EXPECT_FALSE(ConvertReview("{}", nullptr).ok());
}

TEST(Timeout, IsReadAsTheApiServerWritesIt) {
  EXPECT_EQ(TimeoutOf("10s"), 10s);
  EXPECT_EQ(TimeoutOf("1s"), 1s);
  EXPECT_EQ(TimeoutOf("500ms"), 500ms);
  EXPECT_EQ(TimeoutOf("2.5s"), 2500ms);
  EXPECT_EQ(TimeoutOf("1m0s"), kMaxTimeout);
  for (const char* bad : {"", "10", "s", "-1s", "0s", "soon"}) {
    EXPECT_EQ(TimeoutOf(bad), kDefaultTimeout) << bad;
  }
}

class ServerTest : public ::testing::Test {
 protected:
  void Start(int workers = 2) {
    server_ =
        Server::New({.address = "127.0.0.1:0", .workers = workers}, clock_, registry_).value();
    server_->Validate("/size", [](const AdmissionRequest& request) {
      if (request.object()["spec"]["size"] > 2) return AdmissionDecision::Deny("size above 2");
      return AdmissionDecision::Allow();
    });
    server_->Mutate("/label", [](const AdmissionRequest& request) {
      json changed = request.object();
      changed["metadata"]["labels"]["seen"] = request.dry_run ? "dry" : "yes";
      return AdmissionDecision::Change(changed);
    });
    server_->Validate("/throws", [](const AdmissionRequest&) -> AdmissionDecision {
      throw std::runtime_error("SECRET");
    });
    server_->Validate("/throws-oddly", [](const AdmissionRequest&) -> AdmissionDecision {
      throw 7;  // NOLINT: the point
    });
    server_->Convert("/converts", [](json&, const std::string&) -> base::Status {
      throw std::runtime_error("SECRET");
    });
    server_->Validate("/changes", [](const AdmissionRequest&) {
      return AdmissionDecision::Change(json::object());
    });
    server_->Validate("/waits", [this](const AdmissionRequest& request) {
      waiting_.count_down();
      std::mutex mutex;
      std::unique_lock lock(mutex);
      std::condition_variable_any never;
      never.wait(lock, request.stop, [] { return false; });
      return AdmissionDecision::Allow();
    });
    EXPECT_EQ(server_->Start().code(), base::Code::kFailedPrecondition);
    EXPECT_FALSE(server_->Ready().ok());
    ASSERT_TRUE(server_->SetCertificate(pair_).ok());
    ASSERT_TRUE(server_->Start().ok());
    EXPECT_TRUE(server_->Ready().ok()) << server_->Ready().ToString();
  }

  http::Response Post(const std::string& target, const std::string& body,
                      const std::string& type = "application/json") {
    const auto client =
        http::Client::New({.base_url = "https://127.0.0.1:" + std::to_string(server_->port()),
                           .tls = {.ca_pem = ca_.cert_pem()}})
            .value();
    const auto answer = client->Do(
        {.method = "POST", .target = target, .headers = {{"Content-Type", type}}, .body = body});
    EXPECT_TRUE(answer.ok()) << answer.status().ToString();
    return answer.ok() ? *answer : http::Response{};
  }

  TestCa ca_;
  const TestCa::Issued issued_ = ca_.Issue("hook", "IP:127.0.0.1");
  const base::KeyPair pair_{issued_.cert_pem, issued_.key_pem};
  // At the present, since the certificates are; it stands still until a test moves it.
  base::FakeClock clock_{std::chrono::system_clock::now()};
  base::metrics::Registry registry_;
  std::latch waiting_{1};
  std::unique_ptr<Server> server_;
};

TEST_F(ServerTest, AnswersReviewsAndCountsThem) {
  Start();
  const auto denied = Post("/size?timeout=10s", Review().dump());
  EXPECT_EQ(denied.status, 200);
  EXPECT_EQ(json::parse(denied.body)["response"]["status"]["message"], "size above 2");
  const auto labelled = json::parse(Post("/label", Review({{"dryRun", true}}).dump()).body);
  EXPECT_THAT(base::Base64Decode(labelled["response"]["patch"].get<std::string>()).value(),
              HasSubstr("\"dry\""));
  const std::string metrics = registry_.Expose();
  EXPECT_THAT(metrics, HasSubstr("controller_runtime_webhook_requests_total{code=\"200\","
                                 "webhook=\"/size\"} 1"));
  EXPECT_THAT(metrics, HasSubstr("controller_runtime_webhook_requests_total{code=\"500\","
                                 "webhook=\"/size\"} 0"));
  EXPECT_THAT(metrics,
              HasSubstr("controller_runtime_webhook_latency_seconds_count{webhook=\"/size\"} 1"));
  EXPECT_THAT(metrics,
              HasSubstr("controller_runtime_webhook_requests_in_flight{webhook=\"/size\"} 0"));
  EXPECT_THAT(metrics, HasSubstr("certwatcher_read_certificate_total 1"));
}

TEST_F(ServerTest, WhatIsNoDecisionIsAnErrorSoThatTheFailurePolicyApplies) {
  Start();
  EXPECT_EQ(Post("/size", "SECRET").status, 400);
  EXPECT_EQ(Post("/size", Review().dump(), "text/plain").status, 415);
  EXPECT_EQ(Post("/size", std::string(kMaxReviewBytes + 1, ' ')).status, 413);
  EXPECT_EQ(Post("/nowhere", Review().dump()).status, 404);
  EXPECT_EQ(Post("/changes", Review().dump()).status, 500);
  const auto threw = Post("/throws", Review().dump());
  EXPECT_EQ(threw.status, 500);
  EXPECT_THAT(threw.body, Not(HasSubstr("SECRET")));
  EXPECT_EQ(Post("/throws-oddly", Review().dump()).status, 500);
  EXPECT_EQ(Post("/label", Review().dump()).status, 200) << "it goes on serving";
  EXPECT_THAT(registry_.Expose(), HasSubstr("controller_runtime_webhook_panics_total 2"));
  EXPECT_EQ(Post("/converts", ConversionOf(json::array({Widget("v1", "a")}))).status, 500);
  EXPECT_THAT(registry_.Expose(), HasSubstr("controller_runtime_webhook_panics_total 2"));
  EXPECT_THAT(registry_.Expose(),
              HasSubstr("controller_runtime_conversion_webhook_panics_total 1"));
}

TEST_F(ServerTest, OnlyConversionsMayBeLongAndOthersAreRefusedFromTheirHead) {
  Start();
  const auto client =
      http::Client::New({.base_url = "https://127.0.0.1:" + std::to_string(server_->port()),
                         .tls = {.ca_pem = ca_.cert_pem()}})
          .value();
  const auto head = [&](const std::string& target) {  // and no body behind it
    return client->Do({.target = target, .headers = {{"Content-Length", "8388608"}}});
  };
  const auto review = head("/size");
  ASSERT_TRUE(review.ok()) << review.status().ToString();
  EXPECT_EQ(review->status, 413);
  const auto nowhere = head("/nowhere");
  ASSERT_TRUE(nowhere.ok()) << nowhere.status().ToString();
  EXPECT_EQ(nowhere->status, 404);
  EXPECT_THAT(registry_.Expose(), HasSubstr("controller_runtime_webhook_requests_total{code="
                                            "\"413\",webhook=\"/size\"} 1"));
  EXPECT_EQ(Post("/converts", std::string(8388608, ' ')).status, 400) << "read, and no review";
}

// Of controller-runtime v0.25.2: pkg/webhook/{internal,admission,conversion}/metrics and
// pkg/certwatcher/metrics. The other names: tests/integration/controller/metrics_test.py.
TEST_F(ServerTest, MetricsHaveGosNamesTypesAndLabelsFromTheStart) {
  Start();
  const std::string page = registry_.Expose();
  for (const char* line :
       {"# TYPE controller_runtime_webhook_latency_seconds histogram\n",
        "\ncontroller_runtime_webhook_latency_seconds_bucket{webhook=\"/size\",le=\"+Inf\"} 0\n",
        "# TYPE controller_runtime_webhook_requests_total counter\n",
        "\ncontroller_runtime_webhook_requests_total{code=\"200\",webhook=\"/size\"} 0\n",
        "\ncontroller_runtime_webhook_requests_total{code=\"500\",webhook=\"/size\"} 0\n",
        "# TYPE controller_runtime_webhook_requests_in_flight gauge\n",
        "\ncontroller_runtime_webhook_requests_in_flight{webhook=\"/size\"} 0\n",
        "# TYPE controller_runtime_webhook_panics_total counter\n"
        "controller_runtime_webhook_panics_total 0\n",
        "# TYPE controller_runtime_conversion_webhook_panics_total counter\n"
        "controller_runtime_conversion_webhook_panics_total 0\n",
        "# TYPE certwatcher_read_certificate_total counter\n"
        "certwatcher_read_certificate_total 1\n",
        "# TYPE certwatcher_read_certificate_errors_total counter\n"
        "certwatcher_read_certificate_errors_total 0\n"}) {
    EXPECT_THAT(page, HasSubstr(line));
  }
}

TEST_F(ServerTest, AHandlerThatDoesNotDecideIsAnsweredForBeforeTheApiServerGivesUp) {
  Start(1);
  auto slow =
      std::async(std::launch::async, [&] { return Post("/waits?timeout=10s", Review().dump()); });
  waiting_.wait();
  // Another one waits behind it, for its own time.
  auto behind =
      std::async(std::launch::async, [&] { return Post("/size?timeout=4s", Review().dump()); });
  ASSERT_TRUE(WaitUntil([&] { return clock_.waiters() == 2; }));
  clock_.Advance(3s);
  EXPECT_EQ(behind.get().status, 504);
  EXPECT_EQ(slow.wait_for(0s), std::future_status::timeout);
  clock_.Advance(6s);
  EXPECT_EQ(slow.get().status, 504);
  EXPECT_EQ(Post("/label", Review().dump()).status, 200) << "its worker was told and is free again";
}

TEST_F(ServerTest, ReadinessFollowsTheServedCertificate) {
  Start();
  const TestCa other;
  const auto issued = other.Issue("hook", "IP:127.0.0.1");
  EXPECT_EQ(server_->SetCertificate({issued.cert_pem, pair_.key_pem}).code(),
            base::Code::kInvalidArgument);
  EXPECT_EQ(Post("/label", Review().dump()).status, 200) << "the one before stays";
  EXPECT_THAT(registry_.Expose(), HasSubstr("certwatcher_read_certificate_errors_total 1"));
  const auto end = base::NotAfter(pair_.certificate_pem).value();
  EXPECT_THAT(registry_.Expose(),
              HasSubstr("sluice_webhook_certificate_expiry_seconds " +
                        std::to_string(std::chrono::system_clock::to_time_t(end))));
  clock_.Advance(end - clock_.Wall());
  EXPECT_THAT(server_->Ready().message(), HasSubstr("ended"));
  server_->Stop();
  EXPECT_THAT(server_->Ready().message(), HasSubstr("not served"));
}

}  // namespace
}  // namespace sluice::webhook
