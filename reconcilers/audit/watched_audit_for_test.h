// The audit log as reconcilers' tests watch it.
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <vector>

#include "reconcilers/audit/fakes_for_test.h"
#include "reconcilers/audit/log.h"
#include "reconcilers/audit/verdict_entry.h"
#include "reconcilers/audit/verify.h"

namespace sluice::audit::fakes {

// The real log, shipped to a string; it can be away, and tells what was appended before what.
class WatchedAudit final : public Appender {
 public:
  explicit WatchedAudit(base::Clock& clock)
      : log_({.directory = {},
              .identity = "test",
              .ship =
                  [this](std::string_view lines) {
                    text += lines;
                    return base::OkStatus();
                  },
              .sign = {}},
             disk_, checkpoints_, clock) {
    EXPECT_TRUE(log_.Open(1).ok());
  }
  base::Status Append(const std::vector<Entry>& entries, Anchor anchor) override {
    if (down) return base::Unavailable("no space left");
    for (const Entry& entry : entries) timeline.push_back("audit " + entry.type);
    const base::Status status = log_.Append(entries, anchor);
    if (!entries.empty() && appended) appended();
    return status;
  }
  base::Status Ready() override {
    return down && !surprise ? base::Unavailable("no space left") : log_.Ready();
  }
  std::string HeadHash() const override { return log_.HeadHash(); }

  // The log is whole, and every verdict in it is what the evaluator says again.
  std::uint64_t ReplayedVerdicts() {
    Replayer replayer;
    Verifier verifier({}, [&](const Line& line) { replayer.Take("log", line); });
    verifier.BeginFile("log");
    verifier.Add(text);
    EXPECT_TRUE(verifier.Finish().ok());
    for (const Problem& p : replayer.problems()) ADD_FAILURE() << p.line << ": " << p.what;
    return replayer.verdicts();
  }

  std::string text;
  bool down = false;
  bool surprise = false;  // Ready says yes all the same
  std::vector<std::string> timeline;
  std::function<void()> appended;

 private:
  MemoryDisk disk_;
  MemoryCheckpoints checkpoints_;
  Log log_;
};

}  // namespace sluice::audit::fakes
