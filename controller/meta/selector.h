// Label selectors: the text form of list and watch ("a=b,c in (d,e),!f") and the LabelSelector
// object of specs. Pure; any thread.
#pragma once

#include <functional>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "controller/base/status.h"
#include "controller/meta/object.h"

namespace sluice::meta {

class Selector {
 public:
  enum class Operator { kIn, kNotIn, kExists, kDoesNotExist };
  struct Requirement {
    std::string key;
    Operator op = Operator::kIn;
    std::vector<std::string> values;  // sorted, without doubles
    friend bool operator==(const Requirement&, const Requirement&) = default;
  };
  using Lookup = std::function<std::optional<std::string>(std::string_view key)>;

  Selector() = default;  // selects everything
  // Errors: InvalidArgument with the place. "" selects everything.
  static base::StatusOr<Selector> Parse(std::string_view text);
  // {matchLabels, matchExpressions}. Errors: InvalidArgument with the field.
  static base::StatusOr<Selector> FromJson(const nlohmann::json& label_selector);

  bool Matches(const Object& object) const;
  bool Matches(const Lookup& label) const;
  bool empty() const { return requirements_.empty(); }
  const std::vector<Requirement>& requirements() const { return requirements_; }
  // The text form, fit for ListOptions::label_selector; Parse(ToString()) is this selector.
  std::string ToString() const;

  friend bool operator==(const Selector&, const Selector&) = default;

 private:
  base::Status Add(Requirement requirement);
  std::vector<Requirement> requirements_;
};

}  // namespace sluice::meta
