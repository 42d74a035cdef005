// ParseAnswer on arbitrary bytes: no crash, and never more than the bounds.
#include <cstddef>
#include <cstdint>

#include "controller/base/check.h"
#include "reconcilers/gates/limits.h"
#include "reconcilers/gates/prometheus_answer.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto answer = sluice::gates::ParseAnswer(200, {reinterpret_cast<const char*>(data), size});
  if (answer.ok()) {
    SLUICE_CHECK(answer->series.size() <= sluice::gates::kMaxAnswerSeries);
    SLUICE_CHECK(answer->warnings.size() <= sluice::gates::kMaxWarnings);
  }
  return 0;
}
