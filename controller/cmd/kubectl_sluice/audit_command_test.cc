#include "controller/cmd/kubectl_sluice/audit_command.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "controller/base/file.h"
#include "controller/testing/fake_api.h"
#include "reconcilers/audit/checkpoint.h"
#include "reconcilers/audit/verdict_entry.h"
#include "reconcilers/gates/gate_cases.h"
#include "reconcilers/gates/stage_record.h"

namespace sluice::kubectl {
namespace {

using namespace gates::cases;  // NOLINT: the builders of gates and evidence
using nlohmann::json;
using ::testing::HasSubstr;

// Two epochs with a recorded verdict each, as files in a folder of its own.
class AuditCommandTest : public ::testing::Test {
 protected:
  AuditCommandTest() {
    std::string folder = ::testing::TempDir() + "sluice-audit-XXXXXX";
    folder_ = mkdtemp(folder.data());
    for (int epoch = 1; epoch <= 2; ++epoch) {
      const std::string path = folder_ + "/" + audit::FileName(epoch, head_.seq + 1);
      std::string text;
      for (const audit::Entry& entry :
           {audit::Entry{audit::kOpened, "AuditLog/sluice", "me", "{}"}, Verdict()}) {
        const audit::Head before = head_;
        text += *audit::FormatLine(entry, epoch, kNow, before, head_) + "\n";
      }
      EXPECT_TRUE(base::WriteFileAtomic(path, text).ok());
      options_.files.insert(options_.files.begin(), path);  // the wrong way round
    }
  }
  ~AuditCommandTest() override { std::filesystem::remove_all(folder_); }

  audit::Entry Verdict() {
    const auto evidence = Fresh(BurnGate(), {"0.02", "0.03"});
    const auto result = gates::Evaluate({BurnGate()}, {evidence}, {}, {}, kNow);
    auto record = gates::RecordOf("burn", {BurnGate()}, {evidence}, {}, {}, kNow, result);
    if (lie_) record.results[0].verdict = gates::Verdict::kPass;
    return audit::VerdictEntry("Site/phoenix", "controller", "Promotion/p", record);
  }
  json ConfigMap() {
    return {{"metadata", {{"namespace", "sluice-system"}, {"name", "sluice-audit-head"}}},
            {"data", audit::Encode({head_, kNow, {}})}};
  }
  void Append(const std::string& text) {
    const std::string path = options_.files.front();
    ASSERT_TRUE(base::WriteFileAtomic(path, *base::ReadFile(path) + text).ok());
  }

