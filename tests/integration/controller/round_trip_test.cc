// What a write does not mean stays as it was, byte for byte, through every write call of the
// client: integers above 2^53, any spelling of a quantity, fields nobody knows, fields of others.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <nlohmann/json.hpp>

#include "controller/client/client.h"
#include "controller/client/config.h"
#include "controller/client/status_text.h"
#include "controller/leader/elector.h"
#include "controller/leader/lease.h"
#include "controller/testing/api_server.h"
#include "controller/testing/status_matchers.h"
#include "controller/testing/wait.h"

namespace sluice::client {
namespace {

using nlohmann::json;
using testing_kit::IsOk;
using testing_kit::WaitUntil;

const meta::Resource kRelics{"test.sluice.dev", "v1", "Relic", "relics", true};
const meta::Key kRelic{"default", "r"};
constexpr const char* kRelicCrd = R"({"apiVersion":"apiextensions.k8s.io/v1",
  "kind":"CustomResourceDefinition","metadata":{"name":"relics.test.sluice.dev"},
  "spec":{"group":"test.sluice.dev","scope":"Namespaced",
    "names":{"kind":"Relic","plural":"relics","singular":"relic","listKind":"RelicList"},
    "versions":[{"name":"v1","served":true,"storage":true,"subresources":{"status":{}},
      "schema":{"openAPIV3Schema":{"type":"object","x-kubernetes-preserve-unknown-fields":true}}}]}})";
// Of somebody else, in spec and in status alike. Floating-point numbers that are whole stay so.
constexpr const char* kTheirs = R"({"big":9223372036854775807,"odd":9007199254740993,
  "negative":-9007199254740993,"fraction":0.1,"amounts":["1024Mi","1Gi","1e3","1000m","0.5","500m"],
  "deep":{"unknown":[{"x":[]},1.5,true,"\u00e4\u2028\"\\"]},"empty":{}})";

// One way of writing. It adds "ours" under `part` and means nothing else.
struct WriteCall {
  const char* name;
  const char* part;
  std::function<base::Status(Client&, const meta::Object& live)> write;
};

json Head() { return {{"metadata", {{"name", "r"}, {"namespace", "default"}}}}; }

json With(json object, const char* part) {
  object[part]["ours"] = "y";
  return object;
}

const std::vector<WriteCall>& WriteCalls() {
  static const ApplyOptions us{.field_manager = "us"};
  static const std::vector<WriteCall> calls = {
      {"Update", "spec",
       [](Client& api, const meta::Object& live) {
         return api.Update(kRelics, With(live.ToJson(), "spec")).status();
       }},
      {"UpdateStatus", "status",
       [](Client& api, const meta::Object& live) {
         return api.UpdateStatus(kRelics, With(live.ToJson(), "status")).status();
       }},
      {"Apply", "spec",
       [](Client& api, const meta::Object&) {
         return api.Apply(kRelics, With(Head(), "spec"), us).status();
       }},
      {"ApplyStatus", "status",
       [](Client& api, const meta::Object&) {
         return api.ApplyStatus(kRelics, With(Head(), "status"), us).status();
       }},
      {"ApplyStatusText", "status",  // the way of every status of the product
       [](Client& api, const meta::Object&) {
         json body = With(Head(), "status");
         body["apiVersion"] = kRelics.ApiVersion();
         body["kind"] = kRelics.kind;
         return ApplyStatusText(api, kRelics, kRelic, body.dump(), us).status();
       }},
      {"PatchMerge", "spec",
       [](Client& api, const meta::Object&) {
         return api.Patch(kRelics, kRelic, PatchType::kMerge, {{"spec", {{"ours", "y"}}}}).status();
       }},
      {"PatchJson", "spec",
       [](Client& api, const meta::Object&) {
         const json steps = {{{"op", "add"}, {"path", "/spec/ours"}, {"value", "y"}}};
         return api.Patch(kRelics, kRelic, PatchType::kJson, steps).status();
       }},
  };
  return calls;
}

