#include "controller/cmd/kubectl_sluice/agenda.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "api/v1alpha1/freeze_window.pb.h"
#include "api/v1alpha1/readiness_review.pb.h"
#include "controller/base/time_format.h"
#include "controller/cmd/kubectl_sluice/json_at.h"
#include "reconcilers/common/decode.h"
#include "reconcilers/gates/decimal.h"
#include "reconcilers/gates/limits.h"
#include "reconcilers/gates/readiness.h"

namespace sluice::kubectl {
namespace {

using base::WallTime;
using nlohmann::json;

json ListAt(const json& object, const char* pointer) {
  const json::json_pointer where(pointer);
  return object.contains(where) && object[where].is_array() ? object[where] : json::array();
}

bool ConditionIs(const json& object, const char* type, const char* status) {
  const json conditions = ListAt(object, "/status/conditions");
  return std::any_of(conditions.begin(), conditions.end(), [&](const json& c) {
    return c.value("type", "") == type && c.value("status", "") == status;
  });
}

std::string Join(const json& list) {
  std::string out;
  for (const json& item : list) {
    if (item.is_string()) out += (out.empty() ? "" : "; ") + item.get<std::string>();
  }
  return out;
}

// The time when it lies within `ahead` of now, past times included.
bool IsSoon(const std::string& time, base::Duration ahead, WallTime now) {
  const auto parsed = base::ParseRfc3339(time);
  return parsed.ok() && *parsed - now <= ahead;
}

void AddIncidents(const AgendaObjects& objects, Meeting& meeting) {
  for (const meta::ObjectPtr& object : objects.people.incidents) {
    const json incident = object->ToJson();
    if (At(incident, "/spec/state") == "Closed") continue;
    meeting.items.push_back(
        {fmt::format("incident/{}", object->name()),
         fmt::format("{}, {}: {}", At(incident, "/spec/severity"), At(incident, "/spec/state"),
                     At(incident, "/spec/summary")),
         At(incident, "/spec/owner"), ""});
  }
}

void AddBudgets(const AgendaObjects& objects, Meeting& meeting) {
  for (const meta::ObjectPtr& object : objects.objectives) {
    const json slo = object->ToJson();
    const auto left = gates::Decimal::Parse(At(slo, "/status/budgetRemaining"));
    if (!left.ok()) continue;
    const auto caution = gates::Decimal::Parse(At(slo, "/spec/budgetPolicy/cautionBelow"));
    const auto freeze = gates::Decimal::Parse(At(slo, "/spec/budgetPolicy/freezeBelow"));
    if (*left <= gates::Decimal()) {
      meeting.items.push_back({fmt::format("slo/{}", object->name()),
                               "the error budget is used up: " + left->Percent(), "", ""});
    } else if (freeze.ok() && *left < *freeze) {
      meeting.items.push_back({fmt::format("slo/{}", object->name()),
                               fmt::format("budget frozen: {} left, frozen below {}",
                                           left->Percent(), freeze->Percent()),
                               "", ""});
    } else if (caution.ok() && *left < *caution) {
      meeting.items.push_back({fmt::format("slo/{}", object->name()),
                               fmt::format("budget in caution: {} left, caution below {}",
                                           left->Percent(), caution->Percent()),
                               "", ""});
    }
  }
}

// What climbs and what is rolled out, as far as it has not ended.
struct OpenStep {
  std::string name;  // "promotion/phoenix-7-walk"
  json object;
};
std::vector<OpenStep> OpenSteps(const AgendaObjects& objects) {
  std::vector<OpenStep> out;
  const auto add = [&](const char* kind, const std::vector<meta::ObjectPtr>& all) {
    for (const meta::ObjectPtr& each : all) {
      json object = each->ToJson();
      if (!At(object, "/status/outcome").empty()) continue;
      out.push_back({fmt::format("{}/{}", kind, each->name()), std::move(object)});
    }
  };
  add("promotion", objects.promotions);
  add("rollout", objects.rollouts);
  return out;
}

void AddBlindGates(const AgendaObjects& objects, Meeting& meeting) {
  for (const OpenStep& step : OpenSteps(objects)) {
    for (const json& gate : ListAt(step.object, "/status/gates")) {
      const auto cause = gates::CauseFromName(gate.value("cause", ""));
      if (!cause || (*cause != gates::Cause::kMisconfigured && !gates::IsNoAnswer(*cause)))
        continue;
      meeting.items.push_back({step.name,
                               fmt::format("gate {} is blind: {}: {}", gate.value("name", ""),
                                           gate.value("cause", ""), gate.value("message", "")),
                               std::string(gates::UnblockedBy(*cause)), ""});
    }
  }
}

void AddEvidence(const AgendaObjects& objects, base::Duration ahead, WallTime now,
                 Meeting& meeting) {
  for (const meta::ObjectPtr& object : objects.people.reviews) {
    const auto review = common::Decode<v1alpha1::ReadinessReview>(*object);
    if (!review.ok()) continue;
    const gates::ReadinessFacts facts = gates::ReadinessOf(
        objects.people, (*review)->spec().site_ref().name(), (*review)->spec().stage());
    for (const gates::ReadinessItem& item : facts.items) {
      const gates::ItemState state = gates::StateOf(facts, item.name, std::nullopt, now);
      const std::string until = base::FormatRfc3339(state.fresh_until);
      if (!state.why_missing.empty()) {
        meeting.items.push_back({fmt::format("readinessreview/{}", object->name()),
                                 fmt::format("{} is missing: {}", item.name, state.why_missing),
                                 state.owner, ""});
      } else if (state.fresh_until - now <= ahead) {
        meeting.items.push_back({fmt::format("readinessreview/{}", object->name()),
                                 item.name + " goes stale", state.owner, until});
      }
    }
  }
}

void AddDecisions(const AgendaObjects& objects, Meeting& meeting) {
  for (const meta::ObjectPtr& object : objects.people.decisions) {
    const json decision = object->ToJson();
    if (At(decision, "/status/outcome") != "Pending") continue;
    meeting.items.push_back(
        {fmt::format("decision/{}", object->name()), At(decision, "/spec/question"),
         Join(ListAt(decision, "/status/missing")), At(decision, "/spec/expiresAt")});
  }
  for (const OpenStep& step : OpenSteps(objects)) {
    for (const json& blocker : ListAt(step.object, "/status/blockedBy")) {
      const std::string cause = blocker.value("cause", "");
      if (cause != "AwaitingApproval" && cause != "ApprovalOutdated" && cause != "Refused")
        continue;
      meeting.items.push_back({step.name,
                               fmt::format("gate {}: {}: {}", blocker.value("gate", ""), cause,
                                           blocker.value("message", "")),
                               blocker.value("unblockedBy", ""), ""});
    }
  }
}

void AddExemptions(const AgendaObjects& objects, base::Duration ahead, WallTime now,
                   Meeting& meeting) {
  for (const meta::ObjectPtr& object : objects.people.exemptions) {
    const json exemption = object->ToJson();
    const std::string end = At(exemption, "/spec/expiresAt");
    if (!ConditionIs(exemption, "Active", "True") || !IsSoon(end, ahead, now)) continue;
    const std::string hides = Join(ListAt(exemption, "/status/hides"));
    meeting.items.push_back(
        {fmt::format("exemption/{}", object->name()),
         hides.empty() ? "ends, and hides nothing now" : "ends, and hides " + hides,
         At(exemption, "/spec/requestedBy"), end});
  }
}

void AddFreezes(const AgendaObjects& objects, base::Duration ahead, WallTime now,
                Meeting& meeting) {
  for (const meta::ObjectPtr& object : objects.people.freezes) {
    const auto freeze = common::Decode<v1alpha1::FreezeWindow>(*object);
    if (!freeze.ok()) continue;
    const std::string name = fmt::format("freezewindow/{}", object->name());
    const auto schedule = gates::ScheduleFrom((*freeze)->spec());
    if (!schedule.ok()) {
      meeting.items.push_back({name, "cannot be read: " + schedule.status().message(), "", ""});
      continue;
    }
    const gates::Schedule::State state = schedule->At(now);
    if (state.closed) {
      meeting.items.push_back({name, "reopens: " + (*freeze)->spec().reason(), "",
                               base::FormatRfc3339(state.reopens_at)});
    } else if (state.closes_at && *state.closes_at - now <= ahead) {
      meeting.items.push_back({name, "closes: " + (*freeze)->spec().reason(), "",
                               base::FormatRfc3339(*state.closes_at)});
    }
  }
}

// Everything that is measured, those with the least budget first.
void AddObjectives(const AgendaObjects& objects, Meeting& meeting) {
  std::vector<std::pair<gates::Decimal, std::string>> left;
  for (const meta::ObjectPtr& object : objects.objectives) {
    const auto budget = gates::Decimal::Parse(At(object->ToJson(), "/status/budgetRemaining"));
    if (budget.ok()) {
      left.emplace_back(*budget, std::string(object->name()));
    } else {
      meeting.items.push_back({fmt::format("slo/{}", object->name()), "is not measured", "", ""});
    }
  }
  std::sort(left.begin(), left.end());
  for (const auto& [budget, name] : left) {
    meeting.items.push_back({"slo/" + name, "budget left: " + budget.Percent(), "", ""});
  }
}

void AddPromotions(const AgendaObjects& objects, Meeting& meeting) {
  for (const OpenStep& step : OpenSteps(objects)) {
    std::string holds;
    for (const json& blocker : ListAt(step.object, "/status/blockedBy")) {
      holds += fmt::format("{}{} ({})", holds.empty() ? "" : ", ", blocker.value("gate", ""),
                           blocker.value("cause", ""));
    }
    std::string to = At(step.object, "/spec/to");
    if (to.empty()) {
      to = At(step.object, "/spec/releaseRef/name");
      const bool back = At(step.object, "/status/direction") == "Reverting";
      const std::string wave = At(step.object, "/status/wave");
      if (!wave.empty()) to += fmt::format(", {} wave {}", back ? "back from" : "at", wave);
    }
    meeting.items.push_back(
        {step.name,
         fmt::format("to {}: {}", to, holds.empty() ? "nothing holds it" : "held by " + holds),
         At(step.object, "/spec/requestedBy"), ""});
  }
}

void AddTopic(Topic topic, const AgendaObjects& objects, base::Duration ahead, WallTime now,
              Meeting& meeting) {
  switch (topic) {
    case Topic::kIncidents:
      return AddIncidents(objects, meeting);
    case Topic::kBudgets:
      return AddBudgets(objects, meeting);
    case Topic::kObjectives:
      return AddObjectives(objects, meeting);
    case Topic::kBlindGates:
      return AddBlindGates(objects, meeting);
    case Topic::kPromotions:
      return AddPromotions(objects, meeting);
    case Topic::kEvidence:
      return AddEvidence(objects, ahead, now, meeting);
    case Topic::kDecisions:
      return AddDecisions(objects, meeting);
    case Topic::kExemptions:
      return AddExemptions(objects, ahead, now, meeting);
    case Topic::kFreezes:
      return AddFreezes(objects, ahead, now, meeting);
  }
}

}  // namespace

std::vector<Meeting> BuildAgenda(const AgendaObjects& objects,
                                 const std::vector<PlannedMeeting>& calendar,
                                 std::optional<base::Duration> ahead, WallTime now) {
  std::vector<Meeting> out;
  for (const PlannedMeeting& planned : calendar) {
    Meeting meeting{.name = planned.name, .now = false, .next = {}, .items = {}};
    meeting.now = planned.when.At(now).closed;  // a window that is "closed" is a meeting that is on
    const auto horizon = std::chrono::duration_cast<WallTime::duration>(gates::kScheduleHorizon);
    const auto starts = planned.when.Starts(now, now + horizon, 1);
    if (!starts.empty()) meeting.next = starts.front();
    for (const Topic topic : planned.topics) {
      AddTopic(topic, objects, ahead.value_or(planned.ahead), now, meeting);
    }
    std::stable_sort(meeting.items.begin(), meeting.items.end(),
                     [](const AgendaItem& x, const AgendaItem& y) { return x.due < y.due; });
    out.push_back(std::move(meeting));
  }
  return out;
}

std::string RenderAgenda(const std::vector<Meeting>& meetings, WallTime now) {
  std::string out;
  for (const Meeting& meeting : meetings) {
    out += meeting.name;
    if (meeting.now) {
      out += ", now";
    } else if (meeting.next) {
      out += fmt::format(", in {} ({})", base::HumanDuration(*meeting.next - now),
                         base::FormatRfc3339(*meeting.next));
    }
    out += meeting.items.empty() ? ": nothing\n" : "\n";
    for (const AgendaItem& item : meeting.items) {
      out += fmt::format("  {}  {}", item.object, item.what);
      const auto due = base::ParseRfc3339(item.due);
      if (due.ok() && *due > now) {
        out += "  in " + base::HumanDuration(*due - now);
      } else if (due.ok()) {
        out += "  was due " + item.due;
      }
      if (!item.who.empty()) out += fmt::format("  ({})", item.who);
      out += "\n";
    }
  }
  return out;
}

std::string AgendaJson(const std::vector<Meeting>& meetings) {
  nlohmann::ordered_json out = nlohmann::ordered_json::array();
  for (const Meeting& meeting : meetings) {
    nlohmann::ordered_json items = nlohmann::ordered_json::array();
    for (const AgendaItem& item : meeting.items) {
      nlohmann::ordered_json each = {{"object", item.object}, {"what", item.what}};
      if (!item.who.empty()) each["who"] = item.who;
      if (!item.due.empty()) each["due"] = item.due;
      items.push_back(std::move(each));
    }
    nlohmann::ordered_json each = {{"meeting", meeting.name}, {"now", meeting.now}};
    if (meeting.next) each["next"] = base::FormatRfc3339(*meeting.next);
    each["items"] = std::move(items);
    out.push_back(std::move(each));
  }
  return out.dump(2) + "\n";
}

}  // namespace sluice::kubectl
