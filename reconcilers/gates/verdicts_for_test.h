// How the tests of the evaluator ask one gate, and what they expect of its answer.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <optional>
#include <vector>

#include "reconcilers/gates/evaluate.h"
#include "reconcilers/gates/gate_cases.h"

namespace sluice::gates::cases {

inline GateResult Eval(const Gate& gate, const Evidence& evidence,
                       const std::optional<GateResult>& previous = std::nullopt,
                       const Context& context = {}) {
  return EvaluateGate(gate, evidence, previous, context, evidence.observed_at);
}

inline std::vector<Cause> Causes(const GateResult& result) {
  std::vector<Cause> out;
  for (const CauseDetail& c : result.causes) out.push_back(c.cause);
  return out;
}

}  // namespace sluice::gates::cases

// The verdict, and all causes in their order.
#define EXPECT_VERDICT(result, wanted_verdict, ...)                                      \
  do {                                                                                   \
    const ::sluice::gates::GateResult& r = (result);                                     \
    EXPECT_EQ(r.verdict, wanted_verdict) << r.message();                                 \
    EXPECT_THAT(::sluice::gates::cases::Causes(r), ::testing::ElementsAre(__VA_ARGS__)); \
  } while (false)
