#include "controller/base/status.h"

#include <fmt/format.h>

#include <array>
#include <cerrno>
#include <cstring>

namespace sluice::base {

std::string_view CodeName(Code code) {
  static constexpr std::array<std::string_view, 17> kNames = {
      "OK",       "Cancelled",      "Unknown",          "InvalidArgument",   "DeadlineExceeded",
      "NotFound", "AlreadyExists",  "PermissionDenied", "ResourceExhausted", "FailedPrecondition",
      "Aborted",  "OutOfRange",     "Unimplemented",    "Internal",          "Unavailable",
      "DataLoss", "Unauthenticated"};
  return kNames.at(static_cast<std::size_t>(code));
}

Status&& Status::WithReason(std::string reason) && {
  reason_ = std::move(reason);
  return std::move(*this);
}

Status&& Status::WithRetryAfter(std::chrono::milliseconds wait) && {
  retry_after_ = wait;
  return std::move(*this);
}

Status Status::Annotate(std::string_view context) const {
  if (ok()) return *this;
  Status out = *this;
  out.message_ = fmt::format("{}: {}", context, message_);
  return out;
}

std::string Status::ToString() const {
  if (ok()) return "OK";
  return fmt::format("{}: {}", reason_.empty() ? CodeName(code_) : std::string_view(reason_),
                     message_);
}

bool IsRetryable(const Status& status) {
  switch (status.code()) {
    case Code::kUnavailable:
    case Code::kDeadlineExceeded:
    case Code::kAborted:
    case Code::kResourceExhausted:
    case Code::kUnknown:
    case Code::kInternal:
      return true;
    default:
      return false;
  }
}

namespace {
Code CodeOfErrno(int error) {
  switch (error) {
    case 0:
      return Code::kOk;
    case ENOENT:
      return Code::kNotFound;
    case EEXIST:
      return Code::kAlreadyExists;
    case EACCES:
    case EPERM:
    case EROFS:
      return Code::kPermissionDenied;
    case EINVAL:
    case ENAMETOOLONG:
      return Code::kInvalidArgument;
    case ENOSPC:
    case EDQUOT:
    case EMFILE:
    case ENFILE:
    case ENOMEM:
      return Code::kResourceExhausted;
    case ETIMEDOUT:
      return Code::kDeadlineExceeded;
    case ECANCELED:
      return Code::kCancelled;
    case EIO:
      return Code::kDataLoss;
    case EAGAIN:
    case ECONNREFUSED:
    case ECONNRESET:
    case EPIPE:
    case EHOSTUNREACH:
    case ENETUNREACH:
      return Code::kUnavailable;
    default:
      return Code::kUnknown;
  }
}
}  // namespace

Status FromErrno(int error, std::string_view what) {
  return {CodeOfErrno(error), fmt::format("{}: {}", what, std::strerror(error))};
}

}  // namespace sluice::base
