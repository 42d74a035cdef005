// How an API server is asked to take us for somebody else: a header for each thing it is to
// believe, as client-go sends them (transport/round_trippers.go). Pure.
#pragma once

#include <string>
#include <string_view>

namespace sluice::client {

inline constexpr const char* kImpersonateUser = "Impersonate-User";
inline constexpr const char* kImpersonateUid = "Impersonate-Uid";
inline constexpr const char* kImpersonateGroup = "Impersonate-Group";
// The header for one key of what else is known of a user. The server reads keys in small letters.
std::string ImpersonateExtra(std::string key);

// Whether a header keeps `value` as it is: it is text in one line without blanks around it. What is
// not would name somebody else.
bool IsHeaderSafe(std::string_view value);

}  // namespace sluice::client
