// What the gates must know of PromQL: which raw series a query reads, and filling in its variables.
//
// Lexical rules follow Prometheus' own (promql/parser/lex.go, v2.42): identifiers with ':' and '_',
// three kinds of string, '#' comments. The query is not checked for meaning: Prometheus does that.
// Pure; any thread.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "controller/base/status.h"

namespace sluice::gates {

// Every raw vector selector of `query`, without range, offset and @, each once, in the order in
// which they stand: `sum(rate(a{b="c"}[5m])) / sum(rate(d[5m]))` gives {`a{b="c"}`, `d`}.
// Errors: InvalidArgument for unterminated strings or brackets, a query longer than kMaxQueryBytes,
// more than kMaxSelectors selectors, or none at all.
base::StatusOr<std::vector<std::string>> RawSelectors(std::string_view query);

// Replaces `$name` by its value; names are [a-z]+. Errors: InvalidArgument naming a variable that
// is unknown. Inside a string the value is put in with quotes and backslashes escaped.
base::StatusOr<std::string> FillIn(std::string_view query,
                                   const std::map<std::string, std::string>& variables);

// The time of the newest raw sample that `selector` gives now, in seconds: an instant query's own
// time is always "now" and proves nothing.
std::string NewestSampleQuery(std::string_view selector);

}  // namespace sluice::gates
