#include "reconcilers/audit/verify.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>

#include "reconcilers/audit/limits.h"

namespace sluice::audit {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

const base::WallTime kNow{std::chrono::seconds(1'800'000'000)};

// A log of `epochs` files with `lines` lines each, the first one Opened.
std::vector<FileText> MakeLog(int epochs, int lines, Head* last = nullptr) {
  std::vector<FileText> files;
  Head head;
  for (int epoch = 1; epoch <= epochs; ++epoch) {
    FileText file{FileName(epoch, head.seq + 1), {}};
    for (int i = 0; i < lines; ++i) {
      const Head before = head;
      const Entry entry{i == 0 ? kOpened : kVerdict, "Site/phoenix", "controller",
                        fmt::format(R"({{"n":{},"text":"a \"b\" é"}})", i)};
      file.text += *FormatLine(entry, epoch, kNow + std::chrono::seconds(i), before, head) + "\n";
    }
    files.push_back(std::move(file));
  }
  if (last != nullptr) *last = head;
  return files;
}

std::vector<std::string> LinesOf(const std::string& text) {
  std::vector<std::string> out;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = text.find('\n', at);
    out.push_back(text.substr(at, end - at));
    at = end + 1;
  }
  return out;
}

std::string Joined(const std::vector<std::string>& lines) {
  std::string out;
  for (const std::string& line : lines) out += line + "\n";
  return out;
}

std::string First(const Verification& v) { return v.problems.empty() ? "" : v.problems[0].what; }

TEST(AuditLine, IsReadAsItWasWritten) {
  Head head;
  const Entry entry{kStageMoved, "Site/phoenix", "ana@example.com",
                    R"({"from":"Crawl","to":"Walk"})"};
  const auto text = FormatLine(entry, 3, kNow, {}, head);
  ASSERT_TRUE(text.ok());
  EXPECT_EQ(text->substr(0, 60), R"({"seq":1,"epoch":3,"time":"2027-01-15T08:00:00.000000Z","typ)");
  const auto line = ParseLine(*text);
  ASSERT_TRUE(line.ok()) << line.status().ToString();
  EXPECT_EQ(line->entry, entry);
  EXPECT_EQ(line->head, head);
  EXPECT_EQ(line->prev, std::string(64, '0'));
  EXPECT_EQ(line->time, kNow);
}

TEST(AuditLine, RefusesWhatCannotBeRecorded) {
  Head head;
  EXPECT_FALSE(FormatLine({"T", "s", "a", "[]"}, 1, kNow, {}, head).ok());
  EXPECT_FALSE(FormatLine({"T", "s", "a", "{"}, 1, kNow, {}, head).ok());
  EXPECT_FALSE(FormatLine({"", "s", "a", "{}"}, 1, kNow, {}, head).ok());
  EXPECT_FALSE(FormatLine({"T", "s", "", "{}"}, 1, kNow, {}, head).ok());
  EXPECT_FALSE(FormatLine({"T", std::string(513, 's'), "a", "{}"}, 1, kNow, {}, head).ok());
  const std::string big = "{\"x\":\"" + std::string(kMaxLineBytes, 'x') + "\"}";
  EXPECT_EQ(FormatLine({"T", "s", "a", big}, 1, kNow, {}, head).status().code(),
            base::Code::kResourceExhausted);
}

TEST(AuditVerify, AWholeLogIsProvedToItsHead) {
  Head last;
  const auto files = MakeLog(3, 4, &last);
  const Verification v = Verify(files, {.anchor = last, .partial = false});
  EXPECT_TRUE(v.ok()) << First(v);
  EXPECT_EQ(v.lines, 12U);
  EXPECT_EQ(v.files, 3U);
  EXPECT_EQ(v.head, last);
  EXPECT_TRUE(v.anchored);
  EXPECT_EQ(v.after_anchor, 0U);
}

TEST(AuditVerify, OneStreamOfSeveralEpochsIsALogToo) {
  Head last;
  std::string all;
  for (const FileText& file : MakeLog(3, 4, &last)) all += file.text;
  EXPECT_TRUE(Verify({{"stdout", all}}, {.anchor = last, .partial = false}).ok());
  // Cut anywhere between two lines by a rotation.
  const auto lines = LinesOf(all);
  for (std::size_t cut = 1; cut < lines.size(); ++cut) {
    const auto at = lines.begin() + static_cast<std::ptrdiff_t>(cut);
    EXPECT_TRUE(Verify({{"a", Joined({lines.begin(), at})}, {"b", Joined({at, lines.end()})}},
                       {.anchor = last, .partial = false})
                    .ok());
  }
}

TEST(AuditVerify, APartIsAcceptedOnlyWhenItIsAskedFor) {
  auto files = MakeLog(3, 4);
  files.erase(files.begin());
  EXPECT_THAT(First(Verify(files, {})), HasSubstr("begins with line 5"));
  EXPECT_TRUE(Verify(files, {.anchor = {}, .partial = true}).ok());
  files.erase(files.begin() + 1);
  EXPECT_TRUE(Verify(files, {.anchor = {}, .partial = true}).ok());
}

TEST(AuditVerify, TellsWhatIsWrong) {
  Head last;
  const auto files = MakeLog(3, 4, &last);
  struct Row {
    const char* name;
    std::function<void(std::vector<FileText>&)> change;
    const char* told;
  };
  const auto on_lines = [](FileText& file, auto change) {
    auto lines = LinesOf(file.text);
    change(lines);
    file.text = Joined(lines);
  };
  const Row rows[] = {
      {"an edit", [](auto& f) { f[1].text.replace(f[1].text.find("phoenix"), 7, "phoenyx"); },
       "its hash differs"},
      {"a line removed", [&](auto& f) { on_lines(f[1], [](auto& l) { l.erase(l.begin() + 2); }); },
       "lines 7 to 7 are missing"},
      {"two lines swapped",
       [&](auto& f) { on_lines(f[1], [](auto& l) { std::swap(l[1], l[2]); }); },
       "lines 6 to 6 are missing"},
      {"a line doubled",
       [&](auto& f) { on_lines(f[1], [](auto& l) { l.insert(l.begin() + 2, l[1]); }); },
       "out of order or doubled"},
      {"a file's end cut", [&](auto& f) { on_lines(f[1], [](auto& l) { l.pop_back(); }); },
       "lines 8 to 8 are missing"},
      {"a file removed", [](auto& f) { f.erase(f.begin() + 1); }, "lines 5 to 8 are missing"},
      {"two files swapped", [](auto& f) { std::swap(f[1], f[2]); }, "lines 5 to 8 are missing"},
      {"the log's end cut", [&](auto& f) { on_lines(f[2], [](auto& l) { l.pop_back(); }); },
       "a checkpoint names"},
      {"the last file removed", [](auto& f) { f.pop_back(); }, "a checkpoint names"},
      {"no files", [](auto& f) { f.clear(); }, "nothing to verify"},
      {"an emptied file", [](auto& f) { f[2].text.clear(); }, "is empty"},
      {"a line of another log",
       [](auto& f) {
         Head head;
         f[2].text +=
             *FormatLine({kVerdict, "s", "a", "{}"}, 3, kNow, {3, 12, std::string(64, 'a')}, head) +
             "\n";
       },
       "does not follow"},
      {"a branch: an epoch that goes on from an earlier line",
       [&](auto& f) {
         const auto line = ParseLine(LinesOf(f[1].text)[1]);
         Head head;
         f[2].text = *FormatLine({kOpened, "s", "a", "{}"}, 3, kNow, line->head, head) + "\n";
       },
       "the 2 lines after it are not part of the chain"},
      {"a line of a higher epoch that nobody opened",
       [](auto& f) {
         Head head;
         const auto before = ParseLine(LinesOf(f[2].text).back());
         f[2].text += *FormatLine({kVerdict, "s", "a", "{}"}, 4, kNow, before->head, head) + "\n";
       },
       "begins with an Opened line"},
      {"a line that is too long",
       [](auto& f) { f[2].text += std::string(kMaxLineBytes, 'x') + "\n"; }, "too long"},
  };
  for (const Row& row : rows) {
    auto changed = files;
    row.change(changed);
    const Verification v = Verify(changed, {.anchor = last, .partial = false});
    EXPECT_FALSE(v.ok()) << row.name;
    EXPECT_THAT(First(v), HasSubstr(row.told)) << row.name;
  }
}

// Without any anchor: whatever single bit is flipped in a log, the files themselves tell. Every
// flip is fed to a verifier that has read up to the touched line, and no further than the first
// problem: problems are never taken back, so the whole would be refused as well.
TEST(AuditVerify, EveryFlippedBitOfEveryByteIsFound) {
  const auto files = MakeLog(2, 3);
  int flips = 0, read_on = 0;
  Verifier before({});
  for (std::size_t file = 0; file < files.size(); ++file) {
    before.BeginFile(files[file].name);
    const std::string& text = files[file].text;
    for (std::size_t begin = 0; begin < text.size();) {
      const std::size_t end = text.find('\n', begin) + 1;
      const std::string line = text.substr(begin, end - begin);
      for (std::size_t byte = 0; byte < line.size(); ++byte) {
        for (int bit = 0; bit < 8; ++bit) {
          std::string changed = line;
          changed[byte] = static_cast<char>(changed[byte] ^ (1 << bit));
          Verifier verifier = before;
          verifier.Add(changed);
          ++flips;
          if (verifier.problem_count() > 0) continue;
          ++read_on;
          verifier.Add(std::string_view(text).substr(end));
          for (std::size_t next = file + 1; next < files.size(); ++next) {
            verifier.BeginFile(files[next].name);
            verifier.Add(files[next].text);
          }
          ASSERT_FALSE(verifier.Finish().ok())
              << "file " << file << " byte " << begin + byte << " bit " << bit;
        }
      }
      before.Add(line);
      begin = end;
    }
  }
  EXPECT_TRUE(before.Finish().ok());
  EXPECT_GT(flips, 10'000);
  EXPECT_GE(read_on, 8 * 6) << "a newline's bits join two lines";
}

// With the head known: every set of lines removed, in every order. Six lines have every shape: the
// first of the log, one that opens an epoch, one after it, one after another, the last of a file
// and of the log.
TEST(AuditVerify, EveryRemovalAndEveryReorderingIsFound) {
  Head last;
  std::string all;
  for (const FileText& file : MakeLog(2, 3, &last)) all += file.text;
  const auto lines = LinesOf(all);
  ASSERT_EQ(lines.size(), 6U);
  int tried = 0;
  std::vector<std::size_t> chosen;
  const std::function<void(const Verifier&)> go_on = [&](const Verifier& before) {
    Verifier ends = before;
    const bool same = chosen == std::vector<std::size_t>{0, 1, 2, 3, 4, 5};
    ASSERT_EQ(ends.Finish().ok(), same) << ::testing::PrintToString(chosen);
    ++tried;
    for (std::size_t next = 0; next < lines.size(); ++next) {
      if (std::find(chosen.begin(), chosen.end(), next) != chosen.end()) continue;
      Verifier with = before;
      with.Add(lines[next] + "\n");
      chosen.push_back(next);
      go_on(with);
      chosen.pop_back();
    }
  };
  Verifier empty({.anchor = last, .partial = false});
  empty.BeginFile("f");
  go_on(empty);
  EXPECT_EQ(tried, 1957);  // the sum of 6!/(6-k)!
}

TEST(AuditVerify, HalfALineAtTheEndIsACrashWhereTheChainProvesTheRest) {
  Head last;
  auto files = MakeLog(2, 3, &last);
  files[0].text += "{\"seq\":4";
  const Verification inside = Verify(files, {});
  EXPECT_TRUE(inside.ok()) << First(inside);
  EXPECT_EQ(inside.notices.size(), 1U);
  files[1].text += "{\"seq\":7";
  EXPECT_TRUE(Verify(files, {.anchor = last, .partial = false}).ok());
  EXPECT_THAT(First(Verify(files, {})), HasSubstr("after the last whole line"))
      << "nothing proves the end";
}

TEST(AuditVerify, BytesMayComeInAnyPieces) {
  Head last;
  const auto files = MakeLog(1, 5, &last);
  for (std::size_t piece : {1U, 7U, 300U}) {
    Verifier verifier({.anchor = last, .partial = false});
    verifier.BeginFile("f");
    for (std::size_t at = 0; at < files[0].text.size(); at += piece) {
      verifier.Add(std::string_view(files[0].text).substr(at, piece));
    }
    EXPECT_TRUE(verifier.Finish().ok()) << piece;
  }
}

TEST(AuditFile, NamesSortInTheOrderOfTheChain) {
  EXPECT_EQ(FileName(3, 57), "audit-0000000003-000000000057.jsonl");
  EXPECT_TRUE(IsFileName(FileName(3, 57)));
  EXPECT_LT(FileName(9, 1000), FileName(10, 1001));
  EXPECT_FALSE(IsFileName("audit-3-57.jsonl"));
  EXPECT_FALSE(IsFileName("lost+found"));
}

TEST(AuditVerifyFiles, AFileWithoutALineIsANoticeWhereTheChainGoesOnAroundIt) {
  Head head;
  const auto line = [&](const char* type, std::int64_t epoch) {
    const Head before = head;
    return *FormatLine({type, "s", "a", "{}"}, epoch, base::WallTime{}, before, head) + "\n";
  };
  std::vector<FileText> files = {
      {"1", line(kOpened, 1)}, {"2", ""}, {"3", "{\"seq\":"}, {"4", line(kOpened, 4)}};
  Verification v = Verify(files, {});
  EXPECT_TRUE(v.ok());
  EXPECT_THAT(v.notices, SizeIs(2));
  files.push_back({"5", ""});
  EXPECT_FALSE(Verify(files, {}).ok()) << "nothing proves that it had no line";
  EXPECT_TRUE(Verify(files, {.anchor = head, .partial = false}).ok());
  files.erase(files.begin());
  EXPECT_FALSE(Verify(files, {.anchor = head, .partial = false}).ok());
}

}  // namespace
}  // namespace sluice::audit
