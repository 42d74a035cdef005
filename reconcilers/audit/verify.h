// Finds any cut, edit or reordering of audit files. Streams: memory does not grow with the log.
//
//   Verifier verifier(options);
//   for each file, in the order of FileName: verifier.BeginFile(name); verifier.Add(bytes) …
//   const Verification& v = verifier.Finish();
//
// What it proves: every line's bytes (its hash), that no line between the first and the last one is
// missing, doubled or moved (seq and prev, within and across files), that the files begin where the
// log began or no later than behind the last line that a checkpoint calls retired, and that the
// line a checkpoint names is there. Lines cut off after the last one cannot show in the files
// themselves: only a head known from elsewhere (Options::anchor) proves the end.
//
// Thread rule: one thread. Errors: none; what is wrong is listed.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "reconcilers/audit/entry.h"

namespace sluice::audit {

struct Problem {
  std::string file;
  std::uint64_t line = 0;  // from 1; 0: about the file or the whole
  std::string what;
};

struct VerifyOptions {
  // A head that must be in the files: a checkpoint's, or one a status recorded.
  std::optional<Head> anchor;
  // The files are a part of the log on purpose: they may begin later, and end anywhere.
  bool partial = false;
  // A checkpoint's: this line and those before it may be gone. Where some of them are here, they
  // must lead to it.
  Head retired = {};
  // Files of other replicas are kept elsewhere: between two files lines may be absent. With
  // partial.
  bool gaps = false;
};

struct Verification {
  std::vector<Problem> problems;  // at most kMaxProblems
  std::uint64_t problem_count = 0;
  // Half a line that a crash left at a file's end, or a file without any, where the chain proves
  // that no line is missing.
  std::vector<Problem> notices;
  std::uint64_t files = 0;
  std::uint64_t lines = 0;
  Head first;                      // of the first line
  Head head;                       // of the last line
  std::uint64_t absent = 0;        // lines not here that may be elsewhere (gaps)
  bool anchored = false;           // the anchor was found
  std::uint64_t after_anchor = 0;  // lines behind it
  bool ok() const { return problem_count == 0; }
};

// A copy goes on by itself.
class Verifier {
 public:
  // `each` (may be empty) is given every line that is whole by itself, in order.
  explicit Verifier(VerifyOptions options, std::function<void(const Line&)> each = {});
  void BeginFile(std::string name);
  void Add(std::string_view bytes);
  const Verification& Finish();
  // So far; a problem is never taken back.
  std::uint64_t problem_count() const { return out_.problem_count; }

 private:
  void EndFile();
  void Take(std::string_view text);
  void Report(std::uint64_t line, std::string what);
  bool CheckPlace(const Line& line);
  bool CheckStart(const Line& line);
  void SettleTorn(bool proved);

  const VerifyOptions options_;
  const std::function<void(const Line&)> each_;
  Verification out_;
  std::string file_;
  std::string rest_;             // bytes after the last newline
  std::uint64_t file_line_ = 0;  // lines of this file so far
  std::optional<Head> before_;   // of the line before; none after one that could not be read
  std::vector<Problem> torn_;    // of files before, not yet known to be harmless
  bool owes_retired_ = false;    // began before the retired line, which was not met yet
  bool too_long_ = false;        // the line at hand is skipped up to its end
  bool lost_ = false;            // an unreadable line was reported: its neighbours need not be
};

// One call for texts in memory.
struct FileText {
  std::string name;
  std::string text;
};
Verification Verify(const std::vector<FileText>& files, const VerifyOptions& options);

}  // namespace sluice::audit
