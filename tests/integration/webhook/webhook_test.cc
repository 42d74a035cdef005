// The webhook server and its own certificates against a real API server, which asks it about every
// Widget and converts them between two versions.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <nlohmann/json.hpp>
#include <set>

#include "controller/certs/keeper.h"
#include "controller/client/client.h"
#include "controller/client/config.h"
#include "controller/testing/api_server.h"
#include "controller/testing/wait.h"
#include "controller/webhook/server.h"

namespace sluice {
namespace {

using namespace std::chrono_literals;
using certs::Target;
using nlohmann::json;
using ::testing::HasSubstr;
using testing_kit::ApiServer;
using testing_kit::WaitUntil;
using webhook::AdmissionDecision;
using webhook::AdmissionRequest;

constexpr const char* kFirst = "hook.test.sluice.dev";  // webhooks of each configuration
constexpr const char* kSecond = "second.test.sluice.dev";
constexpr std::size_t kAuthorities = 3;  // that serve one after the other in the rotation test

const meta::Resource kV1{"test.sluice.dev", "v1", "Widget", "widgets", true};
const meta::Resource kV2{"test.sluice.dev", "v2", "Widget", "widgets", true};

json Widget(const meta::Resource& version, const std::string& name, int size) {
  return {{"apiVersion", version.ApiVersion()},
          {"kind", "Widget"},
          {"metadata", {{"name", name}, {"namespace", "default"}}},
          {"spec", {{version.version == "v1" ? "size" : "length", size}}}};
}

// v1 has spec.size, v2 spec.length.
base::Status ConvertWidget(json& object, const std::string& api_version) {
  const bool forward = api_version == kV2.ApiVersion();
  const char* const from = forward ? "size" : "length";
  json& spec = object["spec"];
  if (!spec.is_object() || !spec.contains(from)) return base::InvalidArgument("no size or length");
  spec[forward ? "length" : "size"] = spec[from];
  spec.erase(from);
  return base::OkStatus();
}

std::string Version(const char* name, const char* field, bool storage) {
  return fmt::format(R"({{"name":"{}","served":true,"storage":{},"schema":{{"openAPIV3Schema":
      {{"type":"object","properties":{{"spec":{{"type":"object","properties":
      {{"{}":{{"type":"integer"}}}}}}}}}}}}}})",
                     name, storage, field);
}

json Hook(const std::string& name, const std::string& url) {
  return {{"name", name},
          {"clientConfig", {{"url", url}}},
          {"rules",
           {{{"apiGroups", {"test.sluice.dev"}},
             {"apiVersions", {"v1"}},
             {"operations", {"CREATE", "UPDATE"}},
             {"resources", {"widgets"}}}}},
          {"failurePolicy", "Fail"},
          {"sideEffects", "NoneOnDryRun"},
          {"admissionReviewVersions", {"v1"}},
          {"timeoutSeconds", 30}};
}

