#include "reconcilers/audit/log.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <future>

#include "controller/base/file.h"
#include "reconcilers/audit/fakes_for_test.h"
#include "reconcilers/audit/limits.h"
#include "reconcilers/audit/verify.h"

namespace sluice::audit {
namespace {

using std::chrono::seconds;
using ::testing::HasSubstr;
using ::testing::SizeIs;

Entry Move(const std::string& to) {
  return {kStageMoved, "Site/phoenix", "ana@example.com", "{\"to\":\"" + to + "\"}"};
}

class AuditLogTest : public ::testing::Test {
 protected:
  std::unique_ptr<Log> NewLog(const std::string& directory = "dir") {
    LogOptions options;
    options.directory = directory;
    options.identity = "replica-1";
    options.ship = [this](std::string_view lines) {
      if (ship_fails_) return base::Unavailable("closed");
      shipped_ += lines;
      return base::OkStatus();
    };
    return std::make_unique<Log>(std::move(options), disk_, checkpoints_, clock_);
  }
  // What a reader finds after a power cut, proved against the checkpoint.
  Verification OnDisk() {
    std::vector<FileText> files;
    for (const auto& [path, content] : disk_.files) {
      if (!content.synced.empty()) files.push_back({path, content.synced});
    }
    return Verify(
        files, {.anchor = checkpoints_.stored ? std::optional(checkpoints_.stored->checkpoint.head)
                                              : std::nullopt,
                .partial = false});
  }
  std::string Problems(const Verification& v) {
    std::string out;
    for (const Problem& p : v.problems) out += p.file + ": " + p.what + "\n";
    return out;
  }

