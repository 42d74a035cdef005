// Who waits how long after the API server refused a request for want of room: 429 or 503 with
// Retry-After. One refusal speaks to all who would run into the next one:
//
//   the answer says                           held until then are
//   429 as text, with a priority level        requests of kinds last seen in that level
//   a Status object: the resource's handler   requests of the same kind (a watch cache that is not
//     refused, not the server's gatekeeper    ready, say)
//   anything else: a proxy, a server that     all requests
//     shuts down or knows no levels
//
// A kind is verb and resource: what API priority and fairness sorts by, namespaces aside. Every
// answer tells its level (X-Kubernetes-PF-PriorityLevel-UID); a kind whose level is not known yet
// is not held by one. Never held by what others were told: requests for Leases, because a leader
// that loses its Lease costs the server far more than one more request. A call that was refused
// itself always waits as it was asked, and watches that are open go on.
//
// Calls that wait together are let go kReleaseSpacing apart: all at one instant would be refused
// again. Holds are at most kMaxHold long, levels and kinds at most as many as limits.h says: levels
// beyond are one, "other"; kinds beyond are held only with everybody. Thread rule: none of its own;
// the owner guards it. No I/O, no clock.
#pragma once

#include <map>
#include <string>
#include <string_view>

#include "controller/base/clock.h"

namespace sluice::client {

class Throttle {
 public:
  struct Hold {
    base::MonoTime until{};
    int code = 0;       // HTTP status that asked for it
    std::string level;  // "none": the server told no priority level
  };

  // "PATCH /apis/sluice.dev/v1alpha1/sites", "WATCH …"; empty when the path is no kind's.
  static std::string KindOf(std::string_view method, std::string_view target);

  // What holds requests of this kind longest, perhaps until a time that is past; nullptr: nothing.
  const Hold* HoldOf(const std::string& kind) const;
  // Of every answer: the level's header, perhaps empty. Returns the level's name as Hold has it.
  const std::string& Heard(const std::string& kind, std::string_view level);
  // Of an answer that refused, after Heard. `by_handler`: its body is a Status object.
  void Refused(const std::string& kind, const Hold& asked, bool by_handler, base::MonoTime now);

 private:
  struct Kind {
    std::string level;
    Hold hold;
  };
  const std::string& NameOf(std::string_view level);

  Hold all_;
  std::map<std::string, Hold, std::less<>> levels_;
  std::map<std::string, Kind> kinds_;
};

}  // namespace sluice::client
