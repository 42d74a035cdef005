// What people did that a changed verdict rests on, as entries of their own: an exemption that let a
// gate pass, and the votes that an approval counted. The verdict's own entry holds the same in its
// record; these can be found by who and by which without reading it. Pure; any thread.
#pragma once

#include <string>
#include <vector>

#include "reconcilers/audit/entry.h"

namespace sluice::gates {
struct StageRecord;
}  // namespace sluice::gates

namespace sluice::audit {

inline constexpr const char* kExemptionUsed = "ExemptionUsed";  // data: exemption, gate, hides
inline constexpr const char* kVotesCounted = "VotesCounted";    // data: gate, votes of a ballot

// At most one of each; in the order above. `object` as VerdictEntry's.
std::vector<Entry> UseEntries(const std::string& subject, const std::string& actor,
                              const std::string& object, const gates::StageRecord& record);

}  // namespace sluice::audit
