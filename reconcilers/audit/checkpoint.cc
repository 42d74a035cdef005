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

}  // namespace

std::string SignedText(const Checkpoint& c) {
  return fmt::format("sluice audit head v1\n{}\n{}\n{}\n{}\n", c.head.epoch, c.head.seq,
                     c.head.hash, base::FormatRfc3339(c.time));
}

std::map<std::string, std::string> Encode(const Checkpoint& c) {
  return {{"epoch", std::to_string(c.head.epoch)},
          {"seq", std::to_string(c.head.seq)},
          {"hash", c.head.hash},
          {"time", base::FormatRfc3339(c.time)},
          {"signature", c.signature}};
}

base::StatusOr<Checkpoint> Decode(const std::map<std::string, std::string>& data) {
  Checkpoint out;
  SLUICE_RETURN_IF_ERROR(Number(data, "epoch", out.head.epoch));
  SLUICE_RETURN_IF_ERROR(Number(data, "seq", out.head.seq));
  const auto hash = data.find("hash");
  if (hash == data.end() || hash->second.size() != 64 ||
      hash->second.find_first_not_of("0123456789abcdef") != std::string::npos) {
    return Bad("hash");
  }
  out.head.hash = hash->second;
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
