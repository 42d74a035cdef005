#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "controller/base/digest.h"
#include "controller/certs/keeper.h"
#include "controller/certs/secret_form.h"
#include "controller/testing/fake_api.h"
#include "controller/testing/wait.h"

namespace sluice::certs {
namespace {

using namespace std::chrono_literals;
using base::CertificateAuthority;
using nlohmann::json;
using ::testing::AllOf;
using ::testing::HasSubstr;
using testing_kit::FakeApi;

const Policy kPolicy = {.common_name = "test",
                        .dns_names = {"hook.ns.svc"},
                        .addresses = {"127.0.0.1"},
                        .authority_life = 90h,
                        .serving_life = 9h};
const base::WallTime kNow = base::WallTime(1'800'000'000s);

bool Trusts(const std::string& bundle, const std::vector<base::KeyPair>& authorities,
            const std::string& leaf) {
  for (const auto& pair : authorities) {
    if (CertificateAuthority::Load(pair)->Signed(leaf)) {
      return bundle.find(pair.certificate_pem) != std::string::npos;
    }
  }
  return false;
}

TEST(Plan, MakesEverythingWhenThereIsNothingAndThenRests) {
  const auto made = Plan(kPolicy, std::nullopt, kNow, false);
  ASSERT_TRUE(made.ok() && *made);
  const State& state = **made;
  EXPECT_EQ(state.Bundle(), state.authority.certificate_pem);
  EXPECT_TRUE(CertificateAuthority::Load(state.authority)->Signed(state.serving.certificate_pem));
  EXPECT_EQ(*base::NotAfter(state.serving.certificate_pem), kNow + 9h);
  EXPECT_FALSE(*Plan(kPolicy, state, kNow, true));
  EXPECT_FALSE(*Plan(kPolicy, state, kNow + 6h - 1s, true));
}

TEST(Plan, AServingCertificateIsFollowedAtTwoThirdsOfItsLifeOrWhenItsNamesChange) {
  const State state = **Plan(kPolicy, std::nullopt, kNow, false);
  const auto next = Plan(kPolicy, state, kNow + 6h, false);
  ASSERT_TRUE(next.ok() && *next);
  EXPECT_EQ(*base::NotAfter((*next)->serving.certificate_pem), kNow + 15h);
  EXPECT_EQ((*next)->Bundle(), state.Bundle());
  Policy renamed = kPolicy;
  renamed.dns_names = {"other.ns.svc"};
  const auto named = Plan(renamed, state, kNow, true);
  ASSERT_TRUE(named.ok() && *named);
  EXPECT_TRUE(
      base::CertificateCovers((*named)->serving.certificate_pem, {"other.ns.svc"}, {"127.0.0.1"}));
}

TEST(Plan, AnAuthorityIsAnnouncedThenSignsThenIsTheOnlyOne) {
  State state = **Plan(kPolicy, std::nullopt, kNow, false);
  const base::KeyPair first = state.authority;
  state = **Plan(kPolicy, state, kNow + 60h, false);
  ASSERT_TRUE(state.next) << "announced at two thirds of its life";
  const base::KeyPair second = *state.next;
  EXPECT_EQ(state.authority.certificate_pem, first.certificate_pem) << "signs no more than that";
  state = **Plan(kPolicy, state, kNow + 61h, false);
  EXPECT_TRUE(CertificateAuthority::Load(first)->Signed(state.serving.certificate_pem))
      << "not settled: what is due is still signed by the old one";
  const std::string bundle = state.Bundle();
  state = **Plan(kPolicy, state, kNow + 62h, true);
  EXPECT_EQ(state.authority.certificate_pem, second.certificate_pem);
  EXPECT_TRUE(CertificateAuthority::Load(second)->Signed(state.serving.certificate_pem));
  EXPECT_EQ(state.Bundle(), bundle) << "nobody has to be told anything when it takes over";
  EXPECT_TRUE(Trusts(bundle, {first, second}, state.serving.certificate_pem));
  const auto later = Plan(kPolicy, state, kNow + 90h, true);
  ASSERT_TRUE(later.ok() && *later);
  EXPECT_EQ((*later)->Bundle(), second.certificate_pem) << "the first one has ended";
}

TEST(Plan, WhatIsServedIsAlwaysOfAnAuthorityThatWasSettledBefore) {
  // Looked at every two hours; a bundle is settled two hours after it changed.
  std::optional<State> state = *Plan(kPolicy, std::nullopt, kNow, false);
  std::string settled;
  int rotations = 0;
  std::string last = state->authority.certificate_pem;
  std::vector<base::KeyPair> authorities = {state->authority};
  for (int hour = 0; hour < 260; hour += 2) {
    const base::WallTime now = kNow + std::chrono::hours(hour);
    const bool is_settled = settled == state->Bundle();
    settled = state->Bundle();
    const auto next = Plan(kPolicy, state, now, is_settled);
    ASSERT_TRUE(next.ok());
    if (*next) state = **next;
    if (state->next && authorities.back().key_pem != state->next->key_pem) {
      authorities.push_back(*state->next);
      if (authorities.size() > 3) authorities.erase(authorities.begin());
    }
    ASSERT_GT(*base::NotAfter(state->serving.certificate_pem), now);
    ASSERT_TRUE(Trusts(settled, authorities, state->serving.certificate_pem)) << hour;
    if (state->authority.certificate_pem != last) ++rotations;
    last = state->authority.certificate_pem;
  }
  EXPECT_GE(rotations, 3);
}

// With a third authority the first would leave the bundle while it is valid.
TEST(Plan, AnAuthorityIsNotFollowedBeforeHalfOfItsLife) {
  Policy policy = kPolicy;
  policy.authority_renewal = 45h - 1s;
  const auto refused = Plan(policy, std::nullopt, kNow, false);
  EXPECT_EQ(refused.status().code(), base::Code::kInvalidArgument);
  EXPECT_THAT(refused.status().message(),
              AllOf(HasSubstr("authority_renewal"), HasSubstr("half of authority_life"),
                    HasSubstr("raise it")));
  policy.authority_renewal = 45h;
  State state = **Plan(policy, std::nullopt, kNow, false);
  const std::string first = state.authority.certificate_pem;
  for (int hour = 0; hour < 90; ++hour) {
    const auto next = Plan(policy, state, kNow + std::chrono::hours(hour), true);
    ASSERT_TRUE(next.ok());
    if (*next) state = **next;
    ASSERT_THAT(state.Bundle(), HasSubstr(first)) << hour;
  }
}

TEST(Plan, AfterALongAbsenceItBeginsAnewAndWhatIsBrokenIsNamed) {
  State state = **Plan(kPolicy, std::nullopt, kNow, false);
  const auto anew = Plan(kPolicy, state, kNow + 1000h, false);
  ASSERT_TRUE(anew.ok() && *anew);
  EXPECT_NE((*anew)->authority.certificate_pem, state.authority.certificate_pem);
  state.authority.key_pem = "gone";
  const auto broken = Plan(kPolicy, state, kNow, false);
  EXPECT_EQ(broken.status().code(), base::Code::kDataLoss);
  EXPECT_THAT(broken.status().message(), HasSubstr("authority"));
}

const meta::Resource kValidating{"admissionregistration.k8s.io", "v1",
                                 "ValidatingWebhookConfiguration",
                                 "validatingwebhookconfigurations", false};
const meta::Resource kCrds{"apiextensions.k8s.io", "v1", "CustomResourceDefinition",
                           "customresourcedefinitions", false};

class KeeperTest : public ::testing::Test {
 protected:
  void SetUp() override {
    api_.Put(kValidating, {{"apiVersion", "admissionregistration.k8s.io/v1"},
                           {"kind", "ValidatingWebhookConfiguration"},
                           {"metadata", {{"name", "hook"}}},
                           {"webhooks",
                            {{{"name", "a.t.dev"}, {"clientConfig", {{"url", "https://h/a"}}}},
                             {{"name", "b.t.dev"}, {"clientConfig", {{"url", "https://h/b"}}}}}}});
  }

  struct Replica {
    std::unique_ptr<Keeper> keeper;
    std::vector<base::KeyPair> taken;
    bool leads = false;
  };
  std::unique_ptr<Replica> NewReplica(bool leads,
                                      const std::vector<Target>& targets = {
                                          {Target::Kind::kValidatingWebhook, "hook", ""},
                                          {Target::Kind::kConversion, "widgets.t.dev", ""}}) {
    auto replica = std::make_unique<Replica>();
    replica->leads = leads;
    replica->keeper =
        std::make_unique<Keeper>(Options{.secret = {"ns", "tls"},
                                         .policy = kPolicy,
                                         .targets = targets,
                                         .field_manager = "test",
                                         .leading = [r = replica.get()] { return r->leads; },
                                         .take =
                                             [r = replica.get()](const base::KeyPair& pair) {
                                               r->taken.push_back(pair);
                                               return base::OkStatus();
                                             }},
                                 api_, clock_, registry_);
    return replica;
  }
  std::string BundleAt(const std::string& webhook) {
    const json object = api_.Look(kValidating, {"", "hook"});
    for (const json& entry : object["webhooks"]) {
      if (entry["name"] == webhook) {
        return base::Base64Decode(entry["clientConfig"].value("caBundle", "")).value();
      }
    }
    return "";
  }
  State Kept() { return ReadSecret(**api_.Get(SecretResource(), {"ns", "tls"})).value(); }

  base::FakeClock clock_{kNow};
  FakeApi api_{clock_};
  base::metrics::Registry registry_;
};

TEST_F(KeeperTest, TheLeaderMakesAndEveryReplicaServesTheSame) {
  const auto leader = NewReplica(true);
  const auto follower = NewReplica(false);
  EXPECT_EQ(follower->keeper->Look().code(), base::Code::kUnavailable);
  EXPECT_EQ(api_.writes(), 0) << "a follower writes nothing";
  ASSERT_TRUE(leader->keeper->Look().ok());
  ASSERT_TRUE(follower->keeper->Look().ok());
  ASSERT_EQ(leader->taken.size(), 1U);
  ASSERT_EQ(follower->taken.size(), 1U);
  EXPECT_EQ(leader->taken[0].certificate_pem, follower->taken[0].certificate_pem);
  EXPECT_EQ(BundleAt("a.t.dev"), Kept().Bundle());
  EXPECT_EQ(BundleAt("b.t.dev"), Kept().Bundle());
  EXPECT_EQ(api_.Look(kValidating, {"", "hook"})["webhooks"][0]["clientConfig"]["url"],
            "https://h/a");
  EXPECT_TRUE(api_.Look(kCrds, {"", "widgets.t.dev"}).is_null())
      << "a target that is not there is not made";
  const int writes = api_.writes();
  for (int i = 0; i < 10; ++i) {
    clock_.Advance(60s);
    ASSERT_TRUE(leader->keeper->Look().ok());
    ASSERT_TRUE(follower->keeper->Look().ok());
  }
  EXPECT_EQ(api_.writes(), writes) << "at rest nothing is written";
  EXPECT_EQ(leader->taken.size(), 1U);
}

TEST_F(KeeperTest, WebhooksOfOneConfigurationThatAreNamedApartKeepTheirBundles) {
  const auto leader = NewReplica(true, {{Target::Kind::kValidatingWebhook, "hook", "a.t.dev"},
                                        {Target::Kind::kValidatingWebhook, "hook", "b.t.dev"}});
  ASSERT_TRUE(leader->keeper->Look().ok());
  EXPECT_EQ(BundleAt("a.t.dev"), Kept().Bundle());
  EXPECT_EQ(BundleAt("b.t.dev"), Kept().Bundle());
  const int writes = api_.writes();
  ASSERT_TRUE(leader->keeper->Look().ok());
  EXPECT_EQ(api_.writes(), writes);
  EXPECT_EQ(BundleAt("a.t.dev"), Kept().Bundle());
  EXPECT_EQ(BundleAt("b.t.dev"), Kept().Bundle());
}

TEST_F(KeeperTest, AWebhookThatIsNotNamedIsNotOurs) {
  const auto leader = NewReplica(true, {{Target::Kind::kValidatingWebhook, "hook", "b.t.dev"}});
  ASSERT_TRUE(leader->keeper->Look().ok());
  EXPECT_EQ(BundleAt("a.t.dev"), "");
  EXPECT_EQ(BundleAt("b.t.dev"), Kept().Bundle());
}

TEST_F(KeeperTest, ATargetThatCannotBeWrittenKeepsNoOtherFromItsBundleAndNothingSettles) {
  json crd = {{"apiVersion", "apiextensions.k8s.io/v1"},
              {"kind", "CustomResourceDefinition"},
              {"metadata", {{"name", "widgets.t.dev"}}},
              {"spec", {{"conversion", {{"strategy", "None"}}}}}};
  api_.Put(kCrds, crd);
  const auto leader = NewReplica(true, {{Target::Kind::kConversion, "widgets.t.dev", ""},
                                        {Target::Kind::kValidatingWebhook, "hook", ""}});
  const auto status = leader->keeper->Look();
  EXPECT_EQ(status.code(), base::Code::kFailedPrecondition);
  EXPECT_THAT(status.message(), HasSubstr("widgets.t.dev: its conversion is not by webhook"));
  EXPECT_EQ(BundleAt("a.t.dev"), Kept().Bundle());
  // What cannot be looked at is not known to be in place, however long.
  clock_.Advance(60h);
  EXPECT_FALSE(leader->keeper->Look().ok());
  clock_.Advance(kSettle + 1s);
  EXPECT_FALSE(leader->keeper->Look().ok());
  EXPECT_TRUE(Kept().next);
}

TEST_F(KeeperTest, ANewAuthoritySignsOnlyAfterItsBundleHasSettledEverywhere) {
  const auto leader = NewReplica(true);
  ASSERT_TRUE(leader->keeper->Look().ok());
  clock_.Advance(60h);
  ASSERT_TRUE(leader->keeper->Look().ok());
  const State announced = Kept();
  ASSERT_TRUE(announced.next);
  EXPECT_THAT(BundleAt("a.t.dev"), HasSubstr(announced.next->certificate_pem));
  // Another replica takes over: it has not seen the bundle settle.
  leader->leads = false;
  const auto second = NewReplica(true);
  clock_.Advance(kSettle + 1s);
  ASSERT_TRUE(second->keeper->Look().ok());
  ASSERT_TRUE(second->keeper->Look().ok());
  EXPECT_TRUE(Kept().next);
  // Somebody replaces the configuration: the wait begins anew.
  clock_.Advance(kSettle - 1s);
  SetUp();
  ASSERT_TRUE(second->keeper->Look().ok());
  clock_.Advance(2s);
  ASSERT_TRUE(second->keeper->Look().ok());
  EXPECT_TRUE(Kept().next);
  clock_.Advance(kSettle);
  ASSERT_TRUE(second->keeper->Look().ok());
  EXPECT_FALSE(Kept().next);
  EXPECT_EQ(Kept().authority.certificate_pem, announced.next->certificate_pem);
}

TEST_F(KeeperTest, AFailureIsCountedAndTheSecretThatIsBrokenIsLeftAsItIs) {
  const auto leader = NewReplica(true);
  ASSERT_TRUE(leader->keeper->Look().ok());
  json secret = api_.Look(SecretResource(), {"ns", "tls"});
  secret["data"]["authority.key"] = "!";
  api_.Put(SecretResource(), secret);
  const int writes = api_.writes();
  const auto status = leader->keeper->Look();
  EXPECT_EQ(status.code(), base::Code::kDataLoss);
  EXPECT_THAT(status.message(), HasSubstr("ns/tls: key authority.key"));
  EXPECT_EQ(api_.writes(), writes);
  EXPECT_THAT(registry_.Expose(),
              HasSubstr("sluice_certificates_failures_total{secret=\"ns/tls\"} 1"));
}

TEST_F(KeeperTest, LooksByItselfUntilItIsStopped) {
  const auto leader = NewReplica(true);
  leader->keeper->Start();
  ASSERT_TRUE(testing_kit::WaitUntil([&] { return clock_.waiters() == 1; }));
  clock_.Advance(6h);
  ASSERT_TRUE(testing_kit::WaitUntil([&] { return clock_.waiters() == 1; }));
  leader->keeper->Stop();
  EXPECT_EQ(leader->taken.size(), 2U);
}

}  // namespace
}  // namespace sluice::certs
