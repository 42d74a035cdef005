#include "reconcilers/audit/checkpoint.h"

#include <fmt/format.h>

#include <charconv>

#include "controller/base/time_format.h"

namespace sluice::audit {
namespace {

base::Status Bad(const std::string& key) {
  return base::DataLoss(fmt::format("the audit log's checkpoint: {}", key));
}

template <typename T>
base::Status Number(const std::map<std::string, std::string>& data, const char* key, T& out) {
  const auto found = data.find(key);
  if (found == data.end()) return Bad(key);
  const std::string& text = found->second;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
  return error == std::errc() && end == text.data() + text.size() ? base::OkStatus() : Bad(key);
}

base::Status Hash(const std::map<std::string, std::string>& data, const char* key,
                  std::string& out) {
  const auto found = data.find(key);
  if (found == data.end() || found->second.size() != 64 ||
      found->second.find_first_not_of("0123456789abcdef") != std::string::npos) {
    return Bad(key);
  }
  out = found->second;
  return base::OkStatus();
}

}  // namespace

std::string SignedText(const Checkpoint& c) {
  const bool whole = c.retired.seq == 0;
  std::string text =
      fmt::format("sluice audit head v{}\n{}\n{}\n{}\n{}\n", whole ? 1 : 2, c.head.epoch,
                  c.head.seq, c.head.hash, base::FormatRfc3339(c.time));
  if (!whole) {
    text += fmt::format("{}\n{}\n{}\n", c.retired.epoch, c.retired.seq, c.retired.hash);
  }
  return text;
}

std::map<std::string, std::string> Encode(const Checkpoint& c) {
  std::map<std::string, std::string> out = {{"epoch", std::to_string(c.head.epoch)},
                                            {"seq", std::to_string(c.head.seq)},
                                            {"hash", c.head.hash},
                                            {"time", base::FormatRfc3339(c.time)},
                                            {"signature", c.signature}};
  if (c.retired.seq != 0) {
    out["retiredEpoch"] = std::to_string(c.retired.epoch);
    out["retiredSeq"] = std::to_string(c.retired.seq);
    out["retiredHash"] = c.retired.hash;
  }
  return out;
}

base::StatusOr<Checkpoint> Decode(const std::map<std::string, std::string>& data) {
  Checkpoint out;
  SLUICE_RETURN_IF_ERROR(Number(data, "epoch", out.head.epoch));
  SLUICE_RETURN_IF_ERROR(Number(data, "seq", out.head.seq));
  SLUICE_RETURN_IF_ERROR(Hash(data, "hash", out.head.hash));
  if (data.count("retiredSeq") != 0) {
    SLUICE_RETURN_IF_ERROR(Number(data, "retiredEpoch", out.retired.epoch));
    SLUICE_RETURN_IF_ERROR(Number(data, "retiredSeq", out.retired.seq));
    SLUICE_RETURN_IF_ERROR(Hash(data, "retiredHash", out.retired.hash));
    if (out.retired.seq > out.head.seq) return Bad("retiredSeq");
  }
  const auto time = data.find("time");
  if (time == data.end()) return Bad("time");
  const auto parsed = base::ParseRfc3339(time->second);
  if (!parsed.ok()) return Bad("time");
  out.time = *parsed;
  if (const auto signature = data.find("signature"); signature != data.end()) {
    out.signature = signature->second;
  }
  return out;
}

}  // namespace sluice::audit
