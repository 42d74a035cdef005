#include "controller/meta/json_scanner.h"

#include <charconv>
#include <cmath>
#include <cstdlib>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

namespace sluice::meta {
namespace {

// The first byte of a string that ends it or needs a look: a quote, a backslash, a control
// character, anything above ASCII. Inlined: most strings are shorter than a call is worth.
[[gnu::always_inline]] inline const char* PlainEnd(const char* at, const char* end) {
#if defined(__SSE2__)
  while (end - at >= 16) {
    const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(at));
    const __m128i quote = _mm_cmpeq_epi8(bytes, _mm_set1_epi8('"'));
    const __m128i slash = _mm_cmpeq_epi8(bytes, _mm_set1_epi8('\\'));
    // Signed compare: below 0x20 are the control characters and everything above 0x7f.
    const __m128i special = _mm_cmplt_epi8(bytes, _mm_set1_epi8(0x20));
    const int mask = _mm_movemask_epi8(_mm_or_si128(_mm_or_si128(quote, slash), special));
    if (mask != 0) return at + __builtin_ctz(static_cast<unsigned>(mask));
    at += 16;
  }
#endif
  for (; at != end; ++at) {
    const auto byte = static_cast<unsigned char>(*at);
    if (byte == '"' || byte == '\\' || byte < 0x20 || byte >= 0x80) break;
  }
  return at;
}

constexpr std::ptrdiff_t kPlainDigits = 18;  // so many are never beyond an int64

bool IsDigit(char c) { return c >= '0' && c <= '9'; }

void AppendUtf8(unsigned code, std::string* out) {
  if (code < 0x80) {
    *out += static_cast<char>(code);
  } else if (code < 0x800) {
    *out += static_cast<char>(0xC0 | (code >> 6));
    *out += static_cast<char>(0x80 | (code & 63));
  } else if (code < 0x10000) {
    *out += static_cast<char>(0xE0 | (code >> 12));
    *out += static_cast<char>(0x80 | ((code >> 6) & 63));
    *out += static_cast<char>(0x80 | (code & 63));
  } else {
    *out += static_cast<char>(0xF0 | (code >> 18));
    *out += static_cast<char>(0x80 | ((code >> 12) & 63));
    *out += static_cast<char>(0x80 | ((code >> 6) & 63));
    *out += static_cast<char>(0x80 | (code & 63));
  }
}

unsigned Hex4(std::string_view text) {
  unsigned value = 0;
  std::from_chars(text.data(), text.data() + 4, value, 16);
  return value;
}

}  // namespace

std::string JsonString::Decode() const {
  if (!escaped) return std::string(raw);
  std::string out;
  out.reserve(raw.size());
  // The scanner has checked every escape, so that each is whole here.
  for (std::size_t i = 0; i < raw.size(); ++i) {
    if (raw[i] != '\\') {
      out += raw[i];
      continue;
    }
    switch (const char c = raw[++i]; c) {
      case 'b':
        out += '\b';
        break;
      case 'f':
        out += '\f';
        break;
      case 'n':
        out += '\n';
        break;
      case 'r':
        out += '\r';
        break;
      case 't':
        out += '\t';
        break;
      case 'u': {
        unsigned code = Hex4(raw.substr(i + 1, 4));
        i += 4;
        if (code >= 0xD800 && code < 0xDC00) {
          code = 0x10000 + ((code - 0xD800) << 10) + (Hex4(raw.substr(i + 3, 4)) - 0xDC00);
          i += 6;
        }
        AppendUtf8(code, &out);
        break;
      }
      default:
        out += c;
    }
  }
  return out;
}

char JsonScanner::PeekPastSpace() {
  while (at_ != end_ && (*at_ == ' ' || *at_ == '\n' || *at_ == '\r' || *at_ == '\t')) ++at_;
  return at_ == end_ ? '\0' : *at_;
}

bool JsonScanner::AtEnd() {
  Peek();
  return !failed_ && at_ == end_;
}

inline bool JsonScanner::SkipStringBody(bool* escaped) {
  at_ = PlainEnd(at_, end_);
  if (at_ == end_ || *at_ != '"') return SkipUnusual(escaped);
  ++at_;
  return true;
}

bool JsonScanner::SkipValue() {
  switch (Peek()) {
    case '{':
      return Members([this](const JsonString&) { return SkipValue(); });
    case '[':
      return Elements([this] { return SkipValue(); });
    case '"': {
      ++at_;
      bool escaped = false;
      return SkipStringBody(&escaped);
    }
    case 't':
      return SkipLiteral("true");
    case 'f':
      return SkipLiteral("false");
    case 'n':
      return SkipLiteral("null");
    default:
      return SkipNumber();
  }
}

bool JsonScanner::ReadRaw(std::string_view* text) {
  Peek();
  const char* start = at_;
  if (!SkipValue()) return false;
  *text = {start, static_cast<std::size_t>(at_ - start)};
  return true;
}

bool JsonScanner::ReadString(JsonString* value) {
  if (!Take('"')) return false;
  const char* start = at_;
  value->escaped = false;
  if (!SkipStringBody(&value->escaped)) return false;
  value->raw = {start, static_cast<std::size_t>(at_ - start - 1)};
  return true;
}