class RoundTrip : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    auto started = testing_kit::ApiServer::Start();
    ASSERT_THAT(started, IsOk());
    server_ = std::move(started).value();
    ASSERT_THAT(server_->Apply(kRelicCrd), IsOk());
  }
  static void TearDownTestSuite() { server_.reset(); }
  void SetUp() override {
    ASSERT_NE(server_, nullptr);
    api_ = NewClient(LoadKubeconfig(server_->kubeconfig()).value()).value();
    ASSERT_TRUE(WaitUntil([&] { return api_->List(kRelics, {}).ok(); }));
  }

  // Made by Create, with a label of another manager and a status of a third.
  void MakeRelic() {
    json relic = Head();
    relic["spec"] = json::parse(kTheirs);
    relic["data"] = json::parse(kTheirs);  // beside spec and status
    ASSERT_THAT(api_->Create(kRelics, relic), IsOk());
    json labelled = Head();
    labelled["metadata"]["labels"] = {{"theirs", "x"}};
    ASSERT_THAT(api_->Apply(kRelics, labelled, {.field_manager = "other"}), IsOk());
    json told = Head();
    told["status"] = json::parse(kTheirs);
    ASSERT_THAT(api_->ApplyStatus(kRelics, told, {.field_manager = "third"}), IsOk());
  }
  // As text, so that 1 and 1.0 differ.
  static std::string Lasting(json object) {
    object["metadata"].erase("resourceVersion");
    object["metadata"].erase("generation");
    return object.dump();
  }

  static inline std::unique_ptr<testing_kit::ApiServer> server_;
  base::RealClock clock_;
  std::unique_ptr<Client> api_;
};

TEST_F(RoundTrip, EveryWriteCallLeavesWhatItDoesNotMean) {
  for (const WriteCall& call : WriteCalls()) {
    SCOPED_TRACE(call.name);
    MakeRelic();
    const meta::ObjectPtr before = api_->Get(kRelics, kRelic).value();
    for (const char* part : {"spec", "status", "data"}) {
      EXPECT_EQ(before->ToJson()[part].dump(), json::parse(kTheirs).dump()) << part;
    }
    ASSERT_THAT(call.write(*api_, *before), IsOk());
    const json after = api_->Get(kRelics, kRelic).value()->ToJson();
    EXPECT_EQ(Lasting(after), Lasting(With(before->ToJson(), call.part)));
    EXPECT_NE(after["metadata"]["resourceVersion"], before->resource_version());
    ASSERT_THAT(api_->Delete(kRelics, kRelic), IsOk());
  }
}

// A Lease is a kind of the server's own, which drops what it does not know; what it knows stays.
TEST_F(RoundTrip, TheElectorLeavesWhatIsNotOfAnElection) {
  const meta::Key key{"default", "election"};
  const json lease = {{"metadata",
                       {{"name", key.name},
                        {"namespace", key.ns},
                        {"labels", {{"theirs", "x"}}},
                        {"annotations", {{"theirs.dev/amount", "1024Mi"}}},
                        {"finalizers", {"theirs.dev/hold"}}}},
                      {"spec", {{"leaseTransitions", 2147483646}}}};
  ASSERT_THAT(api_->Create(leader::LeaseResource(), lease), IsOk());
  base::metrics::Registry registry;
  const auto now = [&] { return api_->Get(leader::LeaseResource(), key).value()->ToJson(); };
  {
    leader::Elector elector({key, "us"}, *api_, *api_, clock_, registry, {});
    elector.Start();
    ASSERT_TRUE(WaitUntil([&] { return elector.leading(); }));
    EXPECT_EQ(now()["spec"]["holderIdentity"], "us");
    EXPECT_EQ(now()["spec"]["leaseTransitions"], 2147483647);
    elector.Stop();
  }
  const json after = now();
  for (const char* part : {"labels", "annotations", "finalizers"}) {
    EXPECT_EQ(after["metadata"][part], lease["metadata"][part]) << part;
  }
  EXPECT_EQ(after["spec"].value("holderIdentity", ""), "") << "it was given back";
}

}  // namespace
}  // namespace sluice::client
