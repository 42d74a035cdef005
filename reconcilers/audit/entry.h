// One line of the audit log: what is recorded, its place in the chain, and its text.
//
// A line is a JSON object in this order of keys, without spaces, ended by a newline:
//   {"seq":7,"epoch":3,"time":"…","type":"…","subject":"…","actor":"…","data":{…},
//    "prev":"<64 hex>","hash":"<64 hex>"}
// `hash` is the SHA-256 of every byte of the line before `,"hash"`; `prev` is the hash of the line
// before, across files. `seq` counts lines from 1 and goes on across files. A file holds lines of
// one fencing epoch; an epoch's first line is of type Opened and its `prev` is the head that the
// epoch began from (64 zeros for the first line ever). An epoch goes on in another file when one is
// large. Times are UTC with microseconds.
//
// An entry tells what is about to be done. After a crash the same thing may be recorded again; the
// last entry counts. Pure; any thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "controller/base/clock.h"
#include "controller/base/status.h"

namespace sluice::audit {

// Types in use; others may join, as CamelCase words.
inline constexpr const char* kOpened = "Opened";    // an epoch's first line
inline constexpr const char* kVerdict = "Verdict";  // a gate's answer changed; replayable
inline constexpr const char* kPromotionStarted = "PromotionStarted";
inline constexpr const char* kStageMoved = "StageMoved";
inline constexpr const char* kPromotionEnded = "PromotionEnded";
inline constexpr const char* kRetired = "Retired";  // files are about to be removed by retention

struct Entry {
  std::string type;
  std::string subject;  // "Site/phoenix"
  std::string actor;    // whoever asked for it: an authenticated user, or "controller"
  std::string data;     // a JSON object; no secrets
  friend bool operator==(const Entry&, const Entry&) = default;
};

// Where a chain stands. `seq` 0: nothing was ever written.
struct Head {
  std::int64_t epoch = 0;
  std::uint64_t seq = 0;
  std::string hash = std::string(64, '0');
  friend bool operator==(const Head&, const Head&) = default;
};

struct Line {
  Head head;         // of this line: its epoch, seq and hash
  std::string prev;  // the hash of the line before
  base::WallTime time;
  Entry entry;
  friend bool operator==(const Line&, const Line&) = default;
};

// The line that follows `prev` in `epoch`, as text without the newline; `head` becomes its head.
// Errors: InvalidArgument (data is no JSON object, a name is empty or too long);
// ResourceExhausted (longer than kMaxLineBytes).
base::StatusOr<std::string> FormatLine(const Entry& entry, std::int64_t epoch, base::WallTime time,
                                       const Head& prev, Head& head);

// `text` without the newline. Errors: InvalidArgument, in words that tell a changed line from one
// that never was a line of this log.
base::StatusOr<Line> ParseLine(std::string_view text);

// "audit-0000000003-000000000057.jsonl": sorted by name, files are in the order of the chain.
std::string FileName(std::int64_t epoch, std::uint64_t first_seq);
bool IsFileName(std::string_view name);
// The epoch in such a name.
std::int64_t EpochOfFileName(std::string_view name);

}  // namespace sluice::audit
