#include "reconcilers/gates/evidence.h"

#include <algorithm>
#include <chrono>
#include <nlohmann/json.hpp>

#include "controller/base/digest.h"
#include "reconcilers/gates/json_form.h"

namespace sluice::gates {
namespace {

base::WallTime WholeSeconds(base::WallTime time) {
  return std::chrono::floor<std::chrono::seconds>(time);
}

}  // namespace

SloFacts FactsOf(const Slo& slo) {
  return {slo.name,          slo.target,       slo.min_events,
          slo.caution_below, slo.freeze_below, slo.exceptions};
}

std::optional<base::WallTime> DataTime(const Evidence& evidence) {
  if (!evidence.misconfigured.empty()) return std::nullopt;
  const bool of_people = evidence.soak || evidence.ballot || evidence.incidents ||
                         evidence.capacity ||
                         (evidence.external && evidence.external->error.empty());
  if (of_people || (evidence.readiness && evidence.windows.empty())) {
    return WholeSeconds(evidence.observed_at);
  }
  std::optional<Decimal> oldest;
  for (const Reading& newest : evidence.freshness) {
    if (!newest.error.empty() || newest.series != 1) return std::nullopt;
    const auto seconds = Decimal::Parse(newest.value);
    if (!seconds.ok()) return std::nullopt;
    oldest = oldest ? std::min(*oldest, *seconds) : *seconds;
  }
  if (!oldest || oldest->IsNegative() || *oldest > Decimal::FromInt(9'000'000'000)) {
    return std::nullopt;
  }
  return base::WallTime(std::chrono::seconds(oldest->Floor()));
}

std::string Bounded(std::string text, std::size_t bytes) {
  if (text.size() <= bytes) return text;
  while (bytes > 0 && (static_cast<unsigned char>(text[bytes]) & 0xC0) == 0x80) --bytes;
  text.resize(bytes);
  return text;
}

std::string CanonicalText(const Evidence& evidence) {
  // Bytes that are not UTF-8 become U+FFFD: the text stays JSON whatever a provider sent.
  return ToJson(evidence).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

std::string EvidenceHash(const Evidence& evidence) {
  return base::Sha256Hex(CanonicalText(evidence));
}

}  // namespace sluice::gates
