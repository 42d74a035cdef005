// Order, gate and disk: what an agent accepts, and what it still knows after a restart.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <map>

#include "api/agent/v1/agent.pb.h"
#include "controller/base/file.h"
#include "datapath/control/backoff.h"
#include "datapath/control/config_gate.h"
#include "datapath/control/convert.h"
#include "datapath/control/identity.h"
#include "datapath/control/order.h"

namespace sluice::control {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;
using ::testing::Not;

agent::v1::Configuration Message(const std::string& version, std::int64_t epoch,
                                 std::int64_t revision, const std::string& lineage = "uid") {
  agent::v1::Configuration message;
  message.set_version(version);
  message.mutable_order()->set_lineage(lineage);
  message.mutable_order()->set_epoch(epoch);
  message.mutable_order()->set_revision(revision);
  auto& config = *message.mutable_config();
  config.add_listen("127.0.0.1:0");
  config.mutable_cache()->set_memory_bytes(64 << 20);
  auto& origin = *config.add_origins();
  origin.set_name("lake");
  origin.set_endpoint("http://127.0.0.1:7070");
  origin.set_region("us-east-1");
  origin.set_credential("lake");
  auto& mount = *config.add_mounts();
  mount.set_path("/datasets");
  mount.set_origin("lake");
  mount.set_bucket("training");
  auto& tenant = *config.add_tenants();
  tenant.set_name("falcon");
  tenant.add_credentials("falcon-1");
  auto& grant = *tenant.add_grants();
  grant.set_mount("/datasets");
  grant.add_verbs(agent::v1::READ);
  grant.add_verbs(agent::v1::LIST);
  for (const char* name : {"lake", "falcon-1"}) {
    auto& credential = *message.mutable_credentials()->add_credentials();
    credential.set_name(name);
    credential.set_access_key_id(std::string("AK-") + name);
    credential.set_secret_access_key("hush-hush");
  }
  return message;
}

TEST(Convert, AMountsPinAndTtlComeFromTheStream) {
  agent::v1::Configuration message = Message("v1", 1, 1);
  auto config = ToConfig(message, "lab", "n1");
  ASSERT_TRUE(config.ok()) << config.status().ToString();
  EXPECT_FALSE(config->mounts[0].pin);
  EXPECT_FALSE(config->mounts[0].metadata_ttl.has_value());
  message.mutable_config()->mutable_mounts(0)->set_pin(true);
  message.mutable_config()->mutable_mounts(0)->set_metadata_ttl_seconds(0);
  config = ToConfig(message, "lab", "n1");
  ASSERT_TRUE(config.ok());
  EXPECT_TRUE(config->mounts[0].pin);
  EXPECT_EQ(config->mounts[0].metadata_ttl, std::chrono::seconds(0));
}

TEST(Convert, ATlsListenerWaitsForItsFilesAndIsNeverOneWithoutTls) {
  agent::v1::Configuration message = Message("v1", 1, 1);
  auto& listener = *message.mutable_config()->add_tls_listen();
  listener.set_address("0.0.0.0:9443");
  EXPECT_EQ(ToConfig(message, "lab", "n1").status().code(), base::Code::kInvalidArgument);
  auto& files = *listener.add_certificates();
  files.set_certificate_file("/etc/sluice/tls/tls.crt");
  files.set_key_file("/etc/sluice/tls/tls.key");
  const auto config = ToConfig(message, "lab", "n1");
  ASSERT_TRUE(config.ok()) << config.status().ToString();
  EXPECT_TRUE(Validate(*config).ok()) << Validate(*config).ToString();
  const Listen& last = config->listeners.back();
  EXPECT_EQ(last.address, "0.0.0.0:9443");
  EXPECT_TRUE(last.wait_for_files);
  ASSERT_EQ(last.certificates.size(), 1u);
  EXPECT_EQ(last.certificates[0].key_file, "/etc/sluice/tls/tls.key");
  EXPECT_FALSE(config->listeners[0].wait_for_files);
}

TEST(Order, OnlyAnEqualOrHigherPairOfOurLineagePasses) {
  const Order fence{"uid", 3, 10};
  EXPECT_TRUE(JudgeOrder({}, {"uid", 1, 1}, {}).ok());
  EXPECT_TRUE(JudgeOrder(fence, {"uid", 3, 10}, {}).ok());
  EXPECT_TRUE(JudgeOrder(fence, {"uid", 3, 11}, {}).ok());
  EXPECT_TRUE(JudgeOrder(fence, {"uid", 4, 1}, {}).ok()) << "the epoch counts first";
  EXPECT_EQ(JudgeOrder(fence, {"uid", 3, 9}, {}).reason(), "StaleOrder");
  EXPECT_EQ(JudgeOrder(fence, {"uid", 2, 99}, {}).reason(), "StaleOrder");
  EXPECT_EQ(JudgeOrder(fence, {"other", 9, 99}, {}).reason(), "ForeignLineage");
  EXPECT_EQ(JudgeOrder(fence, {"", 9, 99}, {}).reason(), "ForeignLineage");
  EXPECT_TRUE(JudgeOrder(fence, {"uid-r1", 1, 1}, {"uid"}).ok());
  EXPECT_EQ(JudgeOrder({"uid-r1", 1, 1}, {"uid", 9, 9}, {}).reason(), "ForeignLineage");
}

class GateTest : public ::testing::Test {
 protected:
  GateTest()
      : root_(::testing::TempDir() + "gate-" +
              ::testing::UnitTest::GetInstance()->current_test_info()->name()) {
    fs::remove_all(root_);
    EXPECT_TRUE(store_.Open().ok());
    Restart();
  }
  ~GateTest() override { fs::remove_all(root_); }

