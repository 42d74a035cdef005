#include "reconcilers/incident/alertmanager.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "controller/base/digest.h"
#include "controller/base/time_format.h"
#include "reconcilers/incident/limits.h"

namespace sluice::incident {
namespace {

using base::InvalidArgument;
using base::StatusOr;
using nlohmann::json;

StatusOr<std::map<std::string, std::string>> Texts(const json& alert, const char* field) {
  std::map<std::string, std::string> out;
  if (!alert.contains(field)) return out;
  const json& texts = alert[field];
  if (!texts.is_object()) return InvalidArgument(fmt::format("{}: is no object", field));
  if (texts.size() > kMaxLabels) {
    return base::ResourceExhausted(fmt::format("{}: more than {}", field, kMaxLabels));
  }
  for (const auto& [name, value] : texts.items()) {
    if (!value.is_string()) return InvalidArgument(fmt::format("{}: holds no text", field));
    const std::string& text = value.get_ref<const std::string&>();
    if (name.size() + text.size() > kMaxTextBytes) {
      return base::ResourceExhausted(
          fmt::format("{}: one is longer than {} bytes", field, kMaxTextBytes));
    }
    out.emplace(name, text);
  }
  return out;
}

StatusOr<Alert> AlertFrom(const json& item) {
  if (!item.is_object()) return InvalidArgument("is no object");
  Alert alert;
  const json& status = item.contains("status") ? item["status"] : json();
  if (status != "firing" && status != "resolved") {
    return InvalidArgument("status: neither firing nor resolved");
  }
  alert.resolved = status == "resolved";
  SLUICE_ASSIGN_OR_RETURN(alert.labels, Texts(item, "labels"));
  SLUICE_ASSIGN_OR_RETURN(alert.annotations, Texts(item, "annotations"));
  const json& starts = item.contains("startsAt") ? item["startsAt"] : json();
  if (!starts.is_string()) return InvalidArgument("startsAt: is no time");
  const auto time = base::ParseRfc3339(starts.get_ref<const std::string&>());
  if (!time.ok()) return InvalidArgument("startsAt: is no time");
  // Whole seconds, as an object's annotation keeps it.
  alert.starts_at = std::chrono::floor<std::chrono::seconds>(*time);
  return alert;
}

}  // namespace

StatusOr<std::vector<Alert>> ParseNotification(std::string_view body) {
  if (body.size() > kMaxNotificationBytes) {
    return base::ResourceExhausted(fmt::format("longer than {} bytes", kMaxNotificationBytes));
  }
  const json document = json::parse(body, nullptr, /*allow_exceptions=*/false);
  if (!document.is_object()) return InvalidArgument("is no JSON object");
  if (!document.contains("version") || document["version"] != "4") {
    return InvalidArgument("version: must be \"4\"");
  }
  if (!document.contains("alerts") || !document["alerts"].is_array()) {
    return InvalidArgument("alerts: is no list");
  }
  const json& alerts = document["alerts"];
  if (alerts.size() > kMaxAlerts) {
    return base::ResourceExhausted(fmt::format(
        "alerts: {} of them, at most {} are taken: set max_alerts", alerts.size(), kMaxAlerts));
  }
  std::vector<Alert> out;
  for (std::size_t i = 0; i < alerts.size(); ++i) {
    auto alert = AlertFrom(alerts[i]);
    if (!alert.ok()) return alert.status().Annotate(fmt::format("alerts[{}]", i));
    out.push_back(*std::move(alert));
  }
  return out;
}

std::string Fingerprint(const Alert& alert) {
  std::string text;
  for (const auto& [name, value] : alert.labels) {
    // Lengths keep apart what concatenation would confuse.
    text += fmt::format("{}:{}{}:{}", name.size(), name, value.size(), value);
  }
  return base::Sha256Hex(text).substr(0, 16);
}

}  // namespace sluice::incident
