// A validating, allocation-free reader of JSON text that goes forward once (RFC 8259).
//
// Whoever wants a few fields of a large text says which members to look at and skips the rest; all
// of the text is checked on the way: structure, escapes and their surrogates, UTF-8, numbers that
// fit a double, nesting up to kMaxJsonDepth. What passes here never fails in nlohmann::json (kept
// so by object_fuzz.cc). Strings are searched sixteen bytes at a time where SSE2 is there. Measured
// against nlohmann and simdjson: docs/adr/0061-json-on-the-list-path.md.
//
// Thread rule: a value; one thread. Errors: every method returns false from the first error on.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "controller/meta/limits.h"

namespace sluice::meta {

// The characters between the quotes, as they stand.
struct JsonString {
  std::string_view raw;
  bool escaped = false;

  // Equality of what is meant, not of how it is written.
  bool Is(std::string_view text) const { return escaped ? Decode() == text : raw == text; }
  std::string Decode() const;
};

class JsonScanner {
 public:
  explicit JsonScanner(std::string_view text)
      : begin_(text.data()), at_(text.data()), end_(text.data() + text.size()) {}

  bool failed() const { return failed_; }
  std::size_t offset() const { return static_cast<std::size_t>(at_ - begin_); }
  std::string_view text() const { return {begin_, static_cast<std::size_t>(end_ - begin_)}; }

  // What the next value begins with ('{', '[', '"', 't', '-', …), 0 at the end. Skips white space.
  char Peek() {
    // Servers write no white space: one comparison is the usual way.
    if (at_ != end_ && static_cast<unsigned char>(*at_) > ' ') return *at_;
    return PeekPastSpace();
  }
  bool SkipValue();
  // Skips one value and gives its text.
  bool ReadRaw(std::string_view* text);
  bool ReadString(JsonString* value);
  bool ReadInt64(std::int64_t* value);  // fails on fractions, exponents and overflow
  bool ReadBool(bool* value);
  // Nothing but white space is left.
  bool AtEnd();

  // Reads an object; `on_member(JsonString key)` must consume the member's value (with a method of
  // this scanner) and return whether it could. `key` is valid during the call.
  template <typename OnMember>
  bool Members(OnMember&& on_member);
  // Reads an array; `on_element()` must consume one element.
  template <typename OnElement>
  bool Elements(OnElement&& on_element);

  bool Fail() {
    failed_ = true;
    at_ = end_;
    return false;
  }

 private:
  char PeekPastSpace();
  bool Take(char c) {                // after white space
    if (Peek() != c) return Fail();  // never 0, which is the end
    ++at_;
    return true;
  }
  bool SkipLiteral(std::string_view literal);
  bool SkipNumber();
  bool SkipStringBody(bool* escaped);  // after the opening quote, past the closing one
  bool SkipUnusual(bool* escaped);     // from the first byte of a string that is not plain
  bool SkipEscape();
  bool SkipUtf8();
  bool ReadHex4(unsigned* value);

  const char* begin_;
  const char* at_;
  const char* end_;
  int depth_ = 0;
  bool failed_ = false;
};

template <typename OnMember>
bool JsonScanner::Members(OnMember&& on_member) {
  if (!Take('{') || ++depth_ > kMaxJsonDepth) return Fail();
  if (Peek() == '}') {
    ++at_;
    --depth_;
    return !failed_;
  }
  while (true) {
    JsonString key;
    if (!ReadString(&key) || !Take(':') || !on_member(key)) return Fail();
    const char next = Peek();
    if (next != ',' && next != '}') return Fail();
    ++at_;
    if (next == '}') {
      --depth_;
      return true;
    }
  }
}

template <typename OnElement>
bool JsonScanner::Elements(OnElement&& on_element) {
  if (!Take('[') || ++depth_ > kMaxJsonDepth) return Fail();
  if (Peek() == ']') {
    ++at_;
    --depth_;
    return !failed_;
  }
  while (true) {
    if (!on_element()) return Fail();
    const char next = Peek();
    if (next != ',' && next != ']') return Fail();
    ++at_;
    if (next == ']') {
      --depth_;
      return true;
    }
  }
}

// The text of the member `key` of an object's text (the last one, as JSON libraries take it); empty
// when it is not there or the text is not an object.
std::string_view FindMember(std::string_view object, std::string_view key);
// The member's value when it is a string; empty otherwise.
std::string StringMember(std::string_view object, std::string_view key);

}  // namespace sluice::meta
