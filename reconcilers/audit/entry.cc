#include "reconcilers/audit/entry.h"

#include <fmt/format.h>

#include <algorithm>
#include <exception>
#include <nlohmann/json.hpp>

#include "controller/base/digest.h"
#include "controller/base/time_format.h"
#include "reconcilers/audit/limits.h"

namespace sluice::audit {
namespace {

using base::InvalidArgument;
using Json = nlohmann::ordered_json;

constexpr std::string_view kHashKey = ",\"hash\":\"";
constexpr std::string_view kEnd = "\"}";
constexpr std::size_t kHex = 64;
constexpr std::size_t kSuffix = kHashKey.size() + kHex + kEnd.size();

bool IsHash(std::string_view text) {
  return text.size() == kHex &&
         text.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

base::Status CheckName(const char* field, const std::string& name) {
  if (!name.empty() && name.size() <= kMaxNameBytes) return base::OkStatus();
  return InvalidArgument(fmt::format("{}: must have 1 to {} bytes", field, kMaxNameBytes));
}

std::string Dump(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace

base::StatusOr<std::string> FormatLine(const Entry& entry, std::int64_t epoch, base::WallTime time,
                                       const Head& prev, Head& head) {
  SLUICE_RETURN_IF_ERROR(CheckName("type", entry.type));
  SLUICE_RETURN_IF_ERROR(CheckName("subject", entry.subject));
  SLUICE_RETURN_IF_ERROR(CheckName("actor", entry.actor));
  Json data = Json::parse(entry.data, nullptr, false);
  if (!data.is_object()) return InvalidArgument("data: must be a JSON object");
  head = {.epoch = epoch, .seq = prev.seq + 1, .hash = {}};
  Json line;
  line["seq"] = head.seq;
  line["epoch"] = epoch;
  line["time"] = base::FormatRfc3339Micro(time);
  line["type"] = entry.type;
  line["subject"] = entry.subject;
  line["actor"] = entry.actor;
  line["data"] = std::move(data);
  line["prev"] = prev.hash;
  std::string text = Dump(line);
  text.pop_back();  // the closing brace
  head.hash = base::Sha256Hex(text);
  text.append(kHashKey).append(head.hash).append(kEnd);
  if (text.size() >= kMaxLineBytes) {
    return base::ResourceExhausted(fmt::format("an audit entry of {} bytes", text.size()));
  }
  return text;
}

base::StatusOr<Line> ParseLine(std::string_view text) {
  if (text.size() >= kMaxLineBytes) return InvalidArgument("the line is too long");
  if (text.size() < kSuffix) return InvalidArgument("the line is too short");
  const std::string_view hashed = text.substr(0, text.size() - kSuffix);
  const std::string_view suffix = text.substr(hashed.size());
  const std::string_view hash = suffix.substr(kHashKey.size(), kHex);
  if (suffix.substr(0, kHashKey.size()) != kHashKey || !IsHash(hash) ||
      suffix.substr(kHashKey.size() + kHex) != kEnd) {
    return InvalidArgument("the line does not end with its hash");
  }
  if (base::Sha256Hex(hashed) != hash)
    return InvalidArgument("the line was changed: its hash differs");
  try {
    const Json j = Json::parse(text);
    Line line;
    line.head.epoch = j.at("epoch").get<std::int64_t>();
    line.head.seq = j.at("seq").get<std::uint64_t>();
    line.head.hash = std::string(hash);
    line.prev = j.at("prev").get<std::string>();
    line.entry.type = j.at("type").get<std::string>();
    line.entry.subject = j.at("subject").get<std::string>();
    line.entry.actor = j.at("actor").get<std::string>();
    const auto time = base::ParseRfc3339(j.at("time").get<std::string>());
    if (!time.ok()) return time.status().Annotate("time");
    line.time = *time;
    if (!j.at("data").is_object()) return InvalidArgument("data: not an object");
    line.entry.data = Dump(j["data"]);
    if (!IsHash(line.prev)) return InvalidArgument("prev: not a hash");
    if (line.head.seq == 0 || line.head.epoch < 0) return InvalidArgument("seq or epoch: too low");
    return line;
  } catch (const std::exception& e) {
    return InvalidArgument(std::string("not a line of an audit log: ") + e.what());
  }
}

std::string FileName(std::int64_t epoch, std::uint64_t first_seq) {
  return fmt::format("audit-{:010}-{:012}.jsonl", epoch, first_seq);
}

bool IsFileName(std::string_view name) {
  constexpr std::string_view kForm = "audit-##########-############.jsonl";
  return name.size() == kForm.size() &&
         std::equal(name.begin(), name.end(), kForm.begin(), [](char c, char form) {
           return form == '#' ? c >= '0' && c <= '9' : c == form;
         });
}

std::int64_t EpochOfFileName(std::string_view name) {
  std::int64_t epoch = 0;
  for (const char c : name.substr(6, 10)) epoch = epoch * 10 + (c - '0');
  return epoch;
}

}  // namespace sluice::audit
