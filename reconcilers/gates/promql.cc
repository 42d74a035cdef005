#include "reconcilers/gates/promql.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <optional>

#include "reconcilers/gates/limits.h"

namespace sluice::gates {
namespace {

bool IsIdentifierStart(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c == ':';
}
bool IsDigit(char c) { return c >= '0' && c <= '9'; }
bool IsIdentifier(char c) { return IsIdentifierStart(c) || IsDigit(c); }
bool IsSpace(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

std::string Lower(std::string_view text) {
  std::string out(text);
  std::transform(out.begin(), out.end(), out.begin(), [](char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  });
  return out;
}

// Words that take a list of label names in parentheses.
bool TakesLabels(const std::string& word) {
  static constexpr std::array<std::string_view, 6> kWords = {
      "by", "without", "on", "ignoring", "group_left", "group_right"};
  return std::find(kWords.begin(), kWords.end(), word) != kWords.end();
}

bool IsKeyword(const std::string& word) {
  static constexpr std::array<std::string_view, 8> kWords = {"and",    "or",   "unless", "atan2",
                                                             "offset", "bool", "inf",    "nan"};
  return std::find(kWords.begin(), kWords.end(), word) != kWords.end();
}

class Scanner {
 public:
  explicit Scanner(std::string_view text) : text_(text) {}

  base::StatusOr<std::vector<std::string>> Selectors() {
    while (Skip(), at_ < text_.size()) {
      const char c = text_[at_];
      if (c == '"' || c == '\'' || c == '`') {
        SLUICE_RETURN_IF_ERROR(String());
      } else if (c == '[') {
        SLUICE_RETURN_IF_ERROR(Balanced('[', ']'));
      } else if (c == '{') {
        SLUICE_RETURN_IF_ERROR(Selector(at_));
      } else if (IsDigit(c) || c == '.') {
        Number();
      } else if (IsIdentifierStart(c)) {
        SLUICE_RETURN_IF_ERROR(Word());
      } else {
        ++at_;
      }
    }
    if (found_.empty()) return base::InvalidArgument("the query reads no series");
    return std::move(found_);
  }

 private:
  void Skip() {
    while (at_ < text_.size()) {
      if (IsSpace(text_[at_])) {
        ++at_;
      } else if (text_[at_] == '#') {
        while (at_ < text_.size() && text_[at_] != '\n') ++at_;
      } else {
        return;
      }
    }
  }

  // A number or a duration: digits, letters and a point run together.
  void Number() {
    while (at_ < text_.size() && (IsIdentifier(text_[at_]) || text_[at_] == '.')) ++at_;
  }

  base::Status String() {
    const char quote = text_[at_++];
    while (at_ < text_.size()) {
      const char c = text_[at_++];
      if (c == quote) return base::OkStatus();
      if (c == '\\' && quote != '`' && at_ < text_.size()) ++at_;
    }
    return base::InvalidArgument("a string in the query is not closed");
  }

  // Skips from an opening bracket past the closing one of its own kind.
  base::Status Balanced(char open, char close) {
    int depth = 0;
    while (Skip(), at_ < text_.size()) {
      const char c = text_[at_];
      if (c == '"' || c == '\'' || c == '`') {
        SLUICE_RETURN_IF_ERROR(String());
        continue;
      }
      ++at_;
      if (c == open) ++depth;
      if (c == close && --depth == 0) return base::OkStatus();
    }
    return base::InvalidArgument(fmt::format("a '{}' in the query is not closed", open));
  }

  base::Status Selector(std::size_t from) {
    std::size_t end = at_;
    Skip();
    if (at_ < text_.size() && text_[at_] == '{') {
      SLUICE_RETURN_IF_ERROR(Balanced('{', '}'));
      end = at_;
    }
    const std::string_view selector = text_.substr(from, end - from);
    if (std::find(found_.begin(), found_.end(), selector) != found_.end()) return base::OkStatus();
    if (found_.size() == kMaxSelectors) {
      return base::InvalidArgument(
          fmt::format("the query reads more than {} different selectors", kMaxSelectors));
    }
    found_.emplace_back(selector);
    return base::OkStatus();
  }

  base::Status Word() {
    const std::size_t from = at_;
    while (at_ < text_.size() && IsIdentifier(text_[at_])) ++at_;
    const std::string word = Lower(text_.substr(from, at_ - from));
    const std::size_t end = at_;
    Skip();
    const bool called = at_ < text_.size() && text_[at_] == '(';
    if (TakesLabels(word)) return called ? Balanced('(', ')') : base::OkStatus();
    if (called || IsKeyword(word) || FollowedByGrouping()) return base::OkStatus();
    at_ = end;
    return Selector(from);
  }

  // `sum by (a) (x)`: the word before a grouping names an aggregation.
  bool FollowedByGrouping() const {
    std::size_t end = at_;
    while (end < text_.size() && IsIdentifier(text_[end])) ++end;
    const std::string next = Lower(text_.substr(at_, end - at_));
    return next == "by" || next == "without";
  }

  std::string_view text_;
  std::size_t at_ = 0;
  std::vector<std::string> found_;
};

}  // namespace

base::StatusOr<std::vector<std::string>> RawSelectors(std::string_view query) {
  if (query.size() > kMaxQueryBytes) {
    return base::InvalidArgument(fmt::format("the query is longer than {} bytes", kMaxQueryBytes));
  }
  return Scanner(query).Selectors();
}

base::StatusOr<std::string> FillIn(std::string_view query,
                                   const std::map<std::string, std::string>& variables) {
  std::string out;
  char quote = 0;
  for (std::size_t i = 0; i < query.size(); ++i) {
    const char c = query[i];
    if (quote != 0 && quote != '`' && c == '\\' && i + 1 < query.size()) {
      out += c;
      out += query[++i];
      continue;
    }
    if (quote == 0 && (c == '"' || c == '\'' || c == '`')) {
      quote = c;
    } else if (c == quote) {
      quote = 0;
    }
    if (c != '$' || i + 1 == query.size() || query[i + 1] < 'a' || query[i + 1] > 'z') {
      out += c;
      continue;
    }
    std::size_t end = i + 1;
    while (end < query.size() && query[end] >= 'a' && query[end] <= 'z') ++end;
    const std::string name(query.substr(i + 1, end - i - 1));
    const auto value = variables.find(name);
    if (value == variables.end()) {
      return base::InvalidArgument("the query uses the unknown variable $" + name);
    }
    for (const char v : value->second) {
      if (quote != 0 && quote != '`' && (v == quote || v == '\\')) out += '\\';
      out += v;
    }
    i = end - 1;
  }
  return out;
}

std::string NewestSampleQuery(std::string_view selector) {
  return fmt::format("max(timestamp({}))", selector);
}

}  // namespace sluice::gates
