// For fake_api_test.cc and fake_api_watch_test.cc: one client of each, and what both compare.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <tuple>

#include "controller/client/client.h"
#include "controller/client/config.h"
#include "controller/testing/api_server.h"
#include "controller/testing/fake_api.h"
#include "controller/testing/status_matchers.h"
#include "controller/testing/wait.h"

namespace sluice::testing_kit {

using base::Code;
using nlohmann::json;

inline const meta::Resource kThings{"test.sluice.dev", "v1", "Thing", "things", true};
inline constexpr const char* kCrd = R"({"apiVersion":"apiextensions.k8s.io/v1",
  "kind":"CustomResourceDefinition","metadata":{"name":"things.test.sluice.dev"},
  "spec":{"group":"test.sluice.dev","scope":"Namespaced",
    "names":{"kind":"Thing","plural":"things","singular":"thing","listKind":"ThingList"},
    "versions":[{"name":"v1","served":true,"storage":true,"subresources":{"status":{}},
      "schema":{"openAPIV3Schema":{"type":"object","properties":{
        "spec":{"type":"object","x-kubernetes-preserve-unknown-fields":true},
        "status":{"type":"object","x-kubernetes-preserve-unknown-fields":true}}}}}]}})";

enum class Which { kFake, kReal };

class Contract : public ::testing::TestWithParam<Which> {
 protected:
  static void SetUpTestSuite() {
    auto started = ApiServer::Start();
    ASSERT_THAT(started, IsOk());
    server_ = std::move(started).value();
    ASSERT_THAT(server_->Apply(kCrd), IsOk());
    ASSERT_THAT(server_->Kubectl({"wait", "--for=condition=Established", "--timeout=30s",
                                  "crd/things.test.sluice.dev"}),
                IsOk());
  }
  static void TearDownTestSuite() { server_.reset(); }
  void SetUp() override {
    if (GetParam() == Which::kFake) {
      api_ = std::make_unique<FakeApi>(clock_);
    } else {
      ASSERT_NE(server_, nullptr);
      api_ = client::NewClient(client::LoadKubeconfig(server_->kubeconfig()).value()).value();
      ASSERT_TRUE(WaitUntil([&] { return api_->List(kThings, {}).ok(); }));
    }
  }
  void TearDown() override {  // what a test left in its namespace
    if (api_ == nullptr) return;
    const auto left = api_->List(kThings, {.ns = "default"});
    for (const auto& object : left->items) {
      if (object->ToJson()["metadata"].contains("finalizers")) {
        std::ignore = api_->Patch(kThings, object->key(), client::PatchType::kMerge,
                                  {{"metadata", {{"finalizers", nullptr}}}});
      }
      if (!object->deleting()) std::ignore = api_->Delete(kThings, object->key());
    }
  }

  static json Thing(const std::string& name, json spec = {{"size", 1}}) {
    return {{"apiVersion", "test.sluice.dev/v1"},
            {"kind", "Thing"},
            {"metadata", {{"name", name}, {"namespace", "default"}}},
            {"spec", std::move(spec)}};
  }
  static meta::Key Key(const std::string& name) { return {"default", name}; }
  // What is stored now; fails the test when there is none.
  json Now(const std::string& name) {
    const auto object = api_->Get(kThings, Key(name));
    EXPECT_THAT(object, IsOk());
    return object.ok() ? (*object)->ToJson() : json::object();
  }
  meta::ObjectPtr Make(const json& thing) {
    auto made = api_->Create(kThings, thing);
    EXPECT_THAT(made, IsOk());
    return made.ok() ? *made : meta::Object::FromJson(thing).value();
  }
  // Same code and same word for programs.
  static void ExpectRefused(const base::Status& status, Code code, const std::string& reason) {
    EXPECT_EQ(status.code(), code) << status.ToString();
    EXPECT_EQ(status.reason(), reason) << status.ToString();
  }

  static inline std::unique_ptr<ApiServer> server_;
  base::RealClock clock_;
  std::unique_ptr<client::Client> api_;
};

inline std::int64_t Version(const json& object) {
  return std::stoll(object["metadata"]["resourceVersion"].get<std::string>());
}
inline std::int64_t Generation(const json& object) { return object["metadata"]["generation"]; }

}  // namespace sluice::testing_kit
