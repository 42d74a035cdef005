#include "datapath/s3/uri.h"

namespace sluice::s3 {
namespace internal {
namespace {
int HexDigit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}
}  // namespace

int EscapedByte(std::string_view raw, std::size_t at) {
  if (raw.size() - at < 3) return -1;
  const int high = HexDigit(raw[at + 1]);
  const int low = HexDigit(raw[at + 2]);
  return high < 0 || low < 0 ? -1 : high * 16 + low;
}
}  // namespace internal

using internal::EscapedByte;
using internal::kUriClasses;

bool IsCanonical(std::string_view raw, UriPart part) {
  for (std::size_t i = 0; i < raw.size(); ++i) {
    const std::uint8_t kind = kUriClasses[static_cast<unsigned char>(raw[i])];
    if (kind == internal::kUnreserved || (kind == internal::kSlash && part == UriPart::kPath))
      continue;
    if (kind != internal::kPercent) return false;
    const int byte = EscapedByte(raw, i);
    if (byte < 0 || kUriClasses[static_cast<std::size_t>(byte)] == internal::kUnreserved)
      return false;
    if (raw[i + 1] >= 'a' || raw[i + 2] >= 'a') return false;  // lower-case hex
    i += 2;
  }
  return true;
}

std::optional<std::string_view> Decode(std::string_view raw, UriPart part, std::span<char> out) {
  const bool blanks = part == UriPart::kQuery;
  if (raw.find('%') == std::string_view::npos &&
      (!blanks || raw.find('+') == std::string_view::npos))
    return raw;
  std::size_t size = 0;
  for (std::size_t i = 0; i < raw.size(); ++i) {
    if (size == out.size()) return std::nullopt;
    char c = raw[i];
    if (c == '%') {
      const int byte = EscapedByte(raw, i);
      if (byte < 0) return std::nullopt;
      c = static_cast<char>(byte);
      i += 2;
    } else if (c == '+' && blanks) {
      c = ' ';
    }
    out[size++] = c;
  }
  return std::string_view(out.data(), size);
}

std::optional<std::string_view> Encode(std::string_view bytes, UriPart part, std::span<char> out) {
  std::size_t size = 0;
  for (const char c : bytes) {
    const auto byte = static_cast<unsigned char>(c);
    const std::uint8_t kind = kUriClasses[byte];
    if (kind == internal::kUnreserved || (kind == internal::kSlash && part == UriPart::kPath)) {
      if (size == out.size()) return std::nullopt;
      out[size++] = c;
    } else {
      if (out.size() - size < 3) return std::nullopt;
      out[size++] = '%';
      out[size++] = internal::kUpperHex[byte >> 4];
      out[size++] = internal::kUpperHex[byte & 15];
    }
  }
  return std::string_view(out.data(), size);
}

bool EqualsDecoded(std::string_view raw, std::string_view plain) {
  if (raw == plain) return raw.find_first_of("%+") == std::string_view::npos;
  std::size_t at = 0;
  for (std::size_t i = 0; i < raw.size(); ++i, ++at) {
    if (at == plain.size()) return false;
    int byte = static_cast<unsigned char>(raw[i]);
    if (raw[i] == '%') {
      byte = EscapedByte(raw, i);
      if (byte < 0) return false;
      i += 2;
    } else if (raw[i] == '+') {
      byte = ' ';
    }
    if (byte != static_cast<unsigned char>(plain[at])) return false;
  }
  return at == plain.size();
}

}  // namespace sluice::s3
