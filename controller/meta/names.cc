#include "controller/meta/names.h"

#include <fmt/format.h>

#include <algorithm>

namespace sluice::meta {
namespace {

bool IsLowerAlnum(char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); }
bool IsAlnum(char c) { return IsLowerAlnum(c) || (c >= 'A' && c <= 'Z'); }

base::Status Bad(std::string_view text, std::string_view rule) {
  return base::InvalidArgument(fmt::format("\"{}\": {}", text.substr(0, 80), rule));
}

bool IsLabel(std::string_view text) {
  return !text.empty() && IsLowerAlnum(text.front()) && IsLowerAlnum(text.back()) &&
         std::all_of(text.begin(), text.end(), [](char c) { return IsLowerAlnum(c) || c == '-'; });
}

// The name part of a label key, and a label's value when it is not empty.
bool IsNamePart(std::string_view text) {
  return !text.empty() && IsAlnum(text.front()) && IsAlnum(text.back()) &&
         std::all_of(text.begin(), text.end(),
                     [](char c) { return IsAlnum(c) || c == '-' || c == '_' || c == '.'; });
}

}  // namespace

base::Status CheckDns1123Subdomain(std::string_view text) {
  if (text.size() > 253) return Bad(text, "must be no more than 253 characters");
  std::string_view rest = text;
  while (true) {
    const std::size_t dot = std::min(rest.find('.'), rest.size());
    if (!IsLabel(rest.substr(0, dot))) {
      return Bad(text,
                 "must be lower case letters, digits, '-' and '.', with a letter or digit at both "
                 "ends of each part");
    }
    if (dot == rest.size()) return base::OkStatus();
    rest.remove_prefix(dot + 1);
  }
}

base::Status CheckQualifiedName(std::string_view text) {
  const std::size_t slash = text.find('/');
  std::string_view name = text;
  if (slash != std::string_view::npos) {
    SLUICE_RETURN_IF_ERROR(CheckDns1123Subdomain(text.substr(0, slash)));
    name = text.substr(slash + 1);
  }
  if (name.size() > 63) return Bad(text, "the name part must be no more than 63 characters");
  if (!IsNamePart(name)) {
    return Bad(text,
               "the name part must be letters, digits, '-', '_' and '.', with a letter or digit at "
               "both ends");
  }
  return base::OkStatus();
}

base::Status CheckLabelValue(std::string_view text) {
  if (text.size() > 63) return Bad(text, "must be no more than 63 characters");
  if (!text.empty() && !IsNamePart(text)) {
    return Bad(
        text,
        "must be empty, or letters, digits, '-', '_' and '.', with a letter or digit at both "
        "ends");
  }
  return base::OkStatus();
}

}  // namespace sluice::meta
