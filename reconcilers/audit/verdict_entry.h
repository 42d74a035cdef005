// The entry of a changed verdict, and what `audit replay` does with it. Pure; any thread.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "reconcilers/audit/entry.h"
#include "reconcilers/audit/verify.h"

namespace sluice::gates {
struct StageRecord;
}  // namespace sluice::gates

namespace sluice::audit {

// `object`: what the verdict belongs to ("Promotion/phoenix-7-walk"). The data: object, gate,
// verdict, cause, and the record that Replay reads.
Entry VerdictEntry(const std::string& subject, const std::string& actor, const std::string& object,
                   const gates::StageRecord& record);

// Evaluates every Verdict entry it is given again.
class Replayer {
 public:
  void Take(const std::string& file, const Line& line);
  std::uint64_t verdicts() const { return verdicts_; }
  std::uint64_t problem_count() const { return problem_count_; }
  // Entries that cannot be read or whose replay gives something else; at most kMaxProblems.
  // `line` is the entry's seq.
  const std::vector<Problem>& problems() const { return problems_; }

 private:
  std::uint64_t verdicts_ = 0;
  std::uint64_t problem_count_ = 0;
  std::vector<Problem> problems_;
};

}  // namespace sluice::audit