  void Restart() {
    in_force_ = nullptr;
    gate_ = std::make_unique<ConfigGate>(store_, "phoenix", "n1", [this](ConfigPtr config) {
      if (answer_.ok()) in_force_ = std::move(config);
      return answer_;
    });
    gate_->Restore();
  }

  const std::string root_;
  StateStore store_{root_ + "/state", root_ + "/secrets"};
  std::unique_ptr<ConfigGate> gate_;
  base::Status answer_;
  ConfigPtr in_force_;
};

TEST_F(GateTest, TakesAConfigurationAndFillsInWhoWeAreAndTheSecrets) {
  ASSERT_TRUE(gate_->Take(Message("v1", 1, 1)).ok());
  ASSERT_TRUE(in_force_);
  EXPECT_EQ(in_force_->site, "phoenix");
  EXPECT_EQ(in_force_->node, "n1");
  EXPECT_EQ(in_force_->version, "v1");
  EXPECT_EQ(in_force_->s3_region, "us-east-1");
  EXPECT_EQ(in_force_->cache.chunk_bytes, 1u << 20);
  EXPECT_EQ(in_force_->origins[0].credentials.access_key_id, "AK-lake");
  EXPECT_TRUE(in_force_->origins[0].path_style);
  EXPECT_EQ(in_force_->tenants[0].keys[0].access_key_id, "AK-falcon-1");
  EXPECT_EQ(in_force_->tenants[0].grants[0].verbs, kRead | kList);
}

TEST_F(GateTest, ARefusedConfigurationNeverReplacesAGoodOne) {
  ASSERT_TRUE(gate_->Take(Message("v1", 1, 1)).ok());
  const ConfigPtr good = in_force_;

  auto invalid = Message("v2", 1, 2);
  invalid.mutable_config()->mutable_mounts(0)->set_origin("pond");
  EXPECT_THAT(gate_->Take(invalid).message(), HasSubstr("mounts[0].origin: no origin named"));
  auto without_secret = Message("v3", 1, 3);
  without_secret.clear_credentials();
  EXPECT_THAT(gate_->Take(without_secret).message(), HasSubstr("no credential named \"lake\""));
  answer_ = base::FailedPrecondition("port 9000 is taken");
  EXPECT_EQ(gate_->Take(Message("v4", 1, 4)).message(), "port 9000 is taken");

  EXPECT_EQ(in_force_, good);
  EXPECT_EQ(gate_->view().applied_version, "v1");
  answer_ = base::OkStatus();
  Restart();
  EXPECT_EQ(in_force_->version, "v1") << "on disk too";
  EXPECT_EQ(gate_->Take(Message("v3b", 1, 3)).reason(), "StaleOrder") << "the fence rose";
}

TEST_F(GateTest, ARefusedConfigurationOfferedAgainIsJudgedAgain) {
  answer_ = base::FailedPrecondition("port 9000 is taken");
  for (int i = 0; i < 2; ++i) {
    EXPECT_EQ(gate_->Take(Message("v1", 1, 1)).message(), "port 9000 is taken");
    EXPECT_THAT(gate_->view().last_nack, HasSubstr("port 9000"));
  }
  answer_ = base::OkStatus();
  ASSERT_TRUE(gate_->Take(Message("v1", 1, 1)).ok()) << "the same order, and it was free by now";
  EXPECT_EQ(in_force_->version, "v1");
  EXPECT_EQ(gate_->view().last_nack, "");
}

TEST_F(GateTest, TheLastGoodConfigurationIsRestoredOnceWhatWasInItsWayIsGone) {
  EXPECT_TRUE(gate_->Restore()) << "there is none";
  ASSERT_TRUE(gate_->Take(Message("v1", 1, 1)).ok());
  answer_ = base::FailedPrecondition("port 9000 is taken");
  Restart();
  EXPECT_FALSE(gate_->Restore());
  EXPECT_EQ(gate_->Take(Message("v2", 1, 2)).message(), "port 9000 is taken");
  answer_ = base::OkStatus();
  EXPECT_TRUE(gate_->Restore());
  EXPECT_EQ(in_force_->version, "v1");
  EXPECT_EQ(gate_->view().fence.revision, 2) << "it does not fall with it";
  ASSERT_TRUE(gate_->Take(Message("v2", 1, 2)).ok());
  EXPECT_TRUE(gate_->Restore());
  EXPECT_EQ(in_force_->version, "v2") << "what is in force stays";
}

TEST_F(GateTest, LowerOrdersAreRefusedAfterARestartToo) {
  ASSERT_TRUE(gate_->Take(Message("v5", 2, 5)).ok());
  for (int run = 0; run < 2; ++run) {
    EXPECT_EQ(gate_->Take(Message("v4", 2, 4)).reason(), "StaleOrder");
    EXPECT_EQ(gate_->Take(Message("v9", 1, 9)).reason(), "StaleOrder");
    EXPECT_EQ(gate_->Take(Message("vx", 9, 9, "elsewhere")).reason(), "ForeignLineage");
    EXPECT_EQ(gate_->Take(Message("vy", 2, 5)).reason(), "OrderReused");
    EXPECT_EQ(in_force_->version, "v5");
    Restart();
  }
}

TEST_F(GateTest, TheSameContentUnderANewOrderMovesTheOrderOnly) {
  ASSERT_TRUE(gate_->Take(Message("v1", 1, 1)).ok());
  const ConfigPtr first = in_force_;
  ASSERT_TRUE(gate_->Take(Message("v1", 2, 7)).ok());
  EXPECT_EQ(in_force_, first) << "not applied twice";
  Restart();
  EXPECT_EQ(gate_->view().applied_order.epoch, 2);
  EXPECT_EQ(gate_->Take(Message("v0", 1, 9)).reason(), "StaleOrder");
}

TEST_F(GateTest, ARestoredClusterIsFollowedWhenItsLineageSupersedesOurs) {
  ASSERT_TRUE(gate_->Take(Message("v5", 7, 50)).ok());
  auto restored = Message("v3", 6, 31, "uid-r1");
  EXPECT_EQ(gate_->Take(restored).reason(), "ForeignLineage");
  restored.mutable_order()->add_supersedes("uid");
  ASSERT_TRUE(gate_->Take(restored).ok());
  EXPECT_EQ(in_force_->version, "v3");
  EXPECT_EQ(gate_->Take(Message("v6", 8, 60)).reason(), "ForeignLineage");
}

TEST_F(GateTest, AnAdmittedAgentRefusesAnotherCluster) {
  gate_->Admitted("uid");
  EXPECT_EQ(gate_->Take(Message("v1", 1, 1, "elsewhere")).reason(), "ForeignLineage");
  EXPECT_TRUE(gate_->Take(Message("v1", 1, 1)).ok());
}

TEST_F(GateTest, AfterARebootItServesNobodyRatherThanEverybody) {
  ASSERT_TRUE(gate_->Take(Message("v1", 3, 4)).ok());
  fs::remove_all(root_ + "/secrets");  // what a reboot does to a tmpfs
  ASSERT_TRUE(store_.Open().ok());
  Restart();
  EXPECT_FALSE(in_force_);
  EXPECT_EQ(gate_->view().applied_version, "");
  EXPECT_EQ(gate_->Take(Message("v0", 3, 3)).reason(), "StaleOrder") << "the fence is on disk";
  EXPECT_TRUE(gate_->Take(Message("v1", 3, 4)).ok());
  EXPECT_EQ(in_force_->version, "v1");
}

TEST_F(GateTest, SecretsLieInOneFileOfMode0600AndNowhereElse) {
  ASSERT_TRUE(gate_->Take(Message("v1", 1, 1)).ok());
  ASSERT_TRUE(gate_->Take(Message("v2", 1, 2)).ok());
  int files = 0;
  for (const auto& entry : fs::recursive_directory_iterator(root_)) {
    if (!entry.is_regular_file()) continue;
    const auto bytes = base::ReadFile(entry.path());
    const bool secret = bytes->find("hush-hush") != std::string::npos;
    if (!secret) continue;
    ++files;
    EXPECT_EQ(entry.path(), root_ + "/secrets/credentials.v2");
    struct stat info {};
    ASSERT_EQ(stat(entry.path().c_str(), &info), 0);
    EXPECT_EQ(info.st_mode & 07777, 0600u);
  }
  EXPECT_EQ(files, 1) << "the former version's credentials are gone";
}

TEST_F(GateTest, ADamagedFileIsNotServed) {
  ASSERT_TRUE(gate_->Take(Message("v1", 1, 1)).ok());
  const std::string path = root_ + "/state/configuration";
  auto bytes = *base::ReadFile(path);
  bytes[bytes.size() / 2] ^= 1;
  ASSERT_TRUE(base::WriteFileAtomic(path, bytes).ok());
  Restart();
  EXPECT_FALSE(in_force_);
  EXPECT_EQ(gate_->Take(Message("v0", 1, 0)).reason(), "StaleOrder");
}

TEST_F(GateTest, AVersionCannotNameAFileOutside) {
  EXPECT_TRUE(gate_->Take(Message("/../../outside-of-the-gate", 1, 1)).ok())
      << "in force, though not on disk";
  EXPECT_THAT(gate_->view().disk_problem, HasSubstr("not a hash"));
  EXPECT_FALSE(fs::exists(root_ + "/outside-of-the-gate"));
}

TEST(Convert, AVerbOfANewerControllerIsRefusedByName) {
  auto message = Message("v1", 1, 1);
  message.mutable_config()->mutable_tenants(0)->mutable_grants(0)->add_verbs(
      static_cast<agent::v1::Verb>(17));
  EXPECT_THAT(ToConfig(message, "s", "n").status().message(),
              HasSubstr("tenants[0].access[0].verbs: verb 17 is unknown"));
}

TEST(Identity, RenewsNearHalfOfWhatIsLeft) {
  const base::WallTime now(std::chrono::seconds(1000));
  const auto at = [](int s) { return base::WallTime(std::chrono::seconds(s)); };
  const auto near = [](base::WallTime is, base::WallTime half, std::chrono::seconds left) {
    return is >= half - left / 10 && is <= half + left / 10;
  };
  EXPECT_TRUE(near(RenewAt(now, {at(940), at(2000)}, "a"), at(1500), std::chrono::seconds(1000)));
  EXPECT_TRUE(near(RenewAt(now, {at(1200), at(2000)}, "a"), at(1600), std::chrono::seconds(800)))
      << "a clock that runs behind";
  EXPECT_EQ(RenewAt(now, {at(0), at(900)}, "a"), at(900));
}

TEST(Identity, AFleetEnrolledTogetherDoesNotRenewTogether) {
  const base::WallTime now(std::chrono::hours(1000));
  const base::Duration life = std::chrono::hours(24);
  const Validity validity{now - std::chrono::minutes(1), now + std::chrono::hours(24)};
  std::map<int, int> in_slices;  // by the hundredth of the life
  for (int i = 0; i < 1000; ++i) {
    const std::string certificate = "certificate of node-" + std::to_string(i);
    const auto at = RenewAt(now, validity, certificate);
    EXPECT_EQ(at, RenewAt(now, validity, certificate)) << "after a restart, too";
    ++in_slices[static_cast<int>((at - now) * 100 / life)];
  }
  EXPECT_GE(in_slices.begin()->first, 40);
  EXPECT_LT(in_slices.rbegin()->first, 60);
  EXPECT_EQ(in_slices.size(), 20u);
  for (const auto& [slice, nodes] : in_slices) EXPECT_LT(nodes, 100) << slice;
}

TEST(Identity, AKeyMatchesOnlyItsOwnRequest) {
  const auto one = *MakeRequest();
  EXPECT_THAT(one.csr_pem, HasSubstr("BEGIN CERTIFICATE REQUEST"));
  EXPECT_THAT(one.csr_pem, Not(HasSubstr("PRIVATE")));
  EXPECT_FALSE(Matches(one.key_pem, one.csr_pem));
  EXPECT_FALSE(Matches("", ""));
}

TEST(Backoff, StaysWithinABoundThatDoubles) {
  using std::chrono::milliseconds;
  Backoff backoff(milliseconds(100), milliseconds(1000), 42);
  for (const int bound : {100, 200, 400, 800, 1000, 1000}) {
    const auto wait = backoff.Next();
    EXPECT_GE(wait.count(), 0);
    EXPECT_LE(wait.count(), bound);
  }
  backoff.Reset();
  EXPECT_LE(backoff.Next().count(), 100);
}

}  // namespace
}  // namespace sluice::control
