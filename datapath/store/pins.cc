#include "datapath/store/pins.h"

#include <algorithm>

namespace sluice::store {

void Pins::Set(std::vector<std::string> prefixes) {
  std::sort(prefixes.begin(), prefixes.end());
  prefixes_.clear();
  for (std::string& prefix : prefixes)
    if (prefixes_.empty() || !prefix.starts_with(prefixes_.back()))
      prefixes_.push_back(std::move(prefix));
}

std::optional<std::size_t> Pins::Match(std::string_view name) const {
  const auto behind = std::upper_bound(prefixes_.begin(), prefixes_.end(), name);
  if (behind == prefixes_.begin() || !name.starts_with(*(behind - 1))) return std::nullopt;
  return static_cast<std::size_t>(behind - prefixes_.begin()) - 1;
}

}  // namespace sluice::store
