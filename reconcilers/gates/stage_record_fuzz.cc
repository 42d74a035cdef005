// StageRecordFromJson and Replay on arbitrary bytes: no crash; what was read is written and read to
// the same text, and replays to the same results every time.
#include <cstddef>
#include <cstdint>

#include "controller/base/check.h"
#include "reconcilers/gates/stage_record.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  namespace gates = sluice::gates;
  const auto record = gates::StageRecordFromJson({reinterpret_cast<const char*>(data), size});
  if (!record.ok()) return 0;
  SLUICE_CHECK(gates::Replay(*record) == gates::Replay(*record));
  const std::string text = gates::StageRecordToJson(*record);
  const auto again = gates::StageRecordFromJson(text);
  SLUICE_CHECK(again.ok());
  SLUICE_CHECK(gates::StageRecordToJson(*again) == text);
  return 0;
}
