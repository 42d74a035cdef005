#include "controller/cmd/kubectl_sluice/text.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "controller/base/time_format.h"

namespace sluice::kubectl {
namespace {

constexpr const char* kRed = "\x1b[31m";
constexpr const char* kYellow = "\x1b[33m";
constexpr const char* kGreen = "\x1b[32m";
constexpr const char* kDim = "\x1b[2m";
constexpr const char* kReset = "\x1b[0m";
constexpr std::size_t kWidestMessage = 60;

std::string Paint(const Style& style, const char* colour, std::string text) {
  if (!style.colour) return text;
  return colour + std::move(text) + kReset;
}

// What stands behind a message: until when a Pass counts, or who can end a Hold.
std::string Tail(const GateLine& gate, base::WallTime now) {
  if (gate.verdict == "Pass") {
    const auto until = base::ParseRfc3339(gate.valid_until);
    if (!until.ok()) return "";
    if (*until <= now) return "valid no longer; looked at again";
    return "valid for " + base::HumanDuration(*until - now);
  }
  return Unblocking(gate.unblocked_by, gate.since, now);
}

std::string Mark(const Style& style, const std::string& verdict) {
  if (verdict == "Pass") return Paint(style, kGreen, "pass");
  if (verdict == "Fail") return Paint(style, kRed, "FAIL");
  return Paint(style, kYellow, "HOLD");
}

struct Widths {
  std::size_t name = 0, cause = 0, message = 0;
};

template <typename Line>
void Measure(const Line& line, const std::string& name, Widths& w) {
  w.name = std::max(w.name, name.size());
  w.cause = std::max(w.cause, line.cause.size());
  w.message = std::max(w.message, std::min(line.message.size(), kWidestMessage));
}

std::string Row(const Style& style, const Widths& w, const std::string& verdict,
                const std::string& name, const std::string& cause, const std::string& message,
                const std::string& tail) {
  std::string line = fmt::format("  {}  {:<{}}  {:<{}}  {:<{}}", Mark(style, verdict), name, w.name,
                                 cause, w.cause, message, w.message);
  if (!tail.empty()) line += "  " + Paint(style, kDim, tail);
  line.erase(line.find_last_not_of(' ') + 1);
  return line + "\n";
}

void AppendEvidence(const GateLine& gate, std::string& out) {
  if (!gate.evidence_hash.empty()) out += fmt::format("        hash {}\n", gate.evidence_hash);
  for (const Evidence& evidence : gate.evidence) {
    if (!evidence.query.empty()) out += fmt::format("        query {}\n", evidence.query);
    out += fmt::format("        value {}{}{}{}\n", evidence.value.empty() ? "none" : evidence.value,
                       evidence.window.empty() ? "" : " over " + evidence.window,
                       evidence.sample_time.empty() ? "" : ", data of " + evidence.sample_time,
                       evidence.error.empty() ? "" : ", error: " + evidence.error);
  }
}

std::string Head(const Chain& chain, base::WallTime now) {
  std::string out = fmt::format("{}  wants {}, is at {}", chain.site, chain.wants,
                                chain.stage.empty() ? "no stage" : chain.stage);
  if (!chain.next.empty()) out += ", next " + chain.next;
  if (!chain.promotion.empty() && !chain.next.empty()) {
    out += fmt::format(" (promotion {}, requested by {} {})", chain.promotion, chain.requested_by,
                       Ago(chain.asked_at, now));
  } else if (!chain.stage_reached_at.empty()) {
    out += fmt::format(" (reached {})", Ago(chain.stage_reached_at, now));
  }
  return out + "\n";
}

std::string Then(const LaterStage& stage) {
  std::string out =
      fmt::format("  then  {}: {} gate{}", stage.stage, stage.gates, stage.gates == 1 ? "" : "s");
  if (!stage.holds.empty()) {
    out += fmt::format(", {} would hold today: ", stage.holds.size());
    for (std::size_t i = 0; i < stage.holds.size(); ++i) {
      out +=
          fmt::format("{}{} ({})", i == 0 ? "" : ", ", stage.holds[i].name, stage.holds[i].cause);
    }
  }
  if (!stage.unknown.empty()) {
    out += fmt::format("{} not asked yet: ", stage.holds.empty() ? "," : ";");
    for (std::size_t i = 0; i < stage.unknown.size(); ++i) {
      out += (i == 0 ? "" : ", ") + stage.unknown[i];
    }
  }
  return out + "\n";
}

}  // namespace

bool WantsColour(bool terminal, const char* no_color, const char* term) {
  const bool refused = no_color != nullptr && *no_color != '\0';
  return terminal && !refused && (term == nullptr || std::string_view(term) != "dumb");
}

std::string Ago(const std::string& time, base::WallTime now) {
  const auto parsed = base::ParseRfc3339(time);
  return parsed.ok() ? base::HumanDuration(now - *parsed) + " ago" : "";
}

std::string Unblocking(const std::string& unblocked_by, const std::string& since,
                       base::WallTime now) {
  std::string out;
  if (unblocked_by.rfind("time: ", 0) == 0) {
    const auto time = base::ParseRfc3339(unblocked_by.substr(6));
    out = "unblocks by itself " + (time.ok() ? base::FormatRfc3339(*time) : unblocked_by.substr(6));
  } else if (!unblocked_by.empty()) {
    out = "unblocked by " + unblocked_by;
  }
  if (const auto from = base::ParseRfc3339(since); from.ok()) {
    out += (out.empty() ? "since " : "; since ") + base::HumanDuration(now - *from);
  }
  return out;
}

std::string RenderText(const Chain& chain, const Style& style, base::WallTime now) {
  Widths w;
  for (const GateLine& gate : chain.gates) Measure(gate, gate.name, w);
  for (const Blocker& blocker : chain.blockers) Measure(blocker, blocker.gate, w);
  std::string out = Head(chain, now);
  if (!chain.stale.empty()) {
    out += chain.stale;
    out += chain.gates.empty() && chain.blockers.empty() ? "\n" : " What follows is of before:\n";
  }
  for (const Blocker& blocker : chain.blockers) {
    GateLine as_gate;
    as_gate.since = blocker.since;
    as_gate.unblocked_by = blocker.unblocked_by;
    out += Row(style, w, "Hold", blocker.gate, blocker.cause, blocker.message, Tail(as_gate, now));
  }
  for (const GateLine& gate : chain.gates) {
    out += Row(style, w, gate.verdict, gate.name, gate.cause, gate.message, Tail(gate, now));
    if (gate.causes.size() > 1 && gate.verdict != "Pass") {
      std::string also;
      for (const std::string& cause : gate.causes) {
        if (cause != gate.cause) also += (also.empty() ? "" : ", ") + cause;
      }
      if (!also.empty()) out += fmt::format("        also {}\n", also);
    }
    if (style.evidence) AppendEvidence(gate, out);
  }
  for (const LaterStage& stage : chain.then) out += Then(stage);
  if (!chain.note.empty()) out += chain.note + "\n";
  if (const auto next = base::ParseRfc3339(chain.next_look); next.ok()) {
    out += *next > now ? "next look in " + base::HumanDuration(*next - now) + "\n"
                       : "next look is due\n";
  }
  return out;
}

std::string RenderTable(const std::vector<SiteLine>& lines) {
  if (lines.empty()) return "No sites found.\n";
  std::vector<std::array<std::string, 6>> rows = {
      {"SITE", "STAGE", "WANTS", "READY", "AGENTS", "BLOCKED BY"}};
  for (const SiteLine& line : lines) {
    rows.push_back({line.site, line.stage, line.wants, line.ready, line.agents, line.blocker});
  }
  std::array<std::size_t, 6> width{};
  for (const auto& row : rows) {
    for (std::size_t i = 0; i < row.size(); ++i) width[i] = std::max(width[i], row[i].size());
  }
  std::string out;
  for (const auto& row : rows) {
    std::string line;
    for (std::size_t i = 0; i < row.size(); ++i) line += fmt::format("{:<{}}   ", row[i], width[i]);
    line.erase(line.find_last_not_of(' ') + 1);
    out += line + "\n";
  }
  return out;
}

}  // namespace sluice::kubectl
