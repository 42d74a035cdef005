#include "reconcilers/openslo/query.h"

#include <fmt/format.h>

#include <regex>
#include <string_view>

#include "reconcilers/openslo/limits.h"

namespace sluice::openslo {
namespace {

void ReplaceAll(std::string& text, std::string_view what, std::string_view by) {
  for (std::size_t at = text.find(what); at != std::string::npos;
       at = text.find(what, at + by.size())) {
    text.replace(at, what.size(), by);
  }
}

}  // namespace

ReadQuery PrometheusQuery(std::string text, bool windowed, bool counter) {
  ReadQuery out{.promql = std::move(text), .rules = {}};
  std::string& query = out.promql;
  for (const char* variable : {"{{.window}}", "{{ .window }}"}) {
    ReplaceAll(query, variable, "$window");
  }
  if (query.empty()) out.rules.emplace_back("is required: the PromQL");
  if (query.size() > kMaxQueryBytes) out.rules.emplace_back("is too long");
  if (!windowed || query.empty() || query.find("$window") != std::string::npos) return out;
  static const std::regex plain(R"((sum\()?([a-zA-Z_:][\w:]*(\{[^{}]*\})?)(\))?)");
  std::smatch match;
  if (counter && query.size() <= kMaxQueryBytes && std::regex_match(query, match, plain) &&
      match[1].matched == match[4].matched) {
    query = fmt::format("sum(rate({}[$window]))", match[2].str());
    return out;
  }
  out.rules.emplace_back(
      "must count over $window, as in sum(rate(metric[$window])), or be a counter's plain "
      "selector");
  return out;
}

}  // namespace sluice::openslo
