// Status and StatusOr<T>: how a folder tells its caller that the world did not do what was asked.
//
// Used at every folder's edge instead of exceptions. A bug in our own code is not a Status: it is a
// SLUICE_CHECK (check.h). Codes are the canonical ones that gRPC and Abseil share. Two fields carry
// what a Kubernetes or S3 caller needs to act: `reason` (a CamelCase word such as "Conflict") and
// `retry_after`. Why not absl::Status: docs/adr/0001-own-status.md.
//
// Thread rule: values; copy freely.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "controller/base/check.h"

namespace sluice::base {

enum class Code : std::uint8_t {
  kOk = 0,
  kCancelled,
  kUnknown,
  kInvalidArgument,
  kDeadlineExceeded,
  kNotFound,
  kAlreadyExists,
  kPermissionDenied,
  kResourceExhausted,
  kFailedPrecondition,
  kAborted,
  kOutOfRange,
  kUnimplemented,
  kInternal,
  kUnavailable,
  kDataLoss,
  kUnauthenticated,
};

std::string_view CodeName(Code code);

class [[nodiscard]] Status {
 public:
  Status() = default;  // OK
  Status(Code code, std::string message) : code_(code), message_(std::move(message)) {}

  bool ok() const { return code_ == Code::kOk; }
  Code code() const { return code_; }
  const std::string& message() const { return message_; }
  // A CamelCase word for programs, empty when there is none.
  const std::string& reason() const { return reason_; }
  // How long the other side asked us to wait; zero when it did not say.
  std::chrono::milliseconds retry_after() const { return retry_after_; }

  Status&& WithReason(std::string reason) &&;
  Status&& WithRetryAfter(std::chrono::milliseconds wait) &&;
  // Same code, reason and wait; the message becomes "context: message".
  Status Annotate(std::string_view context) const;

  // "NotFound: sites.sluice.dev \"x\" not found", for logs and people.
  std::string ToString() const;

  friend bool operator==(const Status&, const Status&) = default;

 private:
  Code code_ = Code::kOk;
  std::chrono::milliseconds retry_after_{0};
  std::string message_;
  std::string reason_;
};

// True for failures that may pass by themselves (unavailable, deadline, aborted, exhausted,
// unknown).
bool IsRetryable(const Status& status);

inline Status OkStatus() { return {}; }
inline Status InvalidArgument(std::string message) {
  return {Code::kInvalidArgument, std::move(message)};
}
inline Status NotFound(std::string message) { return {Code::kNotFound, std::move(message)}; }
inline Status AlreadyExists(std::string message) {
  return {Code::kAlreadyExists, std::move(message)};
}
inline Status FailedPrecondition(std::string message) {
  return {Code::kFailedPrecondition, std::move(message)};
}
inline Status PermissionDenied(std::string message) {
  return {Code::kPermissionDenied, std::move(message)};
}
inline Status Unauthenticated(std::string message) {
  return {Code::kUnauthenticated, std::move(message)};
}
inline Status ResourceExhausted(std::string message) {
  return {Code::kResourceExhausted, std::move(message)};
}
inline Status OutOfRange(std::string message) { return {Code::kOutOfRange, std::move(message)}; }
inline Status Aborted(std::string message) { return {Code::kAborted, std::move(message)}; }
inline Status Cancelled(std::string message) { return {Code::kCancelled, std::move(message)}; }
inline Status DeadlineExceeded(std::string message) {
  return {Code::kDeadlineExceeded, std::move(message)};
}
inline Status Unavailable(std::string message) { return {Code::kUnavailable, std::move(message)}; }
inline Status Unimplemented(std::string message) {
  return {Code::kUnimplemented, std::move(message)};
}
inline Status Internal(std::string message) { return {Code::kInternal, std::move(message)}; }
inline Status DataLoss(std::string message) { return {Code::kDataLoss, std::move(message)}; }
// From errno: the code that fits, and "what: strerror".
Status FromErrno(int error, std::string_view what);

template <typename T>
class [[nodiscard]] StatusOr {
 public:
  StatusOr(Status status) : status_(std::move(status)) {  // NOLINT: implicit on purpose
    SLUICE_CHECK(!status_.ok());
  }
  StatusOr(T value) : value_(std::move(value)) {}  // NOLINT: implicit on purpose

  bool ok() const { return value_.has_value(); }
  const Status& status() const { return status_; }

  T& value() & {
    SLUICE_CHECK(ok());
    return *value_;
  }
  const T& value() const& {
    SLUICE_CHECK(ok());
    return *value_;
  }
  T&& value() && {
    SLUICE_CHECK(ok());
    return *std::move(value_);
  }
  T& operator*() & { return value(); }
  const T& operator*() const& { return value(); }
  T&& operator*() && { return std::move(*this).value(); }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }

 private:
  Status status_;
  std::optional<T> value_;
};

}  // namespace sluice::base

#define SLUICE_CONCAT_INNER(a, b) a##b
#define SLUICE_CONCAT(a, b) SLUICE_CONCAT_INNER(a, b)

// SLUICE_RETURN_IF_ERROR(expression of type Status);
#define SLUICE_RETURN_IF_ERROR(expr)                                                              \
  do {                                                                                            \
    if (::sluice::base::Status sluice_status = (expr); !sluice_status.ok()) return sluice_status; \
  } while (false)

// SLUICE_ASSIGN_OR_RETURN(auto x, expression of type StatusOr<X>);
#define SLUICE_ASSIGN_OR_RETURN(lhs, expr) \
  SLUICE_ASSIGN_OR_RETURN_INNER(SLUICE_CONCAT(sluice_or_, __LINE__), lhs, expr)
#define SLUICE_ASSIGN_OR_RETURN_INNER(tmp, lhs, expr) \
  auto tmp = (expr);                                  \
  if (!tmp.ok()) return tmp.status();                 \
  lhs = std::move(tmp).value()
