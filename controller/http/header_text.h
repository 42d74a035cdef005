// Small things that answers' and requests' heads have in common (RFC 9110, 5.6). Pure.
#pragma once

#include <algorithm>
#include <array>
#include <string_view>

namespace sluice::http {

inline char LowerAscii(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; }

inline bool EqualNoCase(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](char x, char y) { return LowerAscii(x) == LowerAscii(y); });
}

inline std::string_view TrimBlanks(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

// What names of headers and methods are made of.
inline constexpr std::array<bool, 256> kTokenChars = [] {
  std::array<bool, 256> is{};
  for (unsigned c = 'a'; c <= 'z'; ++c) is[c] = is[c - 32] = true;
  for (unsigned c = '0'; c <= '9'; ++c) is[c] = true;
  for (const char c : std::string_view("!#$%&'*+-.^_`|~")) is[static_cast<unsigned char>(c)] = true;
  return is;
}();

inline bool IsToken(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) {
    return kTokenChars[static_cast<unsigned char>(c)];
  });
}

}  // namespace sluice::http
