#include "reconcilers/site/hardware.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <cstdint>
#include <optional>
#include <string_view>

#include "api/v1alpha1/site_class.pb.h"
#include "controller/meta/json_scanner.h"
#include "controller/meta/quantity.h"

namespace sluice::site {
namespace {

constexpr const char* kPrefix = "hardware.sluice.dev/";
// Kernel and firmware keep some of a node's memory: it matches from this share on.
constexpr std::int64_t kDramPercent = 95;

class Findings {
 public:
  void Add(std::string finding) { text_ += (text_.empty() ? "" : "; ") + std::move(finding); }
  std::string Take() { return std::move(text_); }

 private:
  std::string text_;
};

std::optional<std::int64_t> Number(const std::string& text) {
  const auto parsed = meta::Quantity::Parse(text);
  if (!parsed.ok()) return std::nullopt;
  return parsed->CeilValue();
}

// Compares one labelled fact with the class; says what is wrong.
void CheckLabel(const meta::Object& node, const std::string& what, const std::string& name,
                const std::string& wanted, Findings& out) {
  const std::string key = kPrefix + name;
  const auto value = node.Label(key);
  if (!value.has_value()) {
    out.Add(fmt::format("{}: label {} is missing", what, key));
    return;
  }
  const auto have = Number(*value);
  if (!have.has_value()) {
    out.Add(fmt::format("{}: label {} is \"{}\", not a quantity", what, key, value->substr(0, 32)));
  } else if (*have < Number(wanted).value_or(0)) {
    out.Add(fmt::format("{}: label {} is {}, the class says {}", what, key, *value, wanted));
  }
}

}  // namespace

std::string Mismatch(const v1alpha1::HardwareProfile& profile, const meta::Object& node) {
  Findings out;
  const std::string_view capacity = meta::FindMember(node.status_json(), "capacity");
  if (profile.has_gpus_per_node()) {
    const std::string resource =
        profile.gpu_resource().empty() ? "nvidia.com/gpu" : profile.gpu_resource();
    const std::int64_t have = Number(meta::StringMember(capacity, resource)).value_or(0);
    if (have < profile.gpus_per_node()) {
      out.Add(fmt::format("gpus: {} of {}, the class says {}", have, resource,
                          profile.gpus_per_node()));
    }
  }
  if (!profile.dram().empty()) {
    const std::string memory = meta::StringMember(capacity, "memory");
    const std::int64_t wanted = Number(profile.dram()).value_or(0);
    if (Number(memory).value_or(0) < wanted / 100 * kDramPercent) {
      out.Add(fmt::format("dram: {}, the class says {}", memory.empty() ? "none told" : memory,
                          profile.dram()));
    }
  }
  for (const v1alpha1::DiskProfile& disk : profile.disks()) {
    std::string kind = disk.kind();
    std::transform(kind.begin(), kind.end(), kind.begin(),
                   [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    CheckLabel(node, "disks", kind + "-count", std::to_string(disk.count()), out);
    CheckLabel(node, "disks", kind + "-size", disk.size(), out);
  }
  if (profile.has_nic()) {
    CheckLabel(node, "nic", "nic-count", std::to_string(profile.nic().count()), out);
    CheckLabel(node, "nic", "nic-gbps", std::to_string(profile.nic().gbps()), out);
  }
  return out.Take();
}

}  // namespace sluice::site
