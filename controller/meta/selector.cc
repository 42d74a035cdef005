#include "controller/meta/selector.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "controller/meta/limits.h"
#include "controller/meta/names.h"

namespace sluice::meta {
namespace {

// The tokens of the text form: ( ) , = == != ! and words.
class Lexer {
 public:
  explicit Lexer(std::string_view text) : text_(text) {}

  std::string_view Peek() {
    SkipSpace();
    const std::size_t saved = at_;
    const std::string_view token = Next();
    at_ = saved;
    return token;
  }
  // Empty at the end.
  std::string_view Next() {
    SkipSpace();
    const std::size_t start = at_;
    if (at_ == text_.size()) return {};
    const std::string_view two = text_.substr(at_, 2);
    if (two == "==" || two == "!=") {
      at_ += 2;
    } else if (IsPunctuation(text_[at_])) {
      ++at_;
    } else {
      while (at_ < text_.size() && !IsPunctuation(text_[at_]) && !IsSpace(text_[at_])) ++at_;
    }
    return text_.substr(start, at_ - start);
  }
  bool Take(std::string_view token) {
    if (Peek() != token) return false;
    Next();
    return true;
  }
  // A key or a value; values may be empty.
  std::string_view Word() {
    const std::string_view token = Peek();
    return token.empty() || IsPunctuation(token[0]) ? std::string_view() : Next();
  }
  std::size_t at() const { return at_; }

