#include "controller/client/api_error.h"

#include <fmt/format.h>

#include <charconv>
#include <nlohmann/json.hpp>

#include "controller/client/limits.h"

namespace sluice::client {
namespace {

using base::Code;

Code CodeOf(int http_status, std::string_view reason) {
  switch (http_status) {
    case 400:
    case 422:
      return Code::kInvalidArgument;
    case 401:
      return Code::kUnauthenticated;
    case 403:
      return Code::kPermissionDenied;
    case 404:
      return Code::kNotFound;
    case 405:
    case 406:
    case 415:
    case 501:
      return Code::kUnimplemented;
    case 408:
    case 504:
      return Code::kDeadlineExceeded;
    case 409:
      return reason == "AlreadyExists" ? Code::kAlreadyExists : Code::kAborted;
    case 410:
      return Code::kOutOfRange;
    case 412:
      return Code::kFailedPrecondition;
    case 413:
      return Code::kInvalidArgument;
    case 429:
      return Code::kResourceExhausted;
    case 500:
      return Code::kInternal;
    default:
      return http_status > 500 ? Code::kUnavailable : Code::kUnknown;
  }
}

// The API's word where the body is no Status, as proxies and panics answer.
std::string_view ReasonOf(int http_status) {
  switch (http_status) {
    case 400:
      return "BadRequest";
    case 401:
      return "Unauthorized";
    case 403:
      return "Forbidden";
    case 404:
      return "NotFound";
    case 405:
      return "MethodNotAllowed";
    case 406:
      return "NotAcceptable";
    case 409:
      return "Conflict";
    case 410:
      return "Expired";
    case 413:
      return "RequestEntityTooLarge";
    case 415:
      return "UnsupportedMediaType";
    case 422:
      return "Invalid";
    case 429:
      return "TooManyRequests";
    case 500:
      return "InternalError";
    case 503:
      return "ServiceUnavailable";
    case 504:
      return "Timeout";
    default:
      return "";
  }
}

std::string TextOf(const nlohmann::json& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && found->is_string() ? found->get<std::string>() : std::string();
}

std::int64_t NumberOf(const nlohmann::json& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && found->is_number_integer() ? found->get<std::int64_t>() : 0;
}

std::chrono::seconds Believed(std::int64_t seconds) {
  return std::min(std::chrono::seconds(seconds), kMaxRetryAfter);
}

// `http_status` 0 takes the code from the body.
base::Status Build(int http_status, std::chrono::seconds retry_after, std::string_view body) {
  const nlohmann::json status = nlohmann::json::parse(body, nullptr, false);
  const bool typed = status.is_object() && TextOf(status, "kind") == "Status";
  std::string reason;
  std::string message;
  if (typed) {
    reason = TextOf(status, "reason");
    message = TextOf(status, "message");
    if (http_status == 0) http_status = static_cast<int>(NumberOf(status, "code"));
    if (const auto details = status.find("details");
        details != status.end() && details->is_object() && retry_after.count() < 0) {
      const std::int64_t seconds = NumberOf(*details, "retryAfterSeconds");
      if (seconds > 0) retry_after = Believed(seconds);
    }
  } else {
    message = body.substr(0, 512);
  }
  if (reason.empty()) reason = ReasonOf(http_status);
  if (message.empty()) message = fmt::format("HTTP status {}", http_status);
  if (message.size() > kMaxErrorBytes) message.resize(kMaxErrorBytes);
  const Code code = CodeOf(http_status, reason);
  return base::Status(code, std::move(message))
      .WithReason(std::move(reason))
      .WithRetryAfter(std::max(retry_after, std::chrono::seconds(0)));
}

}  // namespace

std::chrono::seconds ParseRetryAfter(std::string_view text) {
  unsigned seconds = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), seconds);
  if (text.empty() || error != std::errc() || end != text.data() + text.size()) {
    return std::chrono::seconds(-1);
  }
  return Believed(seconds);
}

base::Status ErrorFromAnswer(int http_status, std::string_view retry_after, std::string_view body) {
  return Build(http_status, ParseRetryAfter(retry_after), body);
}

base::Status ErrorFromStatusObject(std::string_view json) {
  return Build(0, std::chrono::seconds(-1), json);
}

}  // namespace sluice::client