bool JsonScanner::ReadInt64(std::int64_t* value) {
  Peek();
  // Nearly every number is a few digits that cannot overflow; anything else goes the long way.
  const char* at = at_;
  const bool negative = at != end_ && *at == '-';
  if (negative) ++at;
  const char* const digits = at;
  std::int64_t sum = 0;
  while (at != end_ && IsDigit(*at) && at - digits < kPlainDigits) sum = sum * 10 + (*at++ - '0');
  const bool whole = at != digits && at != end_ && (*at == ',' || *at == '}' || *at == ']');
  if (whole && (*digits != '0' || at == digits + 1)) {
    *value = negative ? -sum : sum;
    at_ = at;
    return true;
  }
  std::string_view text;
  if (!ReadRaw(&text)) return false;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), *value);
  return (error == std::errc() && end == text.data() + text.size()) || Fail();
}

bool JsonScanner::ReadBool(bool* value) {
  *value = Peek() == 't';
  return SkipLiteral(*value ? "true" : "false");
}

bool JsonScanner::SkipLiteral(std::string_view literal) {
  if (static_cast<std::size_t>(end_ - at_) < literal.size() ||
      std::string_view(at_, literal.size()) != literal) {
    return Fail();
  }
  at_ += literal.size();
  return true;
}

bool JsonScanner::SkipNumber() {
  const char* start = at_;
  if (at_ != end_ && *at_ == '-') ++at_;
  if (at_ == end_ || !IsDigit(*at_)) return Fail();
  if (*at_ == '0') {
    ++at_;
  } else {
    while (at_ != end_ && IsDigit(*at_)) ++at_;
  }
  if (at_ != end_ && *at_ == '.') {
    ++at_;
    if (at_ == end_ || !IsDigit(*at_)) return Fail();
    while (at_ != end_ && IsDigit(*at_)) ++at_;
  }
  bool exponent = false;
  if (at_ != end_ && (*at_ == 'e' || *at_ == 'E')) {
    exponent = true;
    ++at_;
    if (at_ != end_ && (*at_ == '+' || *at_ == '-')) ++at_;
    if (at_ == end_ || !IsDigit(*at_)) return Fail();
    while (at_ != end_ && IsDigit(*at_)) ++at_;
  }
  const std::string_view number(start, static_cast<std::size_t>(at_ - start));
  if (number.size() > kMaxNumberBytes) return Fail();
  // Up to 300 digits fit a double; with an exponent it must be tried.
  if (exponent && std::isinf(std::strtod(std::string(number).c_str(), nullptr))) return Fail();
  return true;
}

bool JsonScanner::SkipUnusual(bool* escaped) {
  for (; at_ != end_; at_ = PlainEnd(at_, end_)) {
    const auto byte = static_cast<unsigned char>(*at_);
    if (byte == '"') {
      ++at_;
      return true;
    }
    if (byte == '\\') {
      *escaped = true;
      if (!SkipEscape()) return false;
    } else if (byte < 0x80 || !SkipUtf8()) {
      return Fail();  // a control character, or not UTF-8
    }
  }
  return Fail();
}

bool JsonScanner::ReadHex4(unsigned* value) {
  if (end_ - at_ < 4) return Fail();
  const auto [end, error] = std::from_chars(at_, at_ + 4, *value, 16);
  if (error != std::errc() || end != at_ + 4) return Fail();
  at_ += 4;
  return true;
}

bool JsonScanner::SkipEscape() {
  if (end_ - at_ < 2) return Fail();
  const char c = at_[1];
  at_ += 2;
  if (c != 'u') return std::string_view("\"\\/bfnrt").find(c) != std::string_view::npos || Fail();
  unsigned code = 0;
  if (!ReadHex4(&code)) return false;
  if (code >= 0xDC00 && code < 0xE000) return Fail();  // the second half alone
  if (code < 0xD800 || code >= 0xDC00) return true;
  if (end_ - at_ < 2 || at_[0] != '\\' || at_[1] != 'u') return Fail();
  at_ += 2;
  return ReadHex4(&code) && ((code >= 0xDC00 && code < 0xE000) || Fail());
}

bool JsonScanner::SkipUtf8() {
  // The well-formed sequences of Unicode 15, table 3-7.
  const auto left = end_ - at_;
  const auto byte = [this](int i) { return static_cast<unsigned char>(at_[i]); };
  const auto follows = [&](int i, unsigned low, unsigned high) {
    return left > i && byte(i) >= low && byte(i) <= high;
  };
  const unsigned first = byte(0);
  int size = 0;
  if (first >= 0xC2 && first <= 0xDF) {
    size = follows(1, 0x80, 0xBF) ? 2 : 0;
  } else if (first >= 0xE0 && first <= 0xEF) {
    const unsigned low = first == 0xE0 ? 0xA0 : 0x80;
    const unsigned high = first == 0xED ? 0x9F : 0xBF;
    size = follows(1, low, high) && follows(2, 0x80, 0xBF) ? 3 : 0;
  } else if (first >= 0xF0 && first <= 0xF4) {
    const unsigned low = first == 0xF0 ? 0x90 : 0x80;
    const unsigned high = first == 0xF4 ? 0x8F : 0xBF;
    size = follows(1, low, high) && follows(2, 0x80, 0xBF) && follows(3, 0x80, 0xBF) ? 4 : 0;
  }
  if (size == 0) return Fail();
  at_ += size;
  return true;
}

std::string_view FindMember(std::string_view object, std::string_view key) {
  JsonScanner scanner(object);
  std::string_view found;
  const bool whole = scanner.Members([&](const JsonString& member) {
    return member.Is(key) ? scanner.ReadRaw(&found) : scanner.SkipValue();
  });
  return whole ? found : std::string_view();
}

std::string StringMember(std::string_view object, std::string_view key) {
  JsonScanner scanner(FindMember(object, key));
  JsonString value;
  if (scanner.Peek() != '"' || !scanner.ReadString(&value)) return {};
  return value.Decode();
}

}  // namespace sluice::meta