 private:
  static bool IsSpace(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }
  static bool IsPunctuation(char c) {
    return c == '(' || c == ')' || c == ',' || c == '=' || c == '!' || c == '<' || c == '>';
  }
  void SkipSpace() {
    while (at_ < text_.size() && IsSpace(text_[at_])) ++at_;
  }
  std::string_view text_;
  std::size_t at_ = 0;
};

base::Status BadAt(std::size_t at, std::string_view what) {
  return base::InvalidArgument(fmt::format("selector: at {}: {}", at, what));
}

base::StatusOr<std::vector<std::string>> ParseSet(Lexer& lexer) {
  if (!lexer.Take("(")) return BadAt(lexer.at(), "expected '('");
  std::vector<std::string> values;
  while (true) {
    values.emplace_back(lexer.Word());
    if (values.size() > kMaxSelectorRequirements) return BadAt(lexer.at(), "too many values");
    if (lexer.Take(")")) return values;
    if (!lexer.Take(",")) return BadAt(lexer.at(), "expected ',' or ')'");
  }
}

base::StatusOr<Selector::Requirement> ParseRequirement(Lexer& lexer) {
  using Operator = Selector::Operator;
  Selector::Requirement out;
  const bool negated = lexer.Take("!");
  out.key = lexer.Word();
  if (out.key.empty()) return BadAt(lexer.at(), "expected a label key");
  const std::string_view next = lexer.Peek();
  if (negated || next.empty() || next == ",") {
    out.op = negated ? Operator::kDoesNotExist : Operator::kExists;
    return out;
  }
  lexer.Next();
  if (next == "=" || next == "==" || next == "!=") {
    out.op = next == "!=" ? Operator::kNotIn : Operator::kIn;
    out.values.emplace_back(lexer.Word());
    return out;
  }
  if (next != "in" && next != "notin") return BadAt(lexer.at(), "expected =, ==, !=, in or notin");
  out.op = next == "in" ? Operator::kIn : Operator::kNotIn;
  SLUICE_ASSIGN_OR_RETURN(out.values, ParseSet(lexer));
  return out;
}

base::StatusOr<Selector::Operator> OperatorNamed(const std::string& name) {
  if (name == "In") return Selector::Operator::kIn;
  if (name == "NotIn") return Selector::Operator::kNotIn;
  if (name == "Exists") return Selector::Operator::kExists;
  if (name == "DoesNotExist") return Selector::Operator::kDoesNotExist;
  return base::InvalidArgument(fmt::format("matchExpressions: unknown operator \"{}\"", name));
}

}  // namespace

base::Status Selector::Add(Requirement requirement) {
  if (requirements_.size() >= kMaxSelectorRequirements) {
    return base::InvalidArgument("selector: too many requirements");
  }
  SLUICE_RETURN_IF_ERROR(CheckQualifiedName(requirement.key));
  for (const std::string& value : requirement.values)
    SLUICE_RETURN_IF_ERROR(CheckLabelValue(value));
  std::sort(requirement.values.begin(), requirement.values.end());
  requirement.values.erase(std::unique(requirement.values.begin(), requirement.values.end()),
                           requirement.values.end());
  requirements_.push_back(std::move(requirement));
  return base::OkStatus();
}

base::StatusOr<Selector> Selector::Parse(std::string_view text) {
  if (text.size() > kMaxSelectorBytes) return base::InvalidArgument("selector: too long");
  Selector selector;
  Lexer lexer(text);
  if (lexer.Peek().empty()) return selector;
  do {
    SLUICE_ASSIGN_OR_RETURN(Requirement requirement, ParseRequirement(lexer));
    SLUICE_RETURN_IF_ERROR(selector.Add(std::move(requirement)));
  } while (lexer.Take(","));
  if (!lexer.Peek().empty()) return BadAt(lexer.at(), "expected ','");
  return selector;
}

base::StatusOr<Selector> Selector::FromJson(const nlohmann::json& label_selector) {
  Selector selector;
  try {
    if (label_selector.is_null()) return selector;
    if (!label_selector.is_object()) return base::InvalidArgument("label selector: not an object");
    if (const auto labels = label_selector.find("matchLabels"); labels != label_selector.end()) {
      for (const auto& [key, value] : labels->items()) {
        SLUICE_RETURN_IF_ERROR(
            selector.Add({key, Operator::kIn, {value.get_ref<const std::string&>()}}));
      }
    }
    const auto expressions = label_selector.find("matchExpressions");
    if (expressions == label_selector.end()) return selector;
    for (const nlohmann::json& expression : *expressions) {
      Requirement requirement;
      requirement.key = expression.at("key").get<std::string>();
      SLUICE_ASSIGN_OR_RETURN(requirement.op,
                              OperatorNamed(expression.at("operator").get<std::string>()));
      if (expression.contains("values")) {
        requirement.values = expression.at("values").get<std::vector<std::string>>();
      }
      const bool set = requirement.op == Operator::kIn || requirement.op == Operator::kNotIn;
      if (set == requirement.values.empty()) {
        return base::InvalidArgument("matchExpressions: values do not fit the operator");
      }
      SLUICE_RETURN_IF_ERROR(selector.Add(std::move(requirement)));
    }
  } catch (const nlohmann::json::exception& error) {
    return base::InvalidArgument(fmt::format("label selector: {}", error.what()));
  }
  return selector;
}

bool Selector::Matches(const Object& object) const {
  return Matches([&](std::string_view key) { return object.Label(key); });
}

bool Selector::Matches(const Lookup& label) const {
  return std::all_of(requirements_.begin(), requirements_.end(), [&](const Requirement& r) {
    const std::optional<std::string> value = label(r.key);
    switch (r.op) {
      case Operator::kExists:
        return value.has_value();
      case Operator::kDoesNotExist:
        return !value.has_value();
      case Operator::kIn:
        return value && std::binary_search(r.values.begin(), r.values.end(), *value);
      case Operator::kNotIn:
        return !value || !std::binary_search(r.values.begin(), r.values.end(), *value);
    }
    return false;
  });
}

std::string Selector::ToString() const {
  std::string out;
  for (const Requirement& r : requirements_) {
    if (!out.empty()) out += ',';
    const bool single = r.values.size() == 1;
    switch (r.op) {
      case Operator::kExists:
        out += r.key;
        break;
      case Operator::kDoesNotExist:
        out += "!" + r.key;
        break;
      case Operator::kIn:
      case Operator::kNotIn: {
        const bool in = r.op == Operator::kIn;
        out += single ? fmt::format("{}{}{}", r.key, in ? "=" : "!=", r.values[0])
                      : fmt::format("{} {} ({})", r.key, in ? "in" : "notin",
                                    fmt::join(r.values, ","));
        break;
      }
    }
  }
  return out;
}

}  // namespace sluice::meta
