#include "reconcilers/gates/prometheus_answer.h"

#include <fmt/format.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "reconcilers/gates/limits.h"

namespace sluice::gates {
namespace {

using nlohmann::json;

std::string Text(const json& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && found->is_string() ? found->get<std::string>() : std::string();
}

std::string Cut(std::string text) {
  if (text.size() > kMaxMessageBytes) text.resize(kMaxMessageBytes);
  return text;
}

base::Status NotAnAnswer(int http_status, std::string_view what) {
  return base::DataLoss(fmt::format("not a Prometheus answer (HTTP {}): {}", http_status, what));
}

base::StatusOr<Point> ParsePoint(const json& pair) {
  if (!pair.is_array() || pair.size() != 2 || !pair[0].is_number() || !pair[1].is_string()) {
    return base::DataLoss("a sample is not [time, \"value\"]");
  }
  const double seconds = pair[0].get<double>();
  if (!std::isfinite(seconds) || std::abs(seconds) > 1e12) {
    return base::DataLoss("a sample's time is out of range");
  }
  Point point{.time_ms = std::llround(seconds * 1000), .value = pair[1].get<std::string>()};
  if (point.value.size() > 64) return base::DataLoss("a sample's value is too long");
  return point;
}

base::StatusOr<Series> ParseSeries(const json& item, std::size_t& points) {
  if (!item.is_object()) return base::DataLoss("a series is not an object");
  Series series;
  const auto metric = item.find("metric");
  if (metric == item.end() || !metric->is_object()) return base::DataLoss("a series has no metric");
  for (const auto& [name, value] : metric->items()) {
    if (!value.is_string()) return base::DataLoss("a label is not a string");
    series.labels.emplace(name, value.get<std::string>());
  }
  if (const auto value = item.find("value"); value != item.end()) {
    SLUICE_ASSIGN_OR_RETURN(Point point, ParsePoint(*value));
    series.points.push_back(std::move(point));
    return series;
  }
  const auto values = item.find("values");
  if (values == item.end() || !values->is_array()) return base::DataLoss("a series has no samples");
  points += values->size();
  if (points > kMaxAnswerPoints) {
    return base::ResourceExhausted(fmt::format("more than {} samples", kMaxAnswerPoints));
  }
  for (const json& pair : *values) {
    SLUICE_ASSIGN_OR_RETURN(Point point, ParsePoint(pair));
    series.points.push_back(std::move(point));
  }
  return series;
}

base::StatusOr<std::vector<Series>> ParseData(const json& data) {
  std::vector<Series> out;
  const std::string type = Text(data, "resultType");
  const auto result = data.find("result");
  if (result == data.end() || !result->is_array()) return base::DataLoss("no result");
  if (type == "scalar") {
    SLUICE_ASSIGN_OR_RETURN(Point point, ParsePoint(*result));
    out.push_back({{}, {std::move(point)}});
    return out;
  }
  if (type != "vector" && type != "matrix") {
    return base::InvalidArgument("the query gives a " + (type.empty() ? "nothing" : Cut(type)) +
                                 ", not a vector");
  }
  if (result->size() > kMaxAnswerSeries) {
    return base::ResourceExhausted(fmt::format("more than {} series", kMaxAnswerSeries));
  }
  std::size_t points = 0;
  for (const json& item : *result) {
    SLUICE_ASSIGN_OR_RETURN(Series series, ParseSeries(item, points));
    out.push_back(std::move(series));
  }
  return out;
}

base::Status ErrorFrom(int http_status, const json& answer) {
  const std::string type = Text(answer, "errorType");
  const std::string message = Cut(Text(answer, "error"));
  if (type == "bad_data") return base::InvalidArgument(message).WithReason("BadQuery");
  if (type == "timeout") return base::DeadlineExceeded("the query timed out: " + message);
  return base::Unavailable(fmt::format("Prometheus answered {} (HTTP {}): {}",
                                       type.empty() ? "an error" : Cut(type), http_status,
                                       message));
}

}  // namespace

base::StatusOr<PrometheusAnswer> ParseAnswer(int http_status, std::string_view body) {
  if (body.size() > kMaxAnswerBytes) {
    return base::ResourceExhausted(fmt::format("answer longer than {} bytes", kMaxAnswerBytes));
  }
  const json answer = json::parse(body, nullptr, /*allow_exceptions=*/false);
  if (answer.is_discarded() || !answer.is_object()) {
    if (http_status == 401 || http_status == 403) {
      return base::PermissionDenied(fmt::format("HTTP {}", http_status));
    }
    return NotAnAnswer(http_status, "no JSON object");
  }
  const std::string status = Text(answer, "status");
  if (status == "error") return ErrorFrom(http_status, answer);
  if (status != "success" || http_status != 200) return NotAnAnswer(http_status, "no success");
  PrometheusAnswer out;
  if (const auto warnings = answer.find("warnings"); warnings != answer.end()) {
    if (!warnings->is_array()) return NotAnAnswer(http_status, "warnings are not a list");
    for (const json& warning : *warnings) {
      if (out.warnings.size() == kMaxWarnings) break;
      out.warnings.push_back(warning.is_string() ? Cut(warning.get<std::string>()) : "a warning");
    }
  }
  const auto data = answer.find("data");
  if (data == answer.end() || !data->is_object()) return NotAnAnswer(http_status, "no data");
  SLUICE_ASSIGN_OR_RETURN(out.series, ParseData(*data));
  return out;
}

}  // namespace sluice::gates
