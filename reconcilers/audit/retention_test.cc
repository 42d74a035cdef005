#include "reconcilers/audit/retention.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "controller/base/file.h"
#include "reconcilers/audit/fakes_for_test.h"
#include "reconcilers/audit/limits.h"
#include "reconcilers/audit/log.h"
#include "reconcilers/audit/verify.h"

namespace sluice::audit {
namespace {

using std::chrono::hours;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

Entry Vote(int n) {
  return {"VotesCounted", "Site/phoenix", "ana@example.com", fmt::format(R"({{"n":{}}})", n)};
}

// Two lines of this test's make a file, three files are kept.
constexpr Retention kSmall{.file_bytes = 700, .keep_bytes = 2100, .keep_age = base::Duration(0)};

class AuditRetentionTest : public ::testing::Test {
 protected:
  std::unique_ptr<Log> NewLog(Retention retention = kSmall) {
    LogOptions options;
    options.directory = "dir";
    options.retention = retention;
    options.sign = [](const std::string& text) { return "signed: " + text; };
    return std::make_unique<Log>(std::move(options), disk_, checkpoints_, clock_);
  }
  void Fill(Log& log, int from, int to) {
    for (int n = from; n < to; ++n) {
      ASSERT_TRUE(log.Append({Vote(n)}, Anchor::kNow).ok()) << n;
    }
  }
  Checkpoint Stored() const {
    return checkpoints_.stored ? checkpoints_.stored->checkpoint : Checkpoint{};
  }
  Verification Proof() const {
    std::vector<FileText> files;
    for (const auto& [path, content] : disk_.files) files.push_back({path, content.written});
    const auto anchor = checkpoints_.stored ? std::optional(Stored().head) : std::optional<Head>();
    return Verify(files, {.anchor = anchor, .partial = false, .retired = Stored().retired});
  }
  static std::string Told(const Verification& v) {
    std::string out;
    for (const Problem& p : v.problems) out += p.file + ": " + p.what + "\n";
    return out;
  }
  std::vector<Line> Lines() const {
    std::vector<Line> out;
    Verifier verifier({.anchor = {}, .partial = true},
                      [&](const Line& line) { out.push_back(line); });
    for (const auto& [path, content] : disk_.files) {
      verifier.BeginFile(path);
      verifier.Add(content.written);
    }
    verifier.Finish();
    return out;
  }

