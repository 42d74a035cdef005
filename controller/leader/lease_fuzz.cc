// A Lease of any content: no exception, no hold shorter than our own terms; taking it makes it ours
// once, and what is nobody's business but others' stays in it.
#include <cstdint>
#include <nlohmann/json.hpp>

#include "controller/base/check.h"
#include "controller/leader/lease.h"

using namespace sluice;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using nlohmann::json;
  const json lease = json::parse(data, data + size, nullptr, /*allow_exceptions=*/false);
  if (lease.is_discarded()) return 0;
  const leader::Terms terms{.identity = "us", .duration = std::chrono::seconds(15)};
  const leader::Record record = leader::ReadRecord(lease);
  SLUICE_CHECK(leader::HoldOf(record, terms) >= base::Duration(terms.duration));
  const base::MonoTime seen(std::chrono::hours(1));
  const leader::Decision soon = leader::Decide(record, seen, seen, terms);
  SLUICE_CHECK((soon.step == leader::Step::kWait) ==
               (!record.holder.empty() && record.holder != "us"));
  const leader::Decision late =
      leader::Decide(record, seen, seen + leader::HoldOf(record, terms), terms);
  SLUICE_CHECK(late.step != leader::Step::kWait);

  const base::WallTime now(std::chrono::seconds(1'800'000'000));
  const json held = leader::WithHold(lease, {"system", "lease"}, terms, now);
  const leader::Record ours = leader::ReadRecord(held);
  SLUICE_CHECK(ours.holder == "us" && ours.duration == terms.duration);
  SLUICE_CHECK(ours.resource_version == record.resource_version);
  SLUICE_CHECK(
      ours.SameHold(leader::ReadRecord(leader::WithHold(held, {"system", "lease"}, terms, now))));
  const json fields = lease.is_object() ? lease : json::object();
  for (const auto& [name, value] : fields.items())
    if (name != "apiVersion" && name != "kind" && name != "metadata" && name != "spec")
      SLUICE_CHECK(held.at(name) == value);
  SLUICE_CHECK(leader::ReadRecord(leader::Released(lease, now)).holder.empty());
  return 0;
}
