// What a Site that asks for TLS is made of, and what it says.
#include "reconcilers/site/tls.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "api/agent/v1/agent.pb.h"
#include "api/v1alpha1/site.pb.h"
#include "api/v1alpha1/site_class.pb.h"
#include "controller/testing/status_matchers.h"
#include "reconcilers/site/config.h"
#include "reconcilers/site/objects.h"
#include "reconcilers/site/status.h"

namespace sluice::site {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;
using testing_kit::IsOk;

class TlsTest : public ::testing::Test {
 protected:
  TlsTest() {
    in_.name = "phoenix";
    in_.object = *meta::Object::FromJson(
        {{"apiVersion", "sluice.dev/v1alpha1"},
         {"kind", "Site"},
         {"metadata",
          {{"name", "phoenix"}, {"uid", "u1"}, {"resourceVersion", "1"}, {"generation", 1}}}});
    auto site_class = std::make_shared<v1alpha1::SiteClass>();
    site_class->mutable_spec()->mutable_agent()->set_memory("64Mi");
    site_class->mutable_spec()->mutable_agent()->set_s3_port(9000);
    site_class->mutable_spec()->mutable_agent()->set_metrics_port(9464);
    in_.site_class = site_class;
    in_.selected = 2;
    Ask(9443);
    observed_.agents = {true, 2, 2, 2};
    observed_.fleet.in_step = 2;
    observed_.version = "abc";
  }
  void Ask(int port) {
    auto site = std::make_shared<v1alpha1::Site>();
    v1alpha1::S3Tls& tls = *site->mutable_spec()->mutable_s3()->mutable_tls();
    tls.mutable_secret_ref()->set_name("s3-tls");
    tls.set_port(port);
    in_.site = site;
  }
  void DoNotAsk() { in_.site = std::make_shared<v1alpha1::Site>(); }
  json Wanted(const std::string& kind, const std::string& name) {
    for (const WantedObject& object : WantedObjects(in_, {})) {
      if (object.resource.kind == kind && object.key.name == name) return json::parse(object.json);
    }
    return nullptr;
  }
  json Condition(const std::string& type) {
    const json status = BuildStatus(in_, DeriveConfig(in_, {}), observed_,
                                    base::WallTime(std::chrono::seconds(1'800'000'000)));
    for (const json& condition : status["conditions"]) {
      if (condition["type"] == type) return condition;
    }
    return nullptr;
  }

  Inputs in_;
  Observed observed_;
};

TEST_F(TlsTest, TheSecretIsMountedSoThatAgentsStartWithoutIt) {
  const json whole = Wanted("DaemonSet", kAgentName).at("/spec/template"_json_pointer);
  EXPECT_EQ(whole["metadata"]["annotations"]["sluice.dev/s3-tls-port"], "9443")
      << "another port restarts agents";
  const json& pod = whole["spec"];
  const json& volume = pod["volumes"].back();
  EXPECT_EQ(volume["secret"]["secretName"], "s3-tls");
  EXPECT_EQ(volume["secret"]["optional"], true);
  EXPECT_EQ(volume["secret"]["defaultMode"], 0400);
  EXPECT_EQ(volume["secret"]["items"].size(), 2u) << "no other entry of the Secret";
  const json& mount = pod["containers"][0]["volumeMounts"].back();
  EXPECT_EQ(mount["name"], volume["name"]);
  EXPECT_EQ(mount["mountPath"], kTlsFolder);
  EXPECT_EQ(mount["readOnly"], true);
  const json ports = Wanted("Service", "s3").at("/spec/ports"_json_pointer);
  ASSERT_EQ(ports.size(), 2u);
  EXPECT_EQ(ports[1]["port"], 9443);
  EXPECT_EQ(ports[1]["name"], "s3-tls");

  DoNotAsk();
  EXPECT_EQ(Wanted("DaemonSet", kAgentName).dump().find("s3-tls"), std::string::npos);
  EXPECT_EQ(Wanted("Service", "s3").at("/spec/ports"_json_pointer).size(), 1u);
}

TEST_F(TlsTest, TheConfigurationNamesTheMountedFiles) {
  Ask(0);  // of before the schema knew a default
  const Derived derived = DeriveConfig(in_, {});
  ASSERT_THAT(derived.status, IsOk());
  ASSERT_EQ(derived.config->tls_listen_size(), 1);
  EXPECT_EQ(derived.config->tls_listen(0).address(), "0.0.0.0:9443");
  EXPECT_EQ(derived.config->tls_listen(0).certificates(0).certificate_file(),
            "/etc/sluice/tls/tls.crt");
  EXPECT_EQ(derived.config->tls_listen(0).certificates(0).key_file(), "/etc/sluice/tls/tls.key");
  DoNotAsk();
  EXPECT_EQ(DeriveConfig(in_, {}).config->tls_listen_size(), 0);
}

TEST_F(TlsTest, APortThatTheClassHasIsNamed) {
  Ask(9464);
  EXPECT_THAT(DeriveConfig(in_, {}).status.message(),
              HasSubstr("spec.s3.tls.port: 9464 is the class's agent.metricsPort too"));
  EXPECT_EQ(Condition("Configured")["reason"], "NotDerived");
}

TEST_F(TlsTest, TheConditionIsTheWorstThatAgentsSee) {
  using State = agents::CertificateState;
  EXPECT_EQ(Condition("TlsServed")["reason"], "AgentsBehind");
  observed_.fleet.tls_shown = 1;
  observed_.fleet.certificates = State::kShown;
  EXPECT_EQ(Condition("TlsServed")["reason"], "AgentsBehind");
  EXPECT_EQ(Condition("Ready")["status"], "False");
  observed_.fleet.tls_shown = 2;
  EXPECT_EQ(Condition("TlsServed")["status"], "True");
  EXPECT_EQ(Condition("TlsServed")["reason"], "Served");
  EXPECT_EQ(Condition("Ready")["status"], "True");

  observed_.fleet.tls_shown = 1;
  observed_.fleet.example_certificate = "node n1: open /etc/sluice/tls/tls.crt: no such file";
  for (const auto& [state, reason] : {std::pair(State::kEnded, "CertificateEnded"),
                                      std::pair(State::kUnusable, "CertificateUnusable"),
                                      std::pair(State::kMissing, "SecretMissing")}) {
    observed_.fleet.certificates = state;
    const json condition = Condition("TlsServed");
    EXPECT_EQ(condition["status"], "False");
    EXPECT_EQ(condition["reason"], reason);
    EXPECT_THAT(condition["message"].get<std::string>(),
                HasSubstr("Secret sluice-site-phoenix/s3-tls"));
    EXPECT_THAT(condition["message"].get<std::string>(), HasSubstr("node n1: open"));
    EXPECT_EQ(Condition("Ready")["reason"], reason);
  }
  DoNotAsk();
  EXPECT_TRUE(Condition("TlsServed").is_null());
}

}  // namespace
}  // namespace sluice::site
