#include "controller/leader/lease.h"

#include <algorithm>
#include <limits>
#include <nlohmann/json.hpp>

#include "controller/base/time_format.h"

namespace sluice::leader {

using nlohmann::json;

namespace {

constexpr std::int64_t kMaxLeaseSeconds = 3600;
// leaseTransitions is an int32; the API server refuses more.
constexpr std::int64_t kMaxTransitions = std::numeric_limits<std::int32_t>::max();

std::string Text(const json& object, const char* name) {
  const auto found = object.find(name);
  return found != object.end() && found->is_string() ? found->get<std::string>() : "";
}

std::int64_t Number(const json& object, const char* name) {
  const auto found = object.find(name);
  return found != object.end() && found->is_number_integer() ? found->get<std::int64_t>() : 0;
}

const json& Child(const json& object, const char* name) {
  static const json kNone = json::object();
  if (!object.is_object()) return kNone;
  const auto found = object.find(name);
  return found != object.end() && found->is_object() ? *found : kNone;
}

// The member to write to; what is there instead of an object is replaced.
json& ObjectAt(json& parent, const char* name) {
  if (!parent.is_object()) parent = json::object();
  json& child = parent[name];
  if (!child.is_object()) child = json::object();
  return child;
}

}  // namespace

const meta::Resource& LeaseResource() {
  static const meta::Resource resource{"coordination.k8s.io", "v1", "Lease", "leases", true};
  return resource;
}

Record ReadRecord(const json& lease) {
  const json& spec = Child(lease, "spec");
  Record record;
  record.holder = Text(spec, "holderIdentity");
  record.duration = std::chrono::seconds(
      std::clamp<std::int64_t>(Number(spec, "leaseDurationSeconds"), 0, kMaxLeaseSeconds));
  record.acquire_time = Text(spec, "acquireTime");
  record.renew_time = Text(spec, "renewTime");
  record.transitions =
      std::clamp<std::int64_t>(Number(spec, "leaseTransitions"), 0, kMaxTransitions);
  record.resource_version = Text(Child(lease, "metadata"), "resourceVersion");
  return record;
}

base::Duration HoldOf(const Record& record, const Terms& terms) {
  return std::max<base::Duration>(record.duration, terms.duration);
}

Decision Decide(const Record& record, base::MonoTime seen_at, base::MonoTime now,
                const Terms& terms) {
  if (record.holder == terms.identity) return {Step::kRenew, {}};
  if (record.holder.empty()) return {Step::kTake, {}};
  const base::MonoTime until = seen_at + HoldOf(record, terms);
  if (now >= until) return {Step::kTake, {}};
  return {Step::kWait, until};
}

json WithHold(json lease, const meta::Key& key, const Terms& terms, base::WallTime now) {
  const Record before = ReadRecord(lease);
  json& spec = ObjectAt(lease, "spec");
  json& metadata = ObjectAt(lease, "metadata");
  metadata["namespace"] = key.ns;
  metadata["name"] = key.name;
  lease["apiVersion"] = "coordination.k8s.io/v1";
  lease["kind"] = "Lease";
  const std::string stamp = base::FormatRfc3339Micro(now);
  if (before.holder != terms.identity || before.acquire_time.empty()) {
    spec["acquireTime"] = stamp;
    const bool first = before.resource_version.empty();
    spec["leaseTransitions"] = first ? 0 : std::min(before.transitions + 1, kMaxTransitions);
  }
  spec["holderIdentity"] = terms.identity;
  spec["leaseDurationSeconds"] =
      std::max<std::int64_t>(1, std::chrono::ceil<std::chrono::seconds>(terms.duration).count());
  spec["renewTime"] = stamp;
  return lease;
}

json Released(json lease, base::WallTime now) {
  json& spec = ObjectAt(lease, "spec");
  spec["holderIdentity"] = "";
  spec["leaseDurationSeconds"] = 1;
  spec["renewTime"] = base::FormatRfc3339Micro(now);
  spec["acquireTime"] = base::FormatRfc3339Micro(now);
  return lease;
}

}  // namespace sluice::leader
