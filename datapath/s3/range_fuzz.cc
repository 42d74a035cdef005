// Ranges and conditions: never a byte outside the object.
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <string>

#include "datapath/http1/date.h"
#include "datapath/s3/conditional.h"
#include "datapath/s3/range.h"

using namespace sluice;
using namespace sluice::s3;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 8) return 0;
  std::uint64_t object_bytes = 0;
  std::memcpy(&object_bytes, data, 8);
  object_bytes >>= data[0] % 64;
  const std::string_view text(reinterpret_cast<const char*>(data) + 8, size - 8);
  for (const std::string& header : {std::string(text), "bytes=" + std::string(text)}) {
    const RangeAnswer answer = EvaluateRange(header, object_bytes);
    if (answer.length > object_bytes || answer.first > object_bytes - answer.length) std::abort();
    if (answer.kind == RangeKind::kPart && answer.length == 0) std::abort();
    if (answer.kind == RangeKind::kUnsatisfiable) continue;
    char buffer[80];
    std::uint64_t first = 0, last = 0, total = 0;
    if (answer.kind == RangeKind::kPart &&
        (!ParseContentRange(WriteContentRange(answer, object_bytes, buffer), &first, &last,
                            &total) ||
         first != answer.first || total != object_bytes))
      std::abort();
  }
  http1::Headers headers;
  headers.Add("If-None-Match", text);
  headers.Add("If-Modified-Since", text);
  headers.Add("If-Range", text);
  static_cast<void>(EvaluateConditions(headers, {"\"e\"", {}}, base::WallTime::max()));
  static_cast<void>(RangeApplies(headers, {"\"e\"", {}}));
  if (const auto time = http1::ParseHttpDate(text)) {
    char buffer[http1::kHttpDateBytes];
    if (http1::ParseHttpDate(http1::FormatHttpDate(*time, buffer)) != time) std::abort();
  }
  return 0;
}