// One API server, one webhook server, one keeper of its certificates, for all tests of the binary.
class World : public ::testing::Environment {
 public:
  void SetUp() override {
    auto started = ApiServer::Start();
    ASSERT_TRUE(started.ok()) << started.status().ToString();
    api = std::move(started).value();
    client = client::NewClient(client::LoadKubeconfig(api->kubeconfig()).value()).value();
    server = webhook::Server::New({.address = "127.0.0.1:0"}, clock, registry).value();
    server->Validate("/validate", [](const AdmissionRequest& request) {
      if (request.object()["spec"]["size"] > 10) return AdmissionDecision::Deny("size above 10");
      return AdmissionDecision::Allow();
    });
    server->Mutate("/mutate", [this](const AdmissionRequest& request) {
      if (request.dry_run) ++dry_runs;
      json changed = request.object();
      changed["metadata"]["labels"]["test.sluice.dev/by"] = request.user;
      return AdmissionDecision::Change(changed);
    });
    server->Validate("/agree", [](const AdmissionRequest&) { return AdmissionDecision::Allow(); });
    server->Convert("/convert", ConvertWidget);
    keeper = std::make_unique<certs::Keeper>(
        certs::Options{.secret = {"default", "hook-tls"},
                       // Rotation as early as the lives allow, and nothing ends unless a slow
                       // machine delays a step by 18 s.
                       .policy = {.common_name = "test",
                                  .addresses = {"127.0.0.1"},
                                  .authority_life = 60s,
                                  .serving_life = 20s,
                                  .authority_renewal = 30s,
                                  .serving_renewal = 2s},
                       .targets = {{Target::Kind::kValidatingWebhook, "hook", kFirst},
                                   {Target::Kind::kValidatingWebhook, "hook", kSecond},
                                   {Target::Kind::kMutatingWebhook, "hook", ""},
                                   {Target::Kind::kConversion, "widgets.test.sluice.dev", ""}},
                       .field_manager = "hook-certificates",
                       .settle = 5s,
                       .period = 250ms,
                       .leading = [] { return true; },
                       .take = [this](const base::KeyPair& pair) { return Take(pair); }},
        *client, clock, registry);
    ASSERT_TRUE(keeper->Look().ok());
    ASSERT_TRUE(server->Start().ok());
    ASSERT_TRUE(Install().ok());
    keeper->Start();
    // Until the API server asks us about widgets and reaches us.
    ASSERT_TRUE(WaitUntil([&] {
      return client->Create(kV1, Widget(kV1, "big", 11)).status().message().find("above 10") !=
             std::string::npos;
    })) << client->Create(kV1, Widget(kV1, "big", 11)).status().ToString();
  }
  void TearDown() override {
    keeper.reset();
    server.reset();
    client.reset();
    api.reset();
  }

  base::Status Take(const base::KeyPair& pair) {
    const base::Status status = server->SetCertificate(pair);
    const std::lock_guard lock(mutex);
    if (status.ok()) served.insert(pair.certificate_pem);
    return status;
  }
  std::size_t Served() {
    const std::lock_guard lock(mutex);
    return served.size();
  }
  base::Status Install() {
    const std::string url = fmt::format("https://127.0.0.1:{}", server->port());
    const std::string crd = fmt::format(
        R"({{"apiVersion":"apiextensions.k8s.io/v1","kind":"CustomResourceDefinition",
        "metadata":{{"name":"widgets.test.sluice.dev"}},"spec":{{"group":"test.sluice.dev",
        "scope":"Namespaced","names":{{"kind":"Widget","plural":"widgets","singular":"widget",
        "listKind":"WidgetList"}},"versions":[{},{}],"conversion":{{"strategy":"Webhook",
        "webhook":{{"conversionReviewVersions":["v1"],"clientConfig":{{"url":"{}/convert"}}}}}}}}}})",
        Version("v1", "size", true), Version("v2", "length", false), url);
    SLUICE_RETURN_IF_ERROR(api->Apply(crd));
    for (const auto& [kind, path] :
         {std::pair("Validating", "/validate"), std::pair("Mutating", "/mutate")}) {
      const json hooks = {{"apiVersion", "admissionregistration.k8s.io/v1"},
                          {"kind", fmt::format("{}WebhookConfiguration", kind)},
                          {"metadata", {{"name", "hook"}}},
                          {"webhooks", {Hook(kFirst, url + path), Hook(kSecond, url + "/agree")}}};
      SLUICE_RETURN_IF_ERROR(api->Apply(hooks.dump()));
    }
    return base::OkStatus();
  }

  base::RealClock clock;
  base::metrics::Registry registry;
  std::unique_ptr<ApiServer> api;
  std::unique_ptr<client::Client> client;
  std::unique_ptr<webhook::Server> server;
  std::unique_ptr<certs::Keeper> keeper;
  std::atomic<int> dry_runs{0};
  std::mutex mutex;
  std::set<std::string> served;  // guarded by mutex; certificates, each once
};

World* const kWorld = new World;  // owned by gtest
const auto* const kRegistered = ::testing::AddGlobalTestEnvironment(kWorld);

