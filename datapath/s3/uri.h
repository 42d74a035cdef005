// Percent-encoding as S3 and SigV4 use it (RFC 3986; unreserved characters stand for themselves).
//
// A path is decoded once; '+' in it is a plus. In a query '+' is a blank, as form encoding has it.
// Pure; any thread; no allocation.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

namespace sluice::s3 {

enum class UriPart : std::uint8_t { kPath, kQuery };

namespace internal {
enum UriClass : std::uint8_t { kEncode, kUnreserved, kSlash, kPlus, kPercent };
constexpr std::array<std::uint8_t, 256> MakeUriClasses() {
  std::array<std::uint8_t, 256> t{};
  for (int c = '0'; c <= '9'; ++c) t[static_cast<std::size_t>(c)] = kUnreserved;
  for (int c = 'a'; c <= 'z'; ++c) t[static_cast<std::size_t>(c)] = kUnreserved;
  for (int c = 'A'; c <= 'Z'; ++c) t[static_cast<std::size_t>(c)] = kUnreserved;
  for (const char c : {'-', '.', '_', '~'}) t[static_cast<unsigned char>(c)] = kUnreserved;
  t['/'] = kSlash;
  t['+'] = kPlus;
  t['%'] = kPercent;
  return t;
}
inline constexpr std::array<std::uint8_t, 256> kUriClasses = MakeUriClasses();
inline constexpr char kUpperHex[] = "0123456789ABCDEF";
// The byte that "%XX" at `at` stands for; -1 when it is malformed.
int EscapedByte(std::string_view raw, std::size_t at);
}  // namespace internal

// True when `raw` is already in the form that SigV4 signs, and so equals its canonical form.
bool IsCanonical(std::string_view raw, UriPart part);

// Gives the canonical form (decoded once, encoded again with upper-case hex) to sink.Put() in runs.
// A slash that came as %2F stays %2F: it belongs to a name and separates nothing.
// False when an escape is malformed.
template <typename Sink>
bool PutCanonical(std::string_view raw, UriPart part, Sink& sink) {
  using namespace internal;
  std::size_t run = 0;
  std::size_t i = 0;
  const auto escape = [&sink](int byte) {
    const char text[3] = {'%', kUpperHex[byte >> 4], kUpperHex[byte & 15]};
    sink.Put(std::string_view(text, 3));
  };
  while (i < raw.size()) {
    const auto c = static_cast<unsigned char>(raw[i]);
    const std::uint8_t kind = kUriClasses[c];
    if (kind == kUnreserved || (kind == kSlash && part == UriPart::kPath)) {
      ++i;
      continue;
    }
    sink.Put(raw.substr(run, i - run));
    if (kind == kPercent) {
      const int byte = EscapedByte(raw, i);
      if (byte < 0) return false;
      if (kUriClasses[static_cast<std::size_t>(byte)] == kUnreserved) {
        const char plain = static_cast<char>(byte);
        sink.Put(std::string_view(&plain, 1));
      } else {
        escape(byte);
      }
      i += 3;
    } else {
      escape(kind == kPlus && part == UriPart::kQuery ? ' ' : c);
      ++i;
    }
    run = i;
  }
  sink.Put(raw.substr(run));
  return true;
}

// Decodes into `out`. Without an escape the answer is `raw` itself and nothing is copied.
// nullopt: malformed, or longer than `out`.
std::optional<std::string_view> Decode(std::string_view raw, UriPart part, std::span<char> out);
// Encodes bytes; slashes are kept in a path. nullopt: longer than `out`.
std::optional<std::string_view> Encode(std::string_view bytes, UriPart part, std::span<char> out);
// decoded(raw) == plain, without a buffer. A malformed escape equals nothing.
bool EqualsDecoded(std::string_view raw, std::string_view plain);

}  // namespace sluice::s3