  base::FakeClock clock_;
  fakes::MemoryDisk disk_;
  fakes::MemoryCheckpoints checkpoints_;
};

TEST_F(AuditRetentionTest, AnEpochGoesOnInAnotherFileWhenOneIsLarge) {
  auto log = NewLog({.file_bytes = 700, .keep_bytes = 0, .keep_age = base::Duration(0)});
  ASSERT_TRUE(log->Open(1).ok());
  Fill(*log, 0, 9);
  EXPECT_THAT(disk_.files, SizeIs(::testing::Ge(4U)));
  for (const auto& [path, content] : disk_.files) EXPECT_LE(content.written.size(), 700U) << path;
  EXPECT_TRUE(Proof().ok()) << Told(Proof());
  EXPECT_EQ(Proof().lines, 10U);
  ASSERT_TRUE(log->Retire().ok());
  EXPECT_EQ(Proof().lines, 10U) << "nothing goes where nothing is to go";
  auto next = NewLog();
  ASSERT_TRUE(next->Open(2).ok());
  EXPECT_TRUE(Proof().ok()) << Told(Proof());
}

TEST_F(AuditRetentionTest, AnEntryLargerThanAFileHasOneOfItsOwn) {
  auto log = NewLog({.file_bytes = 700, .keep_bytes = 0, .keep_age = base::Duration(0)});
  ASSERT_TRUE(log->Open(1).ok());
  Entry large = Vote(1);
  large.data = "{\"x\":\"" + std::string(5000, 'x') + "\"}";
  ASSERT_TRUE(log->Append({large}, Anchor::kNow).ok());
  Fill(*log, 2, 4);
  EXPECT_TRUE(Proof().ok()) << Told(Proof());
}

TEST_F(AuditRetentionTest, AFileThatCannotBeMadeHoldsAndIsTriedAgain) {
  auto log = NewLog();
  ASSERT_TRUE(log->Open(1).ok());
  Fill(*log, 0, 1);
  disk_.full = true;
  EXPECT_EQ(log->Append({Vote(1)}, Anchor::kNow).code(), base::Code::kUnavailable);
  EXPECT_EQ(log->stats().failures, 1U);
  disk_.full = false;
  Fill(*log, 1, 3);
  EXPECT_TRUE(Proof().ok()) << Told(Proof());
}

TEST_F(AuditRetentionTest, TheOldestGoAndTheSignedCheckpointStandsForThem) {
  auto log = NewLog();
  ASSERT_TRUE(log->Open(1).ok());
  Fill(*log, 0, 20);
  ASSERT_TRUE(log->Retire().ok());
  std::uint64_t bytes = 0;
  for (const auto& [path, content] : disk_.files) bytes += content.written.size();
  EXPECT_LE(bytes, kSmall.keep_bytes + 700) << "and the line that says so";
  const Checkpoint kept = Stored();
  EXPECT_GT(kept.retired.seq, 10U);
  EXPECT_EQ(kept.signature, "signed: " + SignedText(kept));
  EXPECT_THAT(kept.signature, HasSubstr(kept.retired.hash));
  const Verification v = Proof();
  EXPECT_TRUE(v.ok()) << Told(v);
  EXPECT_EQ(v.first.seq, kept.retired.seq + 1);
  EXPECT_EQ(log->stats().retired, kept.retired.seq);
  // The log itself says who removed what.
  const auto lines = Lines();
  const auto said = std::find_if(lines.rbegin(), lines.rend(),
                                 [](const Line& l) { return l.entry.type == kRetired; });
  ASSERT_NE(said, lines.rend());
  const auto data = nlohmann::json::parse(said->entry.data);
  EXPECT_EQ(data["throughSeq"], kept.retired.seq);
  EXPECT_EQ(data["throughHash"], kept.retired.hash);
  EXPECT_EQ(data["absentLines"], 0);
  // Without the checkpoint's word the same files are not whole, nor with another's.
  std::vector<FileText> files;
  for (const auto& [path, content] : disk_.files) files.push_back({path, content.written});
  EXPECT_FALSE(Verify(files, {.anchor = kept.head, .partial = false}).ok());
  Head other = kept.retired;
  other.hash[0] = other.hash[0] == 'a' ? 'b' : 'a';
  EXPECT_FALSE(Verify(files, {.anchor = kept.head, .partial = false, .retired = other}).ok());
  other = kept.retired;
  --other.seq;
  EXPECT_FALSE(Verify(files, {.anchor = kept.head, .partial = false, .retired = other}).ok());
  files.erase(files.begin());
  EXPECT_FALSE(Verify(files, {.anchor = kept.head, .partial = false, .retired = kept.retired}).ok())
      << "one file more than was signed for";
  // The next leader carries it on.
  auto next = NewLog();
  ASSERT_TRUE(next->Open(2).ok());
  EXPECT_EQ(Stored().retired, kept.retired);
  EXPECT_TRUE(Proof().ok()) << Told(Proof());
}

TEST_F(AuditRetentionTest, WhatIsKeptElsewhereStillProvesTheWholeLog) {
  auto log = NewLog();
  ASSERT_TRUE(log->Open(1).ok());
  Fill(*log, 0, 20);
  const auto copies = disk_.files;
  ASSERT_TRUE(log->Retire().ok());
  for (const auto& [path, content] : copies) disk_.files.try_emplace(path, content);
  EXPECT_TRUE(Proof().ok()) << Told(Proof());
  EXPECT_EQ(Proof().first.seq, 1U);
  // A part of them has to lead to the retired line.
  disk_.files.erase(std::next(disk_.files.begin(), 2));
  EXPECT_THAT(Told(Proof()), HasSubstr("are missing"));
}

TEST_F(AuditRetentionTest, FilesGoByAgeOnlyWhenEveryLineIsOlder) {
  auto log = NewLog({.file_bytes = 700, .keep_bytes = 0, .keep_age = hours(48)});
  ASSERT_TRUE(log->Open(1).ok());
  Fill(*log, 0, 4);
  clock_.Advance(hours(24));
  Fill(*log, 4, 8);
  clock_.Advance(hours(24) - std::chrono::seconds(1));
  ASSERT_TRUE(log->Retire().ok());
  EXPECT_EQ(Stored().retired.seq, 0U);
  clock_.Advance(hours(2));
  ASSERT_TRUE(log->Retire().ok());
  EXPECT_GT(Stored().retired.seq, 0U);
  EXPECT_LE(Stored().retired.seq, 5U) << "the young half stays";
  EXPECT_TRUE(Proof().ok()) << Told(Proof());
  EXPECT_GE(Proof().lines, 4U);
}

TEST_F(AuditRetentionTest, WhatIsNotWholeIsKeptAndTold) {
  auto log = NewLog();
  ASSERT_TRUE(log->Open(1).ok());
  Fill(*log, 0, 12);
  const auto whole = disk_.files;
  std::string& oldest = disk_.files.begin()->second.written;
  oldest.replace(oldest.find("phoenix"), 7, "phoenyx");
  const auto tampered = disk_.files.size();
  EXPECT_EQ(log->Retire().code(), base::Code::kDataLoss);
  EXPECT_TRUE(log->stats().retention_blocked);
  EXPECT_EQ(disk_.files.size(), tampered);
  EXPECT_EQ(Stored().retired.seq, 0U);
  // A whole line cut out of a file, and one of its ends.
  disk_.files = whole;
  std::string& second = std::next(disk_.files.begin())->second.written;
  second.erase(0, second.find('\n') + 1);
  clock_.Advance(kRetireEvery);
  EXPECT_EQ(log->Retire().code(), base::Code::kOk) << "absent between files: another replica's";
  disk_.files = whole;
  checkpoints_.stored->checkpoint.retired = {};
  auto again = NewLog();
  ASSERT_TRUE(again->Open(2).ok());
  std::string& third = std::next(disk_.files.begin(), 2)->second.written;
  third.insert(third.find('\n') + 1, third.substr(0, third.find('\n') + 1));
  EXPECT_EQ(again->Retire().code(), base::Code::kDataLoss) << "a doubled line";
  disk_.files = whole;
  EXPECT_EQ(again->Retire().code(), base::Code::kOk) << "not asked again before its time";
  EXPECT_TRUE(again->stats().retention_blocked);
  clock_.Advance(kRetireEvery);
  EXPECT_TRUE(again->Retire().ok());
  EXPECT_FALSE(again->stats().retention_blocked);
}

TEST_F(AuditRetentionTest, LinesThatAnotherReplicaKeepsAreCounted) {
  auto first = NewLog();
  ASSERT_TRUE(first->Open(1).ok());
  Fill(*first, 0, 4);
  const auto ours = disk_.files;
  disk_.files.clear();
  auto theirs = NewLog();
  ASSERT_TRUE(theirs->Open(2).ok());  // in a folder of its own
  Fill(*theirs, 4, 7);
  disk_.files = ours;
  auto again = NewLog();
  ASSERT_TRUE(again->Open(3).ok());
  Fill(*again, 7, 14);
  ASSERT_TRUE(again->Retire().ok());
  const auto lines = Lines();
  const auto said = std::find_if(lines.begin(), lines.end(),
                                 [](const Line& l) { return l.entry.type == kRetired; });
  ASSERT_NE(said, lines.end());
  EXPECT_EQ(nlohmann::json::parse(said->entry.data)["absentLines"], 4) << "epoch 2, once opened";
  EXPECT_TRUE(Proof().ok()) << Told(Proof());
}

TEST_F(AuditRetentionTest, ALineThatNoCheckpointIsPastStays) {
  auto log = NewLog();
  ASSERT_TRUE(log->Open(1).ok());
  for (int n = 0; n < 12; ++n) ASSERT_TRUE(log->Append({Vote(n)}, Anchor::kLater).ok());
  const auto plan = PlanRetirement(disk_, "dir", kSmall, Stored(), clock_.Wall());
  ASSERT_TRUE(plan.ok());
  EXPECT_LE(plan->through.seq, Stored().head.seq);
  EXPECT_EQ(Stored().head.seq, 1U);
  EXPECT_THAT(plan->files, IsEmpty());
}

TEST_F(AuditRetentionTest, ADeposedLeaderRemovesNothing) {
  auto first = NewLog();
  ASSERT_TRUE(first->Open(1).ok());
  Fill(*first, 0, 12);
  const auto before = disk_.files.size();
  auto second = NewLog({.file_bytes = 700, .keep_bytes = 0, .keep_age = base::Duration(0)});
  ASSERT_TRUE(second->Open(2).ok());
  EXPECT_FALSE(first->Retire().ok());
  EXPECT_GE(disk_.files.size(), before);
  EXPECT_EQ(Stored().retired.seq, 0U);
}

// The process dies at every operation in turn, before or after its effect, and with it what was not
// synced or not. Whoever reads the log then finds it whole but for a torn end; the next leader goes
// on, retires the rest, and the log is whole. What was acknowledged is there, or retired.
TEST_F(AuditRetentionTest, AKillAtAnyOperationLeavesALogThatIsProved) {
  int points = 0;
  bool removed_late = false;
  for (const bool after : {false, true}) {
    for (const bool power_cut : {false, true}) {
      for (int at = 1;; ++at) {
        disk_.files.clear();
        checkpoints_.stored.reset();
        fakes::CrashPoint crash{.at = at, .after = after};
        disk_.crash = checkpoints_.crash = &crash;
        std::uint64_t acknowledged = 0;
        {
          auto log = NewLog();
          bool alive = log->Open(1).ok();
          for (int n = 0; n < 14 && alive; ++n) {
            alive = log->Append({Vote(n)}, n % 3 == 0 ? Anchor::kLater : Anchor::kNow).ok();
            if (alive) acknowledged = log->stats().head.seq;
            if (alive && n % 4 == 3) alive = log->Retire().ok() && !crash.dead;
            if (alive) acknowledged = log->stats().head.seq;
          }
        }
        disk_.crash = checkpoints_.crash = nullptr;
        const std::string where = fmt::format("operation {}{}{}", at, after ? ", done" : "",
                                              power_cut ? ", power cut" : "");
        if (!crash.dead) {
          EXPECT_GT(at, 60) << where;
          break;
        }
        ++points;
        for (auto& [path, content] : disk_.files) {
          if (power_cut) content.written = content.synced;
        }
        const auto after_kill = Proof();
        if (Stored().head.seq > 0 && !after_kill.ok()) {
          EXPECT_EQ(after_kill.problem_count, 1U) << where << "\n" << Told(after_kill);
          EXPECT_THAT(Told(after_kill), ::testing::AnyOf(HasSubstr("after the last whole line"),
                                                         HasSubstr("the file is empty")))
              << where;
          EXPECT_EQ(after_kill.problems[0].file, disk_.files.rbegin()->first) << where;
        }
        const auto left = disk_.files.size();
        auto next = NewLog();
        // Now and then the fencing record was lost as well: epochs begin at 1 again.
        ASSERT_TRUE(next->Open(at % 2 == 0 ? 2 : 1).ok()) << where;
        ASSERT_TRUE(next->Append({Vote(100)}, Anchor::kNow).ok()) << where;
        ASSERT_TRUE(next->Retire().ok()) << where;
        removed_late = removed_late || disk_.files.size() < left;
        const auto v = Proof();
        EXPECT_TRUE(v.ok()) << where << "\n" << Told(v);
        EXPECT_EQ(v.head, next->stats().head) << where;
        EXPECT_GT(v.head.seq, acknowledged) << where;
        EXPECT_LE(v.first.seq, Stored().retired.seq + 1) << where;
        if (HasFailure()) return;
      }
    }
  }
  EXPECT_GE(points, 200);
  EXPECT_TRUE(removed_late) << "no kill came between the signature and the removal";
}

TEST(AuditRetentionOnDisk, RotatesAndRetiresRealFiles) {
  std::string folder = ::testing::TempDir() + "sluice-retention-XXXXXX";
  ASSERT_NE(mkdtemp(folder.data()), nullptr);
  const auto disk = PosixDisk();
  base::FakeClock clock;
  fakes::MemoryCheckpoints checkpoints;
  LogOptions options;
  options.directory = folder + "/audit";
  options.retention = kSmall;
  Log log(options, *disk, checkpoints, clock);
  ASSERT_TRUE(log.Open(1).ok());
  for (int n = 0; n < 16; ++n) ASSERT_TRUE(log.Append({Vote(n)}, Anchor::kNow).ok());
  ASSERT_TRUE(log.Retire().ok());
  const auto& kept = checkpoints.stored->checkpoint;
  EXPECT_GT(kept.retired.seq, 0U);
  std::vector<FileText> files;
  const auto names = disk->List(options.directory);
  ASSERT_TRUE(names.ok());
  for (const std::string& name : *names) {
    if (!IsFileName(name)) continue;
    const std::string path = options.directory + "/" + name;
    files.push_back({name, *base::ReadFile(path)});
    EXPECT_EQ(*disk->Size(path), files.back().text.size());
    EXPECT_EQ(*disk->Read(path, 10, 20), files.back().text.substr(10, 20));
    EXPECT_EQ(*disk->Read(path, 1 << 20, 20), "");
  }
  const auto v =
      Verify(files, {.anchor = log.stats().head, .partial = false, .retired = kept.retired});
  EXPECT_TRUE(v.ok());
  EXPECT_EQ(v.first.seq, kept.retired.seq + 1);
  EXPECT_TRUE(disk->Remove(options.directory + "/never-there").ok());
  EXPECT_EQ(disk->Size(options.directory + "/never-there").status().code(), base::Code::kNotFound);
  std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace sluice::audit
