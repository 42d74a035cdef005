#include "reconcilers/incident/receiver.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "controller/base/digest.h"
#include "controller/base/file.h"
#include "controller/base/log.h"
#include "reconcilers/common/people_resources.h"
#include "reconcilers/incident/limits.h"

namespace sluice::incident {
namespace {

namespace log = base::log;
using base::Code;
using base::Status;

constexpr const char* kNotifications = "sluice_alert_notifications_total";
constexpr const char* kNotificationsHelp =
    "Alertmanager's notifications, by what became of them: taken, unauthenticated, refused, "
    "failed.";
constexpr const char* kIncidents = "sluice_alert_incidents_total";
constexpr const char* kIncidentsHelp =
    "What alerts did to Incidents: opened, reopened, mitigated, closed, kept, ignored.";

std::string_view Trimmed(std::string_view text) {
  constexpr std::string_view kBlank = " \t\r\n";
  const std::size_t first = text.find_first_not_of(kBlank);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kBlank) - first + 1);
}

http::ServerResponse Answer(int status, std::string_view text) {
  return {status, "text/plain; charset=utf-8", std::string(text) + "\n"};
}

}  // namespace

Receiver::Receiver(client::Reader& reader, client::Writer& writer,
                   base::metrics::Registry& registry, std::string token_file)
    : reader_(reader), writer_(writer), registry_(registry), token_file_(std::move(token_file)) {
  for (const char* outcome : {"taken", "unauthenticated", "refused", "failed"}) {
    registry_.GetCounter(kNotifications, kNotificationsHelp, {{"outcome", outcome}});
  }
  for (const char* action : {"opened", "reopened", "mitigated", "closed", "kept", "ignored"}) {
    registry_.GetCounter(kIncidents, kIncidentsHelp, {{"action", action}});
  }
}

void Receiver::CountNotification(const char* outcome) {
  registry_.GetCounter(kNotifications, kNotificationsHelp, {{"outcome", outcome}}).Add();
}

void Receiver::CountIncident(std::string_view action) {
  registry_.GetCounter(kIncidents, kIncidentsHelp, {{"action", std::string(action)}}).Add();
}

// Errors: Unauthenticated; Unavailable when there is nothing to compare with.
Status Receiver::Authenticate(const http::ServerRequest& request) const {
  const auto file = base::ReadFile(token_file_, kMaxTokenBytes);
  const std::string_view token = file.ok() ? Trimmed(*file) : std::string_view();
  if (token.size() < kMinTokenBytes) {
    log::Error(
        "token of Alertmanager's receiver could not be used",
        {{"file", token_file_}, {"error", file.ok() ? "too short" : file.status().message()}});
    return base::Unavailable("the receiver has no token");
  }
  constexpr std::string_view kScheme = "Bearer ";
  const std::string_view given = http::FindHeader(request.headers, "Authorization");
  if (given.substr(0, kScheme.size()) != kScheme ||
      !base::ConstantTimeEqual(Trimmed(given.substr(kScheme.size())), token)) {
    return base::Unauthenticated("a bearer token is needed");
  }
  return base::OkStatus();
}

Status Receiver::Act(const Action& action, const Alert& alert) {
  if (action.step == Step::kOpen) {
    const auto made = writer_.Create(common::kIncidents, NewIncident(alert));
    // Another replica, or the last try whose answer was lost.
    if (!made.ok() && made.status().code() != Code::kAlreadyExists) return made.status();
    CountIncident(made.ok() ? StepName(Step::kOpen) : StepName(Step::kNone));
  } else {
    const auto changed = writer_.Patch(common::kIncidents, {"", action.name},
                                       client::PatchType::kMerge, PatchFor(action, alert));
    // Gone is as good as closed.
    if (!changed.ok() && changed.status().code() != Code::kNotFound) return changed.status();
    CountIncident(StepName(action.step));
  }
  log::Info("alert changed an incident",
            {{"incident", action.name}, {"step", StepName(action.step)}});
  return base::OkStatus();
}

Status Receiver::Take(const Alert& alert) {
  if (!Concerns(alert)) {
    CountIncident("ignored");
    return base::OkStatus();
  }
  client::ListOptions options;
  options.label_selector = fmt::format("{}={}", kAlertLabel, Fingerprint(alert));
  options.limit = kMaxIncidentsOfAlert;
  SLUICE_ASSIGN_OR_RETURN(const client::ObjectList known,
                          reader_.List(common::kIncidents, options));
  const std::vector<Action> actions = Plan(alert, known.items);
  if (actions.empty()) CountIncident(StepName(Step::kNone));
  for (const Action& action : actions) SLUICE_RETURN_IF_ERROR(Act(action, alert));
  return base::OkStatus();
}

http::ServerResponse Receiver::Handle(const http::ServerRequest& request) {
  if (const Status who = Authenticate(request); !who.ok()) {
    const bool unknown = who.code() == Code::kUnauthenticated;
    CountNotification(unknown ? "unauthenticated" : "failed");
    return Answer(unknown ? 401 : 503, who.message());
  }
  if (request.method != "POST") {
    CountNotification("refused");
    return Answer(405, "only POST is taken");
  }
  const auto alerts = ParseNotification(request.body);
  if (!alerts.ok()) {
    CountNotification("refused");
    log::Warn("notification of Alertmanager was refused", {{"error", alerts.status()}});
    return Answer(alerts.status().code() == Code::kResourceExhausted ? 413 : 400,
                  alerts.status().message());
  }
  Status first;
  for (const Alert& alert : *alerts) {
    const Status status = Take(alert);
    if (!status.ok() && first.ok()) first = status;
  }
  if (first.ok()) {
    CountNotification("taken");
    return Answer(200, "taken");
  }
  CountNotification("failed");
  log::Warn("notification of Alertmanager could not be taken", {{"error", first}});
  return Answer(503, "the API server could not be asked; send it again");
}

}  // namespace sluice::incident
