#include "controller/cmd/kubectl_sluice/calendar.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <utility>

#include "controller/base/text.h"
#include "controller/base/time_format.h"
#include "reconcilers/openslo/document.h"

namespace sluice::kubectl {
namespace {

using base::InvalidArgument;
using base::StatusOr;
using nlohmann::json;

constexpr std::array<std::pair<const char*, Topic>, 9> kTopics = {
    {{"incidents", Topic::kIncidents},
     {"budgets", Topic::kBudgets},
     {"objectives", Topic::kObjectives},
     {"blindGates", Topic::kBlindGates},
     {"promotions", Topic::kPromotions},
     {"evidence", Topic::kEvidence},
     {"decisions", Topic::kDecisions},
     {"exemptions", Topic::kExemptions},
     {"freezes", Topic::kFreezes}}};

constexpr std::array kFields = {"name",     "rrule", "start", "timeZone",
                                "duration", "ahead", "topics"};

StatusOr<Topic> TopicFrom(const json& value) {
  std::string known;
  for (const auto& [name, topic] : kTopics) {
    if (value == name) return topic;
    known += (known.empty() ? "" : ", ") + std::string(name);
  }
  return InvalidArgument(fmt::format("topics: {} is none of {}", value.dump(), known));
}

StatusOr<std::string> Text(const json& meeting, const char* field, const char* otherwise) {
  const auto found = meeting.find(field);
  if (found == meeting.end()) {
    if (otherwise == nullptr) return InvalidArgument(fmt::format("{}: is missing", field));
    return std::string(otherwise);
  }
  if (!found->is_string() || found->get_ref<const std::string&>().empty()) {
    return InvalidArgument(fmt::format("{}: takes a text", field));
  }
  return found->get<std::string>();
}

StatusOr<base::Duration> Length(const json& meeting, const char* field, const char* otherwise) {
  SLUICE_ASSIGN_OR_RETURN(const std::string text, Text(meeting, field, otherwise));
  const auto length = base::ParseDuration(text);
  if (!length.ok() || *length <= base::Duration(0) || *length > std::chrono::hours(24 * 366)) {
    return InvalidArgument(
        fmt::format("{}: \"{}\" is not a duration up to 366d, as 14d", field, text));
  }
  return *length;
}

StatusOr<PlannedMeeting> MeetingFrom(const json& meeting) {
  if (!meeting.is_object()) return InvalidArgument("is not an object");
  for (const auto& [field, value] : meeting.items()) {
    if (std::find(kFields.begin(), kFields.end(), field) == kFields.end()) {
      return InvalidArgument(fmt::format("{}: no such field", field));
    }
  }
  PlannedMeeting out;
  SLUICE_ASSIGN_OR_RETURN(out.name, Text(meeting, "name", nullptr));
  if (out.name.size() > kMaxMeetingName) return InvalidArgument("name: is too long");
  SLUICE_ASSIGN_OR_RETURN(const std::string rrule, Text(meeting, "rrule", nullptr));
  SLUICE_ASSIGN_OR_RETURN(const std::string start, Text(meeting, "start", nullptr));
  SLUICE_ASSIGN_OR_RETURN(const std::string zone, Text(meeting, "timeZone", "UTC"));
  SLUICE_ASSIGN_OR_RETURN(const base::Duration duration, Length(meeting, "duration", "1h"));
  SLUICE_ASSIGN_OR_RETURN(out.when, gates::Schedule::Recurring(rrule, start, duration, zone));
  SLUICE_ASSIGN_OR_RETURN(out.ahead, Length(meeting, "ahead", "14d"));
  const json topics = meeting.value("topics", json::array());
  if (!topics.is_array() || topics.empty()) return InvalidArgument("topics: names none");
  for (const json& name : topics) {
    SLUICE_ASSIGN_OR_RETURN(const Topic topic, TopicFrom(name));
    if (std::find(out.topics.begin(), out.topics.end(), topic) == out.topics.end()) {
      out.topics.push_back(topic);
    }
  }
  return out;
}

}  // namespace

StatusOr<std::vector<PlannedMeeting>> ReadCalendar(const std::string& yaml) {
  SLUICE_ASSIGN_OR_RETURN(const auto documents, openslo::ReadYaml(yaml));
  if (documents.size() != 1 || !documents[0].is_object() || documents[0].size() != 1 ||
      !documents[0].contains("meetings") || !documents[0]["meetings"].is_array()) {
    return InvalidArgument("a calendar is one document with a list: meetings");
  }
  const json& meetings = documents[0]["meetings"];
  if (meetings.size() > kMaxMeetings) {
    return InvalidArgument(fmt::format("more than {} meetings", kMaxMeetings));
  }
  std::vector<PlannedMeeting> out;
  for (std::size_t i = 0; i < meetings.size(); ++i) {
    auto meeting = MeetingFrom(meetings[i]);
    if (!meeting.ok()) return meeting.status().Annotate(fmt::format("meetings[{}]", i));
    for (const PlannedMeeting& other : out) {
      if (other.name == meeting->name) {
        return InvalidArgument(
            fmt::format("meetings[{}]: name: \"{}\" is there twice", i, other.name));
      }
    }
    out.push_back(*std::move(meeting));
  }
  return out;
}

const char* DefaultCalendar() {
  return R"(meetings:
- name: weekly triage
  rrule: FREQ=WEEKLY;BYDAY=MO
  start: "2026-01-05T10:00:00"
  timeZone: UTC
  duration: 1h
  ahead: 14d
  topics: [incidents, budgets, blindGates]
- name: design review
  rrule: FREQ=WEEKLY;BYDAY=TU
  start: "2026-01-06T10:00:00"
  timeZone: UTC
  duration: 1h
  ahead: 14d
  topics: [promotions]
- name: release readiness
  rrule: FREQ=WEEKLY;BYDAY=WE
  start: "2026-01-07T10:00:00"
  timeZone: UTC
  duration: 1h
  ahead: 14d
  topics: [evidence]
- name: decision council
  rrule: FREQ=WEEKLY;BYDAY=TH
  start: "2026-01-08T10:00:00"
  timeZone: UTC
  duration: 1h
  ahead: 14d
  topics: [decisions, exemptions, freezes]
- name: monthly review
  rrule: FREQ=MONTHLY;BYDAY=1FR
  start: "2026-01-02T10:00:00"
  timeZone: UTC
  duration: 2h
  ahead: 45d
  topics: [objectives, exemptions]
- name: quarterly review
  rrule: FREQ=MONTHLY;INTERVAL=3;BYDAY=2FR
  start: "2026-01-09T10:00:00"
  timeZone: UTC
  duration: 2h
  ahead: 120d
  topics: [objectives, evidence, freezes]
)";
}

}  // namespace sluice::kubectl
