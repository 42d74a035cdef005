// What a reconciler needs of the audit log. Everything that moves something goes through it first:
//
//   if (!audit.Ready().ok()) … judge with Context::audit_writable = false
//   status = audit.Append({entry}, Anchor::kNow);   // before the action
//   if (!status.ok()) … hold with AuditUnavailable, do nothing
//
// Thread rule: any thread; calls block for a write and its sync (kNow: for a call to the API
// server).
#pragma once

#include <string>
#include <vector>

#include "controller/base/status.h"
#include "reconcilers/audit/entry.h"

namespace sluice::audit {

enum class Anchor {
  kLater,  // in the next checkpoint (kCheckpointEvery): verdicts
  kNow,    // in a checkpoint before this returns: what moves a stage, decides or waives
};

class Appender {
 public:
  virtual ~Appender() = default;
  // OK when the entries are on disk, in this order, all of them. Otherwise none counts, and what
  // they record must not be done. Errors: Unavailable (cannot be written), InvalidArgument and
  // ResourceExhausted (an entry that can never be written), Aborted (another replica leads).
  virtual base::Status Append(const std::vector<Entry>& entries, Anchor anchor) = 0;
  // Whether entries could be written now, as far as is known; repairs what it can.
  virtual base::Status Ready() = 0;
  // The hash of the last line; empty while there is none.
  virtual std::string HeadHash() const = 0;
};

// Takes everything and keeps nothing: for tests of other things.
class NoAudit final : public Appender {
 public:
  base::Status Append(const std::vector<Entry>&, Anchor) override { return base::OkStatus(); }
  base::Status Ready() override { return base::OkStatus(); }
  std::string HeadHash() const override { return {}; }
};

}  // namespace sluice::audit
