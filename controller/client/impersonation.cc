#include "controller/client/impersonation.h"

#include "controller/http/control_bytes.h"
#include "controller/http/url.h"

namespace sluice::client {

std::string ImpersonateExtra(std::string key) {
  for (char& c : key) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + ('a' - 'A'));
  }
  return "Impersonate-Extra-" + http::PercentEncode(key);
}

bool IsHeaderSafe(std::string_view value) {
  constexpr std::string_view kBlanks = " \t";
  return !value.empty() && kBlanks.find(value.front()) == kBlanks.npos &&
         kBlanks.find(value.back()) == kBlanks.npos && !http::HasControl(value);
}

}  // namespace sluice::client
