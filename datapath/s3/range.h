// Which bytes of an object a Range header asks for, as S3 reads it: one range is honoured, several
// or a malformed one are ignored (the whole object answers), an unsatisfiable one is 416. Source:
// RFC 9110 §14, "GetObject", Amazon S3 API reference. Pure; no allocation.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

namespace sluice::s3 {

enum class RangeKind : std::uint8_t {
  kWhole,          // 200
  kPart,           // 206 with Content-Range
  kUnsatisfiable,  // 416 InvalidRange with "Content-Range: bytes */size"
};

struct RangeAnswer {
  RangeKind kind = RangeKind::kWhole;
  std::uint64_t first = 0;   // of the object
  std::uint64_t length = 0;  // bytes to send
};

// `header`: the value of Range, empty when there is none.
RangeAnswer EvaluateRange(std::string_view header, std::uint64_t object_bytes);

// A range's form before the object's size is known, for asking an origin.
struct RangeSpec {
  enum class Form : std::uint8_t { kNone, kFrom, kFromTo, kSuffix } form = Form::kNone;
  std::uint64_t first = 0;   // kFrom, kFromTo
  std::uint64_t last = 0;    // kFromTo, inclusive
  std::uint64_t suffix = 0;  // kSuffix: that many bytes from the end
};
RangeSpec ParseRange(std::string_view header);  // kNone also when it is to be ignored
RangeAnswer Resolve(const RangeSpec& spec, std::uint64_t object_bytes);

// "bytes 0-99/1234" or "bytes */1234".
std::string_view WriteContentRange(const RangeAnswer& answer, std::uint64_t object_bytes,
                                   std::span<char, 80> out);
// The reverse, for an origin's 206. False when malformed; `total` is 0 when it says "*".
bool ParseContentRange(std::string_view value, std::uint64_t* first, std::uint64_t* last,
                       std::uint64_t* total);

}  // namespace sluice::s3
