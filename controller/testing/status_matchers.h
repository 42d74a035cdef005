// gmock matchers for base::Status and base::StatusOr<T>.
#pragma once

#include <gmock/gmock.h>

#include "controller/base/status.h"

namespace sluice::base {

inline void PrintTo(const Status& status, std::ostream* out) { *out << status.ToString(); }
template <typename T>
void PrintTo(const StatusOr<T>& value, std::ostream* out) {
  *out << (value.ok() ? "a value" : value.status().ToString());
}

}  // namespace sluice::base

namespace sluice::testing_kit {

inline const base::Status& StatusOf(const base::Status& status) { return status; }
template <typename T>
const base::Status& StatusOf(const base::StatusOr<T>& value) {
  return value.status();
}

MATCHER(IsOk, negation ? "is an error" : "is OK") {
  *result_listener << StatusOf(arg).ToString();
  return StatusOf(arg).ok();
}

MATCHER_P(HasCode, code, "has code " + std::string(base::CodeName(code))) {
  *result_listener << StatusOf(arg).ToString();
  return StatusOf(arg).code() == code;
}

MATCHER_P2(HasError, code, message,
           "has code " + std::string(base::CodeName(code)) + " and a fitting message") {
  *result_listener << StatusOf(arg).ToString();
  return StatusOf(arg).code() == code &&
         ::testing::ExplainMatchResult(message, StatusOf(arg).message(), result_listener);
}

}  // namespace sluice::testing_kit
