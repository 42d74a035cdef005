// What a Lease says and what a candidate should do about it. Pure.
//
// Source of the protocol: client-go tools/leaderelection. Time on the Lease is for people: whether
// it has run out is judged by our own monotonic clock, from the moment we saw its content change,
// so clocks of replicas need not agree.
#pragma once

#include <chrono>
#include <nlohmann/json_fwd.hpp>
#include <string>

#include "controller/base/clock.h"
#include "controller/meta/resource.h"

namespace sluice::leader {

const meta::Resource& LeaseResource();

// The part of a Lease's spec that matters. Fields of a wrong type read as absent: a Lease edited by
// hand must not stop an election.
struct Record {
  std::string holder;
  std::chrono::milliseconds duration{0};
  std::string acquire_time;
  std::string renew_time;
  std::int64_t transitions = 0;
  std::string resource_version;

  // Equal in what a holder writes when it renews; someone else's label changes nothing.
  bool SameHold(const Record& other) const {
    return holder == other.holder && duration == other.duration &&
           acquire_time == other.acquire_time && renew_time == other.renew_time &&
           transitions == other.transitions;
  }
};

Record ReadRecord(const nlohmann::json& lease);

struct Terms {
  std::string identity;
  std::chrono::milliseconds duration{15000};
};

// How long others must leave the holder alone: what it promised itself, but never less than what we
// hold ourselves to, so that a Lease edited by hand cannot make two leaders.
base::Duration HoldOf(const Record& record, const Terms& terms);

enum class Step { kTake, kRenew, kWait };
struct Decision {
  Step step = Step::kWait;
  base::MonoTime until{};  // for kWait: when the hold we saw runs out
};
Decision Decide(const Record& record, base::MonoTime seen_at, base::MonoTime now,
                const Terms& terms);

// The Lease to write: `lease` (empty object when there is none) with our hold on it; every other
// field is kept. `now` is wall time.
nlohmann::json WithHold(nlohmann::json lease, const meta::Key& key, const Terms& terms,
                        base::WallTime now);
// The Lease given back: no holder, one second long, as client-go leaves it.
nlohmann::json Released(nlohmann::json lease, base::WallTime now);

}  // namespace sluice::leader