TEST(Webhook, AWidgetIsRefusedWithOurMessageAndAnotherIsChanged) {
  const auto refused = kWorld->client->Create(kV1, Widget(kV1, "big", 11));
  EXPECT_EQ(refused.status().code(), base::Code::kPermissionDenied);
  EXPECT_THAT(refused.status().message(),
              HasSubstr("admission webhook \"hook.test.sluice.dev\" denied the request: "
                        "size above 10"));
  const auto made = kWorld->client->Create(kV1, Widget(kV1, "small", 1));
  ASSERT_TRUE(made.ok()) << made.status().ToString();
  EXPECT_EQ((*made)->Label("test.sluice.dev/by"), "admin");
  const auto tried =
      kWorld->client->Apply(kV1, Widget(kV1, "dry", 2), {.field_manager = "test", .dry_run = true});
  ASSERT_TRUE(tried.ok()) << tried.status().ToString();
  EXPECT_GE(kWorld->dry_runs, 1) << "the webhook was told that nothing is stored";
  EXPECT_EQ(kWorld->client->Get(kV1, {"default", "dry"}).status().code(), base::Code::kNotFound);
  EXPECT_THAT(kWorld->registry.Expose(),
              HasSubstr("controller_runtime_webhook_requests_total{code=\"200\","
                        "webhook=\"/validate\"}"));
}

TEST(Webhook, WidgetsAreConvertedBothWaysAndARefusalIsTold) {
  ASSERT_TRUE(kWorld->client->Create(kV1, Widget(kV1, "old", 3)).ok());
  const auto as_new = kWorld->client->Get(kV2, {"default", "old"});
  ASSERT_TRUE(as_new.ok()) << as_new.status().ToString();
  EXPECT_EQ((*as_new)->ToJson()["spec"], (json{{"length", 3}}));
  ASSERT_TRUE(kWorld->client->Create(kV2, Widget(kV2, "new", 4)).ok());
  const auto as_old = kWorld->client->Get(kV1, {"default", "new"});
  ASSERT_TRUE(as_old.ok()) << as_old.status().ToString();
  EXPECT_EQ((*as_old)->ToJson()["spec"], (json{{"size", 4}}));
  const auto list = kWorld->client->List(kV2, {.ns = "default"});
  ASSERT_TRUE(list.ok()) << list.status().ToString();
  for (const auto& item : list->items) EXPECT_TRUE(item->ToJson()["spec"].contains("length"));
  json empty = Widget(kV2, "empty", 0);
  empty["spec"] = json::object();
  EXPECT_THAT(kWorld->client->Create(kV2, empty).status().message(),
              HasSubstr("no size or length"));
}

TEST(Webhook, NoRequestFailsWhileCertificatesAndAuthoritiesRotate) {
  ASSERT_TRUE(kWorld->client->Create(kV1, Widget(kV1, "rotated", 0)).ok());
  std::set<std::string> authorities;
  int requests = 0;
  const meta::Resource secrets{"", "v1", "Secret", "secrets", true};
  const auto deadline = std::chrono::steady_clock::now() + 150s;
  while (authorities.size() < kAuthorities && std::chrono::steady_clock::now() < deadline) {
    // Validated, mutated and converted on the way in, converted on the way out.
    const auto written = kWorld->client->Apply(kV2, Widget(kV2, "rotated", requests % 10),
                                               {.field_manager = "test", .force = true});
    ASSERT_TRUE(written.ok()) << "after " << requests << ": " << written.status().ToString();
    const auto read = kWorld->client->Get(kV2, {"default", "rotated"});
    ASSERT_TRUE(read.ok()) << "after " << requests << ": " << read.status().ToString();
    ++requests;
    const auto secret = kWorld->client->Get(secrets, {"default", "hook-tls"});
    ASSERT_TRUE(secret.ok());
    authorities.insert((*secret)->ToJson()["data"]["authority.crt"].get<std::string>());
    EXPECT_TRUE(kWorld->server->Ready().ok());
  }
  EXPECT_EQ(authorities.size(), kAuthorities);
  EXPECT_GE(kWorld->Served(), kAuthorities) << "each signed what was served";
  EXPECT_GT(requests, 20);
}

}  // namespace
}  // namespace sluice
