#include "controller/cmd/sluice_controller/lineage.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "controller/cmd/sluice_controller/epoch_store.h"
#include "controller/testing/fake_api.h"
#include "controller/testing/status_matchers.h"
#include "reconcilers/agents/publisher.h"

namespace sluice::controller_main {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing_kit::HasCode;
using testing_kit::HasError;
using testing_kit::IsOk;

class LineageTest : public ::testing::Test {
 protected:
  LineageTest() {
    api_.Put({"", "v1", "Namespace", "namespaces", false},
             {{"metadata", {{"name", "kube-system"}}}});
    uid_ = api_.Look({"", "v1", "Namespace", "namespaces", false},
                     {"", "kube-system"})["metadata"]["uid"];
    api_.OnRaw([](auto, auto path, auto) -> base::StatusOr<std::string> {
      EXPECT_EQ(path, "/apis/authentication.k8s.io/v1/selfsubjectreviews");
      return std::string(R"({"status": {"userInfo": {"username": "ana@example.com"}}})");
    });
  }
  base::StatusOr<std::string> Start(const std::string& lineage,
                                    std::vector<std::string> supersedes = {}) {
    return StartLineage(api_, clock_, "sluice",
                        {lineage, std::move(supersedes), "etcd was restored"});
  }
  agents::EpochRecord Record() { return (*store_.Read())->record; }

  base::FakeClock clock_;
  testing_kit::FakeApi api_{clock_};
  std::string uid_;
  ConfigMapEpochStore store_{api_, api_, "sluice"};
};

TEST_F(LineageTest, SupersedesTheRecordThatIsThereAndSaysWhoAskedAndWhy) {
  agents::ConfigPublisher leader(store_, "key");
  ASSERT_THAT(leader.TakeOver(uid_, "replica-0"), IsOk());
  const auto said = Start("restored-1");
  ASSERT_THAT(said, IsOk());
  EXPECT_THAT(*said, AllOf(HasSubstr("lineage restored-1 started at epoch 2"),
                           HasSubstr("before: lineage " + uid_)));
  EXPECT_EQ(Record().lineage, "restored-1");
  EXPECT_THAT(Record().supersedes, ElementsAre(uid_));
  EXPECT_THAT(Record().lineage_started,
              AllOf(HasSubstr(" by ana@example.com: etcd was restored"), HasSubstr("T")));

  // The next leader keeps what was recorded, and goes on from there.
  agents::ConfigPublisher next(store_, "key");
  ASSERT_THAT(next.TakeOver(uid_, "replica-1"), IsOk());
  EXPECT_EQ(Record().lineage, "restored-1");
  EXPECT_EQ(Record().epoch, 3);
  EXPECT_THAT(Record().lineage_started, HasSubstr("ana@example.com"));
}

// Deleted by hand while no controller ran: nothing here knows what agents have seen.
TEST_F(LineageTest, WithoutARecordAgentsOfTheClusterAndOfTheNamedLineagesMayFollow) {
  const auto said = Start("after-loss", {"restored-1"});
  ASSERT_THAT(said, IsOk());
  EXPECT_THAT(*said, HasSubstr("before: there was no record"));
  EXPECT_EQ(Record().lineage, "after-loss");
  EXPECT_THAT(Record().supersedes, ElementsAre("restored-1", uid_));
}

TEST_F(LineageTest, ANameThatWasUsedBeforeIsRefusedAndNothingIsWritten) {
  ASSERT_THAT(Start("restored-1"), IsOk());
  const agents::EpochRecord before = Record();
  for (const std::string& used : {std::string("restored-1"), uid_}) {
    EXPECT_THAT(Start(used), HasError(base::Code::kInvalidArgument, HasSubstr("used before")));
  }
  EXPECT_THAT(Start("next", {"a", "b", "c", "d", "e", "f", "g"}),
              HasError(base::Code::kInvalidArgument, HasSubstr("at most 8")));
  EXPECT_EQ(Record(), before);
}

TEST_F(LineageTest, ALeaderThatWritesMeanwhileIsNotOverwrittenUnseen) {
  agents::ConfigPublisher leader(store_, "key");
  ASSERT_THAT(leader.TakeOver(uid_, "replica-0"), IsOk());
  bool raced = false;
  api_.FailBefore([&](const testing_kit::Call& call) -> std::optional<base::Status> {
    if (call.verb == "update" && !raced) {
      raced = true;
      EXPECT_THAT(leader.TakeOver(uid_, "replica-0"), IsOk());
    }
    return std::nullopt;
  });
  ASSERT_THAT(Start("restored-1"), IsOk());
  EXPECT_EQ(Record().epoch, 3) << "above the leader's second epoch";
}

TEST_F(LineageTest, WhoMayNotIsTold) {
  api_.FailBefore([](const testing_kit::Call& call) -> std::optional<base::Status> {
    if (call.verb == "create") return base::PermissionDenied("configmaps is forbidden");
    return std::nullopt;
  });
  EXPECT_THAT(Start("restored-1"), HasCode(base::Code::kPermissionDenied));
}

}  // namespace
}  // namespace sluice::controller_main
