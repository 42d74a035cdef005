// What the API server's refusals mean: HTTP status and Status object to base::Status. Pure.
#pragma once

#include <chrono>
#include <string_view>

#include "controller/base/status.h"

namespace sluice::client {

// Of an answer that is not 2xx. `retry_after` is the header's text, seconds.
base::Status ErrorFromAnswer(int http_status, std::string_view retry_after, std::string_view body);
// Of the Status object of a watch's ERROR event.
base::Status ErrorFromStatusObject(std::string_view json);

// The header's seconds, at most kMaxRetryAfter (limits.h); negative when it is absent or a date.
std::chrono::seconds ParseRetryAfter(std::string_view text);

}  // namespace sluice::client