  base::FakeClock clock_;
  fakes::MemoryDisk disk_;
  fakes::MemoryCheckpoints checkpoints_;
  std::string shipped_;
  bool ship_fails_ = false;
};

TEST_F(AuditLogTest, WhatIsAcknowledgedIsSyncedChainedAndShipped) {
  auto log = NewLog();
  ASSERT_TRUE(log->Open(1).ok());
  ASSERT_TRUE(log->Append({Move("Crawl"), Move("Walk")}, Anchor::kLater).ok());
  const Verification v = OnDisk();
  EXPECT_TRUE(v.ok()) << Problems(v);
  EXPECT_EQ(v.lines, 3U);
  EXPECT_EQ(v.head.hash, log->HeadHash());
  EXPECT_TRUE(Verify({{"stdout", shipped_}}, {}).ok());
}

TEST_F(AuditLogTest, TheNextEpochGoesOnFromTheLastHead) {
  auto first = NewLog();
  ASSERT_TRUE(first->Open(1).ok());
  ASSERT_TRUE(first->Append({Move("Crawl")}, Anchor::kNow).ok());
  first->Close();
  auto second = NewLog();
  ASSERT_TRUE(second->Open(2).ok());
  ASSERT_TRUE(second->Append({Move("Walk")}, Anchor::kNow).ok());
  EXPECT_THAT(disk_.files, SizeIs(2));
  const Verification v = OnDisk();
  EXPECT_TRUE(v.ok()) << Problems(v);
  EXPECT_EQ(v.lines, 4U);
  EXPECT_EQ(v.after_anchor, 0U);
}

TEST_F(AuditLogTest, WithoutTheLastLeadersFilesTheCheckpointCarriesTheHeadOver) {
  auto first = NewLog();
  ASSERT_TRUE(first->Open(1).ok());
  ASSERT_TRUE(first->Append({Move("Crawl")}, Anchor::kNow).ok());
  const auto theirs = std::exchange(disk_.files, {});  // another pod's emptyDir
  auto second = NewLog();
  ASSERT_TRUE(second->Open(2).ok());
  for (const auto& [path, content] : theirs) disk_.files[path] = content;
  const Verification v = OnDisk();
  EXPECT_TRUE(v.ok()) << Problems(v);
}

TEST_F(AuditLogTest, AHeadOnDiskBehindWhichTheCheckpointLagsIsNotLost) {
  auto first = NewLog();
  ASSERT_TRUE(first->Open(1).ok());
  ASSERT_TRUE(first->Append({Move("Crawl")}, Anchor::kLater).ok());  // killed before a checkpoint
  auto second = NewLog();
  ASSERT_TRUE(second->Open(2).ok());
  const Verification v = OnDisk();
  EXPECT_TRUE(v.ok()) << Problems(v);
  EXPECT_EQ(v.lines, 3U);
}

TEST_F(AuditLogTest, WithoutFilesLinesAreShippedAndRefusedWhenTheyCannotBe) {
  auto log = NewLog("");
  ASSERT_TRUE(log->Open(1).ok());
  ASSERT_TRUE(log->Append({Move("Crawl")}, Anchor::kNow).ok());
  ship_fails_ = true;
  EXPECT_EQ(log->Append({Move("Walk")}, Anchor::kNow).code(), base::Code::kUnavailable);
  ship_fails_ = false;
  ASSERT_TRUE(log->Append({Move("Walk")}, Anchor::kNow).ok());
  EXPECT_TRUE(Verify({{"stdout", shipped_}},
                     {.anchor = checkpoints_.stored->checkpoint.head, .partial = false})
                  .ok());
  EXPECT_TRUE(disk_.files.empty());
}

TEST_F(AuditLogTest, WithFilesAClosedStdoutIsCountedAndHoldsNothing) {
  auto log = NewLog();
  ASSERT_TRUE(log->Open(1).ok());
  ship_fails_ = true;
  EXPECT_TRUE(log->Append({Move("Crawl")}, Anchor::kNow).ok());
  EXPECT_EQ(log->stats().unshipped, 1U);
}

TEST_F(AuditLogTest, AFailedWriteLeavesNothingBehindAndTheLogGoesOn) {
  auto log = NewLog();
  ASSERT_TRUE(log->Open(1).ok());
  const std::string head = log->HeadHash();
  disk_.full = true;
  EXPECT_EQ(log->Append({Move("Crawl")}, Anchor::kNow).code(), base::Code::kUnavailable);
  EXPECT_EQ(log->HeadHash(), head);
  disk_.full = false;
  disk_.sync_fails = true;
  EXPECT_FALSE(log->Append({Move("Crawl")}, Anchor::kNow).ok());
  disk_.truncate_fails = true;
  EXPECT_FALSE(log->Ready().ok());
  disk_.sync_fails = disk_.truncate_fails = false;
  EXPECT_TRUE(log->Ready().ok());
  ASSERT_TRUE(log->Append({Move("Walk")}, Anchor::kNow).ok());
  const Verification v = OnDisk();
  EXPECT_TRUE(v.ok()) << Problems(v);
  EXPECT_EQ(v.lines, 2U);
  EXPECT_EQ(log->stats().failures, 2U);
}

TEST_F(AuditLogTest, ALogThatCannotBeOpenedIsTriedAgainAfterAWhile) {
  disk_.gone = true;
  auto log = NewLog();
  EXPECT_FALSE(log->Open(1).ok());
  EXPECT_FALSE(log->Ready().ok());
  disk_.gone = false;
  EXPECT_FALSE(log->Ready().ok()) << "not tried again at once";
  clock_.Advance(kReopenEvery);
  EXPECT_TRUE(log->Ready().ok());
  disk_.files.clear();
  auto other = NewLog();
  disk_.full = true;  // the file is made, its first line is not
  EXPECT_FALSE(other->Open(2).ok());
  disk_.full = false;
  clock_.Advance(kReopenEvery);
  EXPECT_TRUE(other->Append({Move("Crawl")}, Anchor::kNow).ok());
}

TEST_F(AuditLogTest, NothingIsAcknowledgedBeforeTheEpochsFirstCheckpoint) {
  checkpoints_.down = true;
  auto log = NewLog();
  EXPECT_FALSE(log->Open(1).ok());
  EXPECT_FALSE(log->Append({Move("Crawl")}, Anchor::kLater).ok());
  checkpoints_.down = false;
  clock_.Advance(kReopenEvery);
  EXPECT_TRUE(log->Append({Move("Crawl")}, Anchor::kLater).ok());
  checkpoints_.down = true;
  EXPECT_TRUE(log->Append({Move("Crawl")}, Anchor::kLater).ok())
      << "a verdict does not wait for it";
  EXPECT_FALSE(log->Append({Move("Walk")}, Anchor::kNow).ok()) << "a move does";
  checkpoints_.down = false;
  EXPECT_TRUE(OnDisk().ok());
}

TEST_F(AuditLogTest, AnEarlierLeaderCannotOverwriteTheCheckpoint) {
  auto first = NewLog();
  ASSERT_TRUE(first->Open(1).ok());
  auto second = NewLog();
  ASSERT_TRUE(second->Open(2).ok());
  const Head theirs = checkpoints_.stored->checkpoint.head;
  const base::Status status = first->Append({Move("Walk")}, Anchor::kNow);
  EXPECT_EQ(status.code(), base::Code::kAborted);
  EXPECT_EQ(status.reason(), "NotLeading");
  EXPECT_EQ(checkpoints_.stored->checkpoint.head, theirs);
  // What it wrote shows: no line of it is in the chain.
  EXPECT_THAT(Problems(OnDisk()), HasSubstr("not part of the chain"));
}

TEST_F(AuditLogTest, AFencingRecordThatBeganAnewDoesNotStopTheLog) {
  auto first = NewLog();
  ASSERT_TRUE(first->Open(9).ok());
  first->Close();
  auto second = NewLog();
  ASSERT_TRUE(second->Open(1).ok());
  ASSERT_TRUE(second->Append({Move("Crawl")}, Anchor::kNow).ok());
  const Verification v = OnDisk();
  EXPECT_TRUE(v.ok()) << Problems(v);
  EXPECT_EQ(v.head.epoch, 10);
}

TEST_F(AuditLogTest, RefusesEntriesWhileItIsClosed) {
  auto log = NewLog();
  EXPECT_FALSE(log->Append({Move("Crawl")}, Anchor::kLater).ok());
  ASSERT_TRUE(log->Open(1).ok());
  log->Close();
  EXPECT_FALSE(log->Append({Move("Crawl")}, Anchor::kLater).ok());
  EXPECT_TRUE(OnDisk().ok());
}

TEST_F(AuditLogTest, AnEntryThatCanNeverBeWrittenIsRefusedAlone) {
  auto log = NewLog();
  ASSERT_TRUE(log->Open(1).ok());
  Entry big = Move("Walk");
  big.data = "{\"x\":\"" + std::string(kMaxLineBytes, 'x') + "\"}";
  EXPECT_EQ(log->Append({Move("Crawl"), big}, Anchor::kLater).code(),
            base::Code::kResourceExhausted);
  EXPECT_TRUE(log->Append({Move("Crawl")}, Anchor::kLater).ok());
  EXPECT_EQ(OnDisk().lines, 2U);
}

TEST_F(AuditLogTest, WhoeverScrapesDoesNotWaitForTheDisk) {
  auto log = NewLog();
  ASSERT_TRUE(log->Open(1).ok());
  std::promise<void> stalled, goes_on;
  disk_.syncing = [&] {
    stalled.set_value();
    goes_on.get_future().wait();
  };
  auto written = std::async([&] { return log->Append({Move("Walk")}, Anchor::kLater); });
  stalled.get_future().wait();
  auto scraped = std::async([&] { return log->stats(); });
  EXPECT_EQ(scraped.wait_for(seconds(10)), std::future_status::ready);
  goes_on.set_value();
  EXPECT_EQ(scraped.get().entries, 1U) << "what is not synced was not acknowledged";
  ASSERT_TRUE(written.get().ok());
  EXPECT_EQ(log->stats().entries, 2U);
}

TEST(AuditCheckpoint, WhatIsMissingOrMalformedIsNamed) {
  const auto good = Encode({{3, 57, std::string(64, 'a')}, base::WallTime(seconds(1)), "s"});
  for (const char* key : {"epoch", "seq", "hash", "time"}) {
    auto data = good;
    data.erase(key);
    EXPECT_THAT(Decode(data).status().message(), HasSubstr(key));
    data[key] = "x";
    EXPECT_THAT(Decode(data).status().message(), HasSubstr(key));
  }
}

// On a real file system: a process that is killed between its entry and the action, at half a line,
// and while nobody looks. Whatever was acknowledged is there, and the next one goes on.
TEST(AuditLogOnDisk, AKillBetweenTheEntryAndTheActionIsSurvived) {
  const std::string root = std::filesystem::temp_directory_path() / "sluice-audit-XXXXXX";
  std::string folder = root;
  ASSERT_NE(mkdtemp(folder.data()), nullptr);
  base::FakeClock clock;
  fakes::MemoryCheckpoints checkpoints;
  for (int epoch = 1; epoch <= 5; ++epoch) {
    const pid_t child = fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      const auto disk = PosixDisk();
      LogOptions options;
      options.directory = folder + "/audit";
      Log log(options, *disk, checkpoints, clock);
      const bool written = log.Open(epoch).ok() && log.Append({Move("Walk")}, Anchor::kLater).ok();
      // The action would come here: an acknowledged entry without its action, half a line behind
      // it.
      const std::string path = options.directory + "/" + FileName(epoch, log.stats().head.seq - 1);
      FILE* file = epoch % 2 == 0 ? fopen(path.c_str(), "a") : nullptr;
      if (file != nullptr) {
        fputs("{\"seq\":", file);
        fclose(file);
      }
      if (written) raise(SIGKILL);
      _exit(1);
    }
    int how = 0;
    ASSERT_EQ(waitpid(child, &how, 0), child);
    ASSERT_TRUE(WIFSIGNALED(how) && WTERMSIG(how) == SIGKILL);
  }
  std::vector<FileText> files;
  const auto names = PosixDisk()->List(folder + "/audit");
  ASSERT_TRUE(names.ok());
  for (const std::string& name : *names) {
    if (IsFileName(name)) files.push_back({name, *base::ReadFile(folder + "/audit/" + name)});
  }
  ASSERT_THAT(files, SizeIs(5));
  const Verification v = Verify(files, {});
  // Every acknowledged line is in the chain; the two torn ends are told and are no problem.
  EXPECT_EQ(v.lines, 10U);
  EXPECT_TRUE(v.ok());
  EXPECT_THAT(v.notices, SizeIs(2));
  std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace sluice::audit
