#include "controller/cmd/kubectl_sluice/answer.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <nlohmann/json.hpp>

#include "controller/base/check.h"
#include "controller/base/time_format.h"

namespace sluice::kubectl {
namespace {

using Json = nlohmann::ordered_json;

void Hold(const std::string& gate, const std::string& cause, const std::string& message,
          const std::string& since, const std::string& unblocked_by, Advance& out, Json& holds) {
  out.text += fmt::format("  HOLD  {}  {}  {}", gate, cause, message);
  if (!since.empty()) out.text += "  since " + since;
  if (!unblocked_by.empty()) out.text += "  unblocked by " + unblocked_by;
  out.text += "\n";
  holds.push_back({{"gate", gate},
                   {"cause", cause},
                   {"message", message},
                   {"since", since},
                   {"unblockedBy", unblocked_by}});
}

// Without quotes where no reader of YAML could take it for anything but text.
std::string KeyOf(const std::string& key) {
  constexpr const char* kWords[] = {"true", "false", "null", "yes", "no", "on", "off", "y", "n"};
  const bool letters = !key.empty() && std::all_of(key.begin(), key.end(), [](unsigned char c) {
    return std::isalpha(c) != 0;
  });
  const bool word = std::any_of(std::begin(kWords), std::end(kWords), [&](std::string_view other) {
    return std::equal(key.begin(), key.end(), other.begin(), other.end(),
                      [](unsigned char a, char b) { return std::tolower(a) == b; });
  });
  return letters && !word ? key : Json(key).dump();
}

void Write(const Json& value, std::size_t indent, bool in_list, std::string& out) {
  const std::string margin(indent, ' ');
  if ((value.is_object() || value.is_array()) && value.empty()) {
    out += value.is_object() ? " {}\n" : " []\n";
  } else if (value.is_object()) {
    bool first = true;
    if (!in_list) out += "\n";
    for (const auto& [key, each] : value.items()) {
      out += (first && in_list ? " " : margin) + KeyOf(key) + ":";
      first = false;
      Write(each, indent + 2, false, out);
    }
  } else if (value.is_array()) {
    out += "\n";
    for (const Json& each : value) {
      out += margin + "-";
      Write(each, indent + 2, true, out);
    }
  } else {
    out += " " + value.dump() + "\n";
  }
}

Advance CannotTell(const Chain& chain) {
  const Json form = {
      {"site", chain.site}, {"advances", false}, {"from", chain.stage}, {"stale", chain.stale}};
  return {false, fmt::format("cannot tell of {}: {}\n", chain.site, chain.stale),
          form.dump(2) + "\n"};
}

}  // namespace

Advance CanAdvance(const Chain& chain, base::WallTime now) {
  if (!chain.stale.empty()) return CannotTell(chain);
  Advance out;
  Json holds = Json::array();
  for (const Blocker& b : chain.blockers) {
    Hold(b.gate, b.cause, b.message, b.since, b.unblocked_by, out, holds);
  }
  for (const GateLine& g : chain.gates) {
    const auto until = base::ParseRfc3339(g.valid_until);
    const bool valid = until.ok() && now < *until;
    if (g.verdict == "Pass" && valid) continue;
    Hold(g.name, g.cause, g.verdict == "Pass" ? "passed, and is to be looked at again" : g.message,
         g.since, g.unblocked_by, out, holds);
  }
  out.yes = !chain.next.empty() && !chain.gates.empty() && holds.empty();
  std::string first;
  if (chain.next.empty()) {
    first = fmt::format("no: {} climbs to nothing: {}", chain.site, chain.note);
  } else {
    first = fmt::format("{}: {} from {} to {}", out.yes ? "yes" : "no", chain.site,
                        chain.stage.empty() ? "no stage" : chain.stage, chain.next);
    if (!out.yes && holds.empty()) first += ", whose gates were not looked at yet";
  }
  out.text = first + "\n" + out.text;
  const Json json = {{"site", chain.site},           {"advances", out.yes},
                     {"from", chain.stage},          {"to", chain.next},
                     {"promotion", chain.promotion}, {"holds", holds},
                     {"nextLook", chain.next_look},  {"note", chain.note}};
  out.json = json.dump(2) + "\n";
  return out;
}

std::string Formatted(Output output, const std::string& text, const std::string& json) {
  if (output == Output::kJson) return json;
  return output == Output::kYaml ? YamlOf(json) : text;
}

std::string YamlOf(const std::string& json) {
  const Json value = Json::parse(json, nullptr, false);
  SLUICE_CHECK(!value.is_discarded());
  std::string out;
  Write(value, 0, false, out);
  out.erase(0, 1);  // what parts a value from its key
  return out;
}

}  // namespace sluice::kubectl
