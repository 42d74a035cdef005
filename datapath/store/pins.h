// Which names are pinned: those that begin with one of some prefixes. Pure; immutable after Set().
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace sluice::store {

class Pins {
 public:
  // A prefix below another of them is part of that.
  void Set(std::vector<std::string> prefixes);
  std::size_t size() const { return prefixes_.size(); }
  // The number of the prefix, below size(); nullopt: not pinned.
  std::optional<std::size_t> Match(std::string_view name) const;
  friend bool operator==(const Pins&, const Pins&) = default;

 private:
  // Sorted, and none begins with another: so only the last that is not behind a name can match it.
  std::vector<std::string> prefixes_;
};

}  // namespace sluice::store
