#include "controller/cmd/sluice_controller/audit_plane.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "controller/cmd/sluice_controller/epoch_store.h"
#include "controller/testing/fake_api.h"
#include "reconcilers/agents/ca.h"

namespace sluice::controller_main {
namespace {

using std::chrono::hours;
using std::chrono::seconds;

const base::WallTime kNow{seconds(1'800'000'000)};

TEST(AuditCheckpoint, IsSignedByTheAuthorityAndNobodyElse) {
  const auto ours = agents::CertificateAuthority::Create("sluice", kNow, hours(1));
  const auto other = agents::CertificateAuthority::Create("other", kNow, hours(1));
  ASSERT_TRUE(ours.ok() && other.ok());
  audit::Checkpoint checkpoint{{3, 57, std::string(64, 'a')}, kNow, {}};
  checkpoint.signature = *audit::Sign(ours->key_pem, SignedText(checkpoint));
  const auto read = audit::Decode(audit::Encode(checkpoint));
  ASSERT_TRUE(read.ok());
  EXPECT_EQ(read->head, checkpoint.head);
  const std::string both = other->certificate_pem + ours->certificate_pem;
  EXPECT_TRUE(audit::CheckSignature(both, SignedText(*read), read->signature).ok());
  EXPECT_EQ(
      audit::CheckSignature(other->certificate_pem, SignedText(*read), read->signature).code(),
      base::Code::kPermissionDenied);
  audit::Checkpoint higher = *read;
  higher.head.seq = 58;
  EXPECT_FALSE(audit::CheckSignature(both, SignedText(higher), read->signature).ok());
  EXPECT_FALSE(audit::CheckSignature("no certificate", SignedText(*read), read->signature).ok());
  EXPECT_FALSE(audit::CheckSignature(both, SignedText(*read), "").ok());
  EXPECT_FALSE(audit::Sign("no key", "text").ok());
}

TEST(AuditCheckpointStore, IsAComparedAndSwappedConfigMap) {
  base::FakeClock clock;
  testing_kit::FakeApi api(clock);
  ConfigMapCheckpointStore one(api, api, "sluice"), two(api, api, "sluice");
  EXPECT_FALSE((*one.Read()).has_value());
  const audit::Checkpoint first{{1, 1, std::string(64, 'a')}, kNow, "s"};
  const auto version = one.Write(first, "");
  ASSERT_TRUE(version.ok());
  EXPECT_EQ(two.Write(first, "").status().code(), base::Code::kAlreadyExists);
  const auto read = two.Read();
  ASSERT_TRUE(read.ok() && read->has_value());
  EXPECT_EQ((*read)->checkpoint.head, first.head);
  audit::Checkpoint second = first;
  second.head.seq = 2;
  ASSERT_TRUE(two.Write(second, (*read)->version).ok());
  EXPECT_EQ(one.Write(first, *version).status().code(), base::Code::kAborted);
  ASSERT_TRUE(api.Delete(ConfigMapResource(), {"sluice", kAuditHeadName}, {}).ok());
  EXPECT_EQ(one.Write(first, *version).status().code(), base::Code::kAborted);
  api.Put(ConfigMapResource(), {{"metadata", {{"namespace", "sluice"}, {"name", kAuditHeadName}}},
                                {"data", {{"epoch", "x"}}}});
  EXPECT_EQ(one.Read().status().code(), base::Code::kDataLoss);
}

TEST(AuditPlane, SignsTheHeadOfEveryEpochAndItsLastOneWhenItStops) {
  base::FakeClock clock;
  testing_kit::FakeApi api(clock);
  const auto pair = agents::CertificateAuthority::Create("sluice", kNow, hours(1));
  ASSERT_TRUE(pair.ok());
  AuditPlane plane({.ns = "sluice", .identity = "me", .directory = "", .to_stdout = true}, api,
                   clock, [&] { return pair->key_pem; });
  plane.OnLead(4);
  ASSERT_TRUE(
      plane.log().Append({{"Test", "Site/s", "controller", "{}"}}, audit::Anchor::kLater).ok());
  plane.Stop();
  ConfigMapCheckpointStore store(api, api, "sluice");
  const auto read = store.Read();
  ASSERT_TRUE(read.ok() && read->has_value());
  const audit::Checkpoint& checkpoint = (*read)->checkpoint;
  EXPECT_EQ(checkpoint.head.epoch, 4);
  EXPECT_EQ(checkpoint.head.seq, 2U);
  EXPECT_TRUE(
      audit::CheckSignature(pair->certificate_pem, SignedText(checkpoint), checkpoint.signature)
          .ok());
}

}  // namespace
}  // namespace sluice::controller_main