  std::string folder_;
  audit::Head head_;
  bool lie_ = false;
  Options options_;
};

TEST_F(AuditCommandTest, ProvesALogAgainstTheClustersCheckpoint) {
  base::FakeClock clock;
  testing_kit::FakeApi api(clock);
  EXPECT_FALSE(AuditVerify(options_, &api).ok()) << "no checkpoint: the end cannot be proved";
  api.Put({"", "v1", "ConfigMap", "configmaps", true}, ConfigMap());
  const auto answer = AuditVerify(options_, &api);
  ASSERT_TRUE(answer.ok()) << answer.status().ToString();
  EXPECT_TRUE(answer->good) << answer->text;
  EXPECT_THAT(answer->text, HasSubstr("whole: 4 lines in 2 files, head line 4 of epoch 2"));
  options_.files.erase(options_.files.begin());
  const auto cut = AuditVerify(options_, &api);
  ASSERT_TRUE(cut.ok());
  EXPECT_FALSE(cut->good);
  EXPECT_THAT(cut->text, HasSubstr("a checkpoint names"));
}

TEST_F(AuditCommandTest, TheCheckpointStandsForWhatRetentionRemoved) {
  base::FakeClock clock;
  testing_kit::FakeApi api(clock);
  audit::Checkpoint checkpoint{head_, kNow, {}, {}};
  const std::string first = *base::ReadFile(options_.files.back());
  const auto last_line = audit::ParseLine(first.substr(first.find('\n') + 1, std::string::npos)
                                              .substr(0, first.size() - first.find('\n') - 2));
  ASSERT_TRUE(last_line.ok()) << last_line.status().ToString();
  options_.files.pop_back();  // the first epoch's
  api.Put({"", "v1", "ConfigMap", "configmaps", true}, ConfigMap());
  EXPECT_FALSE(AuditVerify(options_, &api)->good) << "nobody said that it may go";
  checkpoint.retired = last_line->head;
  json object = ConfigMap();
  object["data"] = audit::Encode(checkpoint);
  api.Put({"", "v1", "ConfigMap", "configmaps", true}, object);
  const auto answer = AuditVerify(options_, &api);
  ASSERT_TRUE(answer.ok()) << answer.status().ToString();
  EXPECT_TRUE(answer->good) << answer->text;
  EXPECT_THAT(answer->text, HasSubstr("lines 1 to 2 may be gone by retention"));
  EXPECT_THAT(answer->text, HasSubstr("the first one here is line 3"));
}

TEST_F(AuditCommandTest, TakesTheCheckpointFromAFileAndTellsInJson) {
  options_.checkpoint = folder_ + "/head.json";
  ASSERT_TRUE(base::WriteFileAtomic(options_.checkpoint, ConfigMap().dump()).ok());
  options_.output = Output::kJson;
  auto answer = AuditVerify(options_, nullptr);
  ASSERT_TRUE(answer.ok());
  EXPECT_EQ(json::parse(answer->text)["ok"], true);
  EXPECT_EQ(json::parse(answer->text)["checkpoint"]["found"], true);
  Append("garbage\n");
  answer = AuditVerify(options_, nullptr);
  ASSERT_TRUE(answer.ok());
  EXPECT_FALSE(answer->good);
  EXPECT_EQ(json::parse(answer->text)["problems"][0]["line"], 3);
  options_.checkpoint = options_.files[0];
  EXPECT_EQ(AuditVerify(options_, nullptr).status().code(), base::Code::kInvalidArgument);
}

TEST_F(AuditCommandTest, ReplaysWhatWasRecordedAndNamesWhatDiffers) {
  auto answer = AuditReplay(options_);
  ASSERT_TRUE(answer.ok());
  EXPECT_TRUE(answer->good) << answer->text;
  EXPECT_THAT(answer->text, HasSubstr("2 recorded verdicts replayed, 0 differ"));
  lie_ = true;  // properly chained, by somebody who has the folder
  const audit::Head before = head_;
  Append(*audit::FormatLine(Verdict(), 2, kNow, before, head_) + "\n");
  answer = AuditReplay(options_);
  ASSERT_TRUE(answer.ok());
  EXPECT_FALSE(answer->good);
  EXPECT_THAT(answer->text, HasSubstr("3 recorded verdicts replayed, 1 differ"));
}

TEST_F(AuditCommandTest, AMissingFileIsNamed) {
  options_.partial = true;
  options_.files.push_back(folder_ + "/none");
  EXPECT_THAT(AuditVerify(options_, nullptr).status().message(), HasSubstr("/none"));
}

TEST(AuditOptions, TakeAVerbAndFiles) {
  const auto verify = ParseOptions({"audit", "verify", "a", "b", "--partial"});
  ASSERT_TRUE(verify.ok());
  EXPECT_EQ(verify->command, Command::kAuditVerify);
  EXPECT_THAT(verify->files, ::testing::ElementsAre("a", "b"));
  EXPECT_FALSE(NeedsCheckpoint(*verify));
  EXPECT_EQ(ParseOptions({"audit", "replay", "a"})->command, Command::kAuditReplay);
  EXPECT_FALSE(ParseOptions({"audit", "verify"}).ok());
  EXPECT_FALSE(ParseOptions({"audit", "a"}).ok());
}

}  // namespace
}  // namespace sluice::kubectl
