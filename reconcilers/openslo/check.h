// What the specification itself refuses, kind by kind. Internal to reconcilers/openslo; pure.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "reconcilers/openslo/convert.h"

namespace sluice::openslo {

// Collects what is wrong with one document.
class Problems {
 public:
  Problems(std::vector<Problem>& all, std::string document)
      : all_(all), document_(std::move(document)) {}
  void Add(std::string field, std::string rule);

 private:
  std::vector<Problem>& all_;
  const std::string document_;
};

inline constexpr const char* kApiVersion = "openslo/v1";

// Appends every rule of the specification that the document breaks.
void CheckDocument(const nlohmann::json& document, Problems& problems);
// An indicator's spec, inline or of an SLI; `at` is its field.
void CheckIndicator(const nlohmann::json& spec, const std::string& at, Problems& problems);

// An SLO's objectives, once it is known what its indicator measures.
void CheckObjectives(const nlohmann::json& spec, bool threshold, Problems& problems);

// The document; of a DataSource's connectionDetails only what is known to be no secret
// (secrets.cc). What was left out becomes a warning, by its field and never by its value.
nlohmann::json WithoutSecrets(const nlohmann::json& document, Problems& warnings);

// The member, or null.
const nlohmann::json& At(const nlohmann::json& value, std::string_view key);
// The member as text; empty when it is none.
std::string Text(const nlohmann::json& value, std::string_view key);
// "5m", "4w", "1M": a number above 0 and one unit.
bool IsDuration(std::string_view text);

}  // namespace sluice::openslo
