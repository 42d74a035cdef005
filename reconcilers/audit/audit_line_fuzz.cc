// ParseLine and the verifier on arbitrary bytes: no crash; a line that reads writes itself again;
// the verifier accepts nothing that a flipped byte changes.
#include <cstddef>
#include <cstdint>
#include <string>

#include "controller/base/check.h"
#include "reconcilers/audit/entry.h"
#include "reconcilers/audit/verdict_entry.h"
#include "reconcilers/audit/verify.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  namespace audit = sluice::audit;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto verification =
      audit::Verify({{"f", std::string(text)}}, {.anchor = {}, .partial = true});
  SLUICE_CHECK(verification.problems.size() <= verification.problem_count);
  // The hash cannot be guessed: the bytes become the data of a line that is whole.
  audit::Head head;
  const auto line =
      audit::FormatLine({"Verdict", "Site/s", "controller", std::string(text)}, 1, {}, {}, head);
  const auto direct = audit::ParseLine(text);
  if (direct.ok()) SLUICE_CHECK(direct->head.hash.size() == 64);
  if (!line.ok()) return 0;
  const auto parsed = audit::ParseLine(*line);
  SLUICE_CHECK(parsed.ok());
  SLUICE_CHECK(parsed->head == head);
  audit::Head again;
  const auto written = audit::FormatLine(parsed->entry, 1, {}, {}, again);
  SLUICE_CHECK(written.ok() && *written == *line);
  audit::Replayer replayer;
  replayer.Take("f", *parsed);
  std::string flipped = *line;
  flipped[size % flipped.size()] ^= static_cast<char>(1 << (size % 7));
  SLUICE_CHECK(!audit::ParseLine(flipped).ok());
  return 0;
}
