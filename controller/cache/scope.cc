#include "controller/cache/scope.h"

#include <algorithm>

namespace sluice::cache {

base::StatusOr<Scope> Scope::Of(meta::Resource resource, std::string ns,
                                const std::string& label_selector,
                                const std::string& field_selector) {
  Scope scope;
  scope.resource_ = std::move(resource);
  scope.ns_ = std::move(ns);
  SLUICE_ASSIGN_OR_RETURN(scope.labels_, meta::Selector::Parse(label_selector));
  for (std::size_t at = 0; at < field_selector.size();) {
    const std::size_t end = std::min(field_selector.find(',', at), field_selector.size());
    const std::string term = field_selector.substr(at, end - at);
    at = end + 1;
    const std::size_t sign = term.find_first_of("!=");
    if (sign == std::string::npos || sign == 0) {
      return base::InvalidArgument("field selector: \"" + term + "\" is no term");
    }
    const bool equal = term[sign] == '=';
    const std::size_t value = term.find_first_not_of(equal ? "=" : "!=", sign);
    scope.fields_.push_back(
        {term.substr(0, sign), value == std::string::npos ? "" : term.substr(value), equal});
  }
  return scope;
}

bool Scope::Narrows() const {
  using Operator = meta::Selector::Operator;
  const auto& labels = labels_.requirements();
  return !ns_.empty() || std::any_of(labels.begin(), labels.end(), [](const auto& each) {
    return each.op == Operator::kIn || each.op == Operator::kExists;
  }) || std::any_of(fields_.begin(), fields_.end(), [](const Field& each) { return each.equal; });
}

bool Scope::Shows(const meta::Resource& resource, const meta::Object& object) const {
  if (resource != resource_ || (!ns_.empty() && ns_ != object.ns())) return false;
  for (const Field& field : fields_) {
    const bool name = field.path == "metadata.name";
    if (!name && field.path != "metadata.namespace") return false;
    if (((name ? object.name() : object.ns()) == field.value) != field.equal) return false;
  }
  return labels_.Matches(object);
}

}  // namespace sluice::cache
