#include "datapath/s3/range.h"

#include <algorithm>
#include <charconv>
#include <limits>

#include "datapath/http1/headers.h"

namespace sluice::s3 {
namespace {

constexpr std::uint64_t kHuge = std::numeric_limits<std::uint64_t>::max();

// Digits at the front of `text`; too many saturate. False when there is none.
bool TakeNumber(std::string_view* text, std::uint64_t* value) {
  std::size_t digits = 0;
  *value = 0;
  for (; digits < text->size(); ++digits) {
    const char c = (*text)[digits];
    if (c < '0' || c > '9') break;
    const auto digit = static_cast<std::uint64_t>(c - '0');
    *value = *value > (kHuge - digit) / 10 ? kHuge : *value * 10 + digit;
  }
  text->remove_prefix(digits);
  return digits > 0;
}

bool TakeChar(std::string_view* text, char c) {
  if (text->empty() || text->front() != c) return false;
  text->remove_prefix(1);
  return true;
}

char* PutNumber(char* at, std::uint64_t value) { return std::to_chars(at, at + 20, value).ptr; }

char* PutText(char* at, std::string_view text) { return std::copy(text.begin(), text.end(), at); }

}  // namespace

RangeSpec ParseRange(std::string_view header) {
  using Form = RangeSpec::Form;
  if (header.size() < 6 || !http1::EqualsIgnoreCase(header.substr(0, 6), "bytes=")) return {};
  header.remove_prefix(6);
  RangeSpec spec;
  if (TakeChar(&header, '-')) {
    if (!TakeNumber(&header, &spec.suffix) || !header.empty()) return {};
    spec.form = Form::kSuffix;
    return spec;
  }
  if (!TakeNumber(&header, &spec.first) || !TakeChar(&header, '-')) return {};
  if (header.empty()) {
    spec.form = Form::kFrom;
    return spec;
  }
  if (!TakeNumber(&header, &spec.last) || !header.empty() || spec.last < spec.first) return {};
  spec.form = Form::kFromTo;
  return spec;
}

RangeAnswer Resolve(const RangeSpec& spec, std::uint64_t object_bytes) {
  using Form = RangeSpec::Form;
  if (spec.form == Form::kNone) return {RangeKind::kWhole, 0, object_bytes};
  if (spec.form == Form::kSuffix) {
    const std::uint64_t length = std::min(spec.suffix, object_bytes);
    if (spec.suffix == 0) return {RangeKind::kUnsatisfiable, 0, 0};
    // The last bytes of nothing are all of it (RFC 9110, 14.1.2), and no part has a form for them.
    if (length == 0) return {RangeKind::kWhole, 0, 0};
    return {RangeKind::kPart, object_bytes - length, length};
  }
  if (spec.first >= object_bytes) return {RangeKind::kUnsatisfiable, 0, 0};
  const std::uint64_t last =
      spec.form == Form::kFrom ? object_bytes - 1 : std::min(spec.last, object_bytes - 1);
  return {RangeKind::kPart, spec.first, last - spec.first + 1};
}

RangeAnswer EvaluateRange(std::string_view header, std::uint64_t object_bytes) {
  return Resolve(ParseRange(header), object_bytes);
}

std::string_view WriteContentRange(const RangeAnswer& answer, std::uint64_t object_bytes,
                                   std::span<char, 80> out) {
  char* at = PutText(out.data(), "bytes ");
  if (answer.kind == RangeKind::kUnsatisfiable) {
    at = PutText(at, "*");
  } else {
    at = PutNumber(at, answer.first);
    at = PutText(at, "-");
    at = PutNumber(at, answer.first + answer.length - 1);
  }
  at = PutText(at, "/");
  at = PutNumber(at, object_bytes);
  return {out.data(), static_cast<std::size_t>(at - out.data())};
}

bool ParseContentRange(std::string_view value, std::uint64_t* first, std::uint64_t* last,
                       std::uint64_t* total) {
  if (value.size() < 6 || !http1::EqualsIgnoreCase(value.substr(0, 6), "bytes ")) return false;
  value.remove_prefix(6);
  if (!TakeNumber(&value, first) || !TakeChar(&value, '-') || !TakeNumber(&value, last) ||
      !TakeChar(&value, '/') || *last < *first)
    return false;
  if (value == "*") {
    *total = 0;
    return true;
  }
  return TakeNumber(&value, total) && value.empty() && *last < *total;
}

}  // namespace sluice::s3
