// RecordFromJson and Replay on arbitrary bytes: no crash; what was read is written and read the
// same, and replays to the same result every time.
#include <cstddef>
#include <cstdint>

#include "controller/base/check.h"
#include "reconcilers/gates/record.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto record = sluice::gates::RecordFromJson({reinterpret_cast<const char*>(data), size});
  if (!record.ok()) return 0;
  const auto result = sluice::gates::Replay(*record);
  SLUICE_CHECK(!result.causes.empty());
  SLUICE_CHECK(result == sluice::gates::Replay(*record));
  SLUICE_CHECK(result.verdict != sluice::gates::Verdict::kPass || result.unblocked_by.empty());
  return 0;
}
