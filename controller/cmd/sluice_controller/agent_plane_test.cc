#include "controller/cmd/sluice_controller/agent_plane.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <utility>

#include "controller/testing/fake_api.h"
#include "controller/testing/status_matchers.h"

namespace sluice::controller_main {
namespace {

using nlohmann::json;
using testing::HasSubstr;
using testing_kit::HasCode;
using testing_kit::HasError;
using testing_kit::IsOk;

const meta::Resource kNamespaces{"", "v1", "Namespace", "namespaces", false};

json Review(bool authenticated = true) {
  return {{"kind", "TokenReview"},
          {"status",
           {{"authenticated", authenticated},
            {"error", "expired"},
            {"audiences", {"sluice"}},
            {"user",
             {{"username", "system:serviceaccount:sluice-site-phoenix:sluice-agent"},
              {"extra",
               {{"authentication.kubernetes.io/pod-name", {"agent-x"}},
                {"authentication.kubernetes.io/node-name", {"node-1"}}}}}}}}};
}

TEST(TokenReview, GivesPodAndNodeOfABoundToken) {
  const auto token = ReadTokenReview(Review().dump());
  ASSERT_THAT(token, IsOk());
  EXPECT_EQ(token->pod, "agent-x");
  EXPECT_EQ(token->node, "node-1");
}

TEST(TokenReview, RefusesWhatTheApiServerRefusesAForeignAudienceAndAnUnboundToken) {
  EXPECT_THAT(ReadTokenReview(Review(false).dump()),
              HasError(base::Code::kUnauthenticated, HasSubstr("expired")));
  json review = Review();
  review["status"]["audiences"] = {"https://kubernetes.default.svc"};
  EXPECT_THAT(ReadTokenReview(review.dump()),
              HasError(base::Code::kUnauthenticated, HasSubstr("audience")));
  review = Review();
  review["status"].erase("audiences");
  EXPECT_THAT(ReadTokenReview(review.dump()), HasCode(base::Code::kUnauthenticated));
  review = Review();
  review["status"]["user"]["extra"].erase("authentication.kubernetes.io/node-name");
  EXPECT_THAT(ReadTokenReview(review.dump()),
              HasError(base::Code::kUnauthenticated, HasSubstr("not bound")));
  EXPECT_THAT(ReadTokenReview("no json"), HasCode(base::Code::kDataLoss));
}

class PlaneTest : public testing::Test {
 protected:
  PlaneTest() : api(clock) {}
  base::RealClock clock;
  testing_kit::FakeApi api;
};

TEST_F(PlaneTest, ATokenOfAnotherSitesAgentsIsRefused) {
  api.OnRaw([](auto method, auto path, auto body) -> base::StatusOr<std::string> {
    EXPECT_EQ(method, "POST");
    EXPECT_EQ(path, "/apis/authentication.k8s.io/v1/tokenreviews");
    EXPECT_EQ(json::parse(body)["spec"]["audiences"][0], "sluice");
    return Review().dump();
  });
  ClusterTokenReviewer reviewer(api, clock, [](const std::string& site) {
    return "system:serviceaccount:sluice-site-" + site + ":sluice-agent";
  });
  const auto soon = clock.Mono() + std::chrono::seconds(10);
  EXPECT_THAT(reviewer.Review("phoenix", "t", soon), IsOk());
  EXPECT_THAT(reviewer.Review("tucson", "t", soon), HasCode(base::Code::kPermissionDenied));
}

TEST_F(PlaneTest, AFailedReviewTellsNothingOfTheToken) {
  api.OnRaw([](auto, auto, auto) -> base::StatusOr<std::string> {
    return base::Unavailable("connection refused");
  });
  ClusterTokenReviewer reviewer(api, clock, [](const auto&) { return "x"; });
  const auto review = reviewer.Review("phoenix", "s3cr3t", clock.Mono() + std::chrono::seconds(10));
  EXPECT_THAT(review, HasCode(base::Code::kUnavailable));
  EXPECT_THAT(review.status().message(), testing::Not(HasSubstr("s3cr3t")));
}

TEST_F(PlaneTest, AllReplicasShareTheAuthorityThatTheFirstMade) {
  const auto one = EnsureAuthority(api, api, "sluice", clock.Wall());
  const auto two = EnsureAuthority(api, api, "sluice", clock.Wall());
  ASSERT_THAT(one, IsOk());
  ASSERT_THAT(two, IsOk());
  EXPECT_EQ(one->pair.certificate_pem, two->pair.certificate_pem);
  EXPECT_EQ(one->version_key, two->version_key);
  EXPECT_EQ(api.LookAll(SecretResource()).size(), 1u);
}

TEST_F(PlaneTest, AMissingRightIsWaitedForAndABrokenSecretIsNot) {
  api.FailBefore([](const testing_kit::Call& call) -> std::optional<base::Status> {
    if (call.verb != "create") return std::nullopt;
    return base::PermissionDenied("cannot create resource \"secrets\"");
  });
  EXPECT_TRUE(MayPass(EnsureAuthority(api, api, "sluice", clock.Wall()).status()));
  // A 409 to a create of what is not there either: looked at anew, not the end of the process.
  api.FailBefore([](const testing_kit::Call& call) -> std::optional<base::Status> {
    if (call.verb != "create") return std::nullopt;
    return base::AlreadyExists("by somebody in between");
  });
  EXPECT_TRUE(MayPass(EnsureAuthority(api, api, "sluice", clock.Wall()).status()));
  api.FailBefore(nullptr);
  EXPECT_FALSE(MayPass(EnsureAuthority(api, api, "sluice", clock.Wall()).status()));  // OK now
  api.Put(SecretResource(), {{"metadata", {{"namespace", "sluice"}, {"name", kAuthoritySecret}}},
                             {"data", {{"ca.crt", "!"}}}});
  const auto broken = EnsureAuthority(api, api, "sluice", clock.Wall());
  EXPECT_THAT(broken, HasCode(base::Code::kDataLoss));
  EXPECT_FALSE(MayPass(broken.status()));
}

TEST_F(PlaneTest, AReplicaThatLosesTheRaceTakesTheOthersAuthority) {
  testing_kit::FakeApi other(clock);
  const auto theirs = EnsureAuthority(other, other, "sluice", clock.Wall());
  ASSERT_THAT(theirs, IsOk());
  api.FailBefore([&](const testing_kit::Call& call) -> std::optional<base::Status> {
    if (call.verb == "create") api.Put(SecretResource(), AuthoritySecret("sluice", *theirs));
    return std::nullopt;
  });
  const auto ours = EnsureAuthority(api, api, "sluice", clock.Wall());
  ASSERT_THAT(ours, IsOk());
  EXPECT_EQ(ours->pair.certificate_pem, theirs->pair.certificate_pem);
}

TEST_F(PlaneTest, AnAuthorityIsReplacedInItsLastThirdAndTheOldOneStaysTrusted) {
  const auto first = EnsureAuthority(api, api, "sluice", clock.Wall());
  ASSERT_THAT(first, IsOk());
  EXPECT_FALSE(Rotated(*first, clock.Wall())->has_value());
  const auto next = Rotated(*first, clock.Wall() + kAuthorityLife * 2 / 3 + std::chrono::hours(1));
  ASSERT_TRUE(next.ok() && next->has_value());
  EXPECT_NE((*next)->pair.certificate_pem, first->pair.certificate_pem);
  EXPECT_THAT((*next)->TrustPem(), HasSubstr(first->pair.certificate_pem));
  EXPECT_EQ((*next)->version_key, first->version_key);
}

TEST_F(PlaneTest, ASecretWithoutAKeyIsNamed) {
  api.Put(SecretResource(), {{"metadata", {{"namespace", "sluice"}, {"name", kAuthoritySecret}}},
                             {"data", {{"ca.crt", "eA=="}}}});
  EXPECT_THAT(EnsureAuthority(api, api, "sluice", clock.Wall()),
              HasError(base::Code::kDataLoss, HasSubstr("ca.key")));
}

TEST_F(PlaneTest, TheRecordIsSwappedOnlyOverTheVersionThatWasRead) {
  ConfigMapEpochStore store(api, api, "sluice");
  auto read = store.Read();
  ASSERT_THAT(read, IsOk());
  EXPECT_FALSE(read->has_value());
  const auto record = agents::TakeOver(std::nullopt, "cluster-uid", "replica-0");
  const auto first = store.Write(record, "");
  ASSERT_THAT(first, IsOk());
  EXPECT_THAT(store.Write(record, ""), HasCode(base::Code::kAlreadyExists));
  const auto second =
      store.Write(agents::TakeOver(record, "cluster-uid", "replica-1"), first->resource_version);
  ASSERT_THAT(second, IsOk());
  EXPECT_GT(second->record.epoch, first->record.epoch);
  EXPECT_THAT(store.Write(record, first->resource_version), HasCode(base::Code::kAborted));
  read = store.Read();
  ASSERT_TRUE(read.ok() && read->has_value());
  EXPECT_EQ((*read)->record, second->record);
}

TEST_F(PlaneTest, ADeletedRecordIsALostRaceAndNeverLowersTheEpochOfARunningLeader) {
  ConfigMapEpochStore store(api, api, "sluice");
  const auto record = agents::TakeOver(std::nullopt, "cluster-uid", "replica-0");
  const auto first = store.Write(record, "");
  ASSERT_THAT(first, IsOk());
  ASSERT_THAT(api.Delete(ConfigMapResource(), store.key()), IsOk());
  EXPECT_THAT(store.Write(record, first->resource_version), HasCode(base::Code::kAborted));
}

TEST_F(PlaneTest, TakingTheLeadRaisesTheEpochEachTime) {
  api.Put(kNamespaces, {{"metadata", {{"name", "kube-system"}}}});
  AgentPlane plane(
      {.ns = "sluice",
       .identity = "replica-0",
       .control_address = "127.0.0.1:0",
       .enrolment_address = "127.0.0.1:0"},
      api, clock, [](const auto&) { return ""; }, [](const auto&) { return base::OkStatus(); });
  ASSERT_THAT(plane.Prepare(), IsOk());
  ASSERT_THAT(plane.Start(), IsOk());
  EXPECT_GT(plane.server().control_port(), 0);
  ASSERT_THAT(plane.OnLead(), IsOk());
  const auto epoch = plane.publisher().record().epoch;
  ASSERT_THAT(plane.OnLead(), IsOk());
  EXPECT_EQ(plane.publisher().record().epoch, epoch + 1);

  // An answer that was lost once does not cost the lead, and raises the epoch all the same.
  bool lost = false;
  api.FailAfter([&lost](const testing_kit::Call& call) -> std::optional<base::Status> {
    if (call.verb != "update" || std::exchange(lost, true)) return std::nullopt;
    return base::Unavailable("the connection was cut");
  });
  EXPECT_THAT(plane.OnLead(), IsOk());
  EXPECT_TRUE(lost);
  EXPECT_EQ(plane.publisher().record().epoch, epoch + 3);
  // One that stays away gives it up, so that another replica may fare better.
  api.FailBefore([](const testing_kit::Call&) -> std::optional<base::Status> {
    return base::Unavailable("nobody there");
  });
  EXPECT_THAT(plane.OnLead(), HasCode(base::Code::kUnavailable));
  plane.Stop();
}

}  // namespace
}  // namespace sluice::controller_main
