// Times and durations as Kubernetes objects and people write them. Pure.
#pragma once

#include <string>
#include <string_view>

#include "controller/base/clock.h"
#include "controller/base/status.h"

namespace sluice::base {

// RFC 3339 as Kubernetes writes it: "2026-12-02T10:00:00Z" (seconds, UTC).
std::string FormatRfc3339(WallTime time);
// With microseconds, for Lease's MicroTime: "2026-12-02T10:00:00.000000Z".
std::string FormatRfc3339Micro(WallTime time);
// Accepts any RFC 3339 date-time: fraction of up to nine digits, Z or an offset.
// Errors: InvalidArgument naming what was wrong.
StatusOr<WallTime> ParseRfc3339(std::string_view text);

// Prometheus-style durations: "90s", "5m", "1h30m", "30d", "2w", "500ms"; units descending.
// Errors: InvalidArgument (empty, unknown unit, overflow, zero is allowed as "0s").
StatusOr<Duration> ParseDuration(std::string_view text);
std::string FormatDuration(Duration duration);  // "1h30m", the inverse of ParseDuration, ms steps
// For people, two largest units: "4 d 3 h", "38 s"; a second unit of zero is left out: "14 d".
std::string HumanDuration(Duration duration);

}  // namespace sluice::base
