// The contract between the runtime and a reconciler, whole.
//
// A reconciler is asked to make the world match the object named by the request, whatever happened:
// it gets a key, never an event. It reads caches, plans purely, writes by server-side apply, and
// says when it wants to be asked again. Guarantees: at most one call per key at a time; a change
// seen while it runs leads to one more run; calls come only while this replica leads (unless the
// controller was registered as one that needs no leader).
//
// Thread rule: Reconcile runs on several workers at once, for different keys; what a reconciler
// keeps between calls, it guards.
//
// Errors returned are retried with per-key exponential back-off, except Terminal ones, which wait
// for the next change. Exceptions are caught at the edge and become errors. `stop` is requested
// when the process stops or leadership is lost: return soon, write nothing more.
#pragma once

#include <chrono>
#include <optional>
#include <stop_token>

#include "controller/base/status.h"
#include "controller/meta/resource.h"

namespace sluice::reconcile {

struct Request {
  meta::Key key;
};

// What should happen next with this key.
class Result {
 public:
  static Result Done() { return Result(Kind::kDone, {}, {}); }
  // Look again after this long, or earlier when something changes.
  static Result After(std::chrono::milliseconds wait) { return Result(Kind::kAfter, wait, {}); }
  // Not now: as After, but says nothing of how the last look went: failures go on being counted,
  // the last error stays.
  static Result Later(std::chrono::milliseconds wait) { return Result(Kind::kLater, wait, {}); }
  static Result Retry(base::Status error) { return Result(Kind::kRetry, {}, std::move(error)); }
  static Result Terminal(base::Status error) {
    return Result(Kind::kTerminal, {}, std::move(error));
  }

  // What most failures mean: InvalidArgument is the object's own and waits for its change, others
  // are tried again; OK is done.
  static Result Of(base::Status status) {
    if (status.ok()) return Done();
    const bool bad = status.code() == base::Code::kInvalidArgument;
    return bad ? Terminal(std::move(status)) : Retry(std::move(status));
  }

  enum class Kind { kDone, kAfter, kLater, kRetry, kTerminal };
  Kind kind() const { return kind_; }
  std::chrono::milliseconds wait() const { return wait_; }
  const base::Status& error() const { return error_; }

 private:
  Result(Kind kind, std::chrono::milliseconds wait, base::Status error)
      : kind_(kind), wait_(wait), error_(std::move(error)) {}
  Kind kind_;
  std::chrono::milliseconds wait_;
  base::Status error_;
};

class Reconciler {
 public:
  virtual ~Reconciler() = default;
  virtual Result Reconcile(const Request& request, std::stop_token stop) = 0;
};

}  // namespace sluice::reconcile
