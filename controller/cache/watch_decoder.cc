#include "controller/cache/watch_decoder.h"

#include <fmt/format.h>

#include <optional>

#include "controller/client/api_error.h"
#include "controller/meta/json_scanner.h"
#include "controller/meta/object_scan.h"

namespace sluice::cache {
namespace {

base::Status Garbled(std::string_view what) {
  return base::DataLoss(fmt::format("watch event: {}", what)).WithReason("GarbledEvent");
}

std::optional<WatchEvent::Type> TypeNamed(std::string_view name) {
  if (name == "ADDED") return WatchEvent::Type::kAdded;
  if (name == "MODIFIED") return WatchEvent::Type::kModified;
  if (name == "DELETED") return WatchEvent::Type::kDeleted;
  if (name == "BOOKMARK") return WatchEvent::Type::kBookmark;
  if (name == "ERROR") return WatchEvent::Type::kError;
  return std::nullopt;
}

}  // namespace

base::StatusOr<WatchEvent> DecodeWatchLine(const meta::Resource& resource, std::string_view line) {
  meta::JsonScanner scanner(line);
  meta::JsonString type_name;
  meta::ObjectScan scan;
  bool has_object = false;
  const bool whole = scanner.Members([&](const meta::JsonString& key) {
    if (key.raw == "type") return scanner.ReadString(&type_name);
    if (key.raw != "object") return scanner.SkipValue();
    has_object = true;
    return meta::ScanObject(scanner, &scan);
  });
  if (!whole || !scanner.AtEnd()) return Garbled("not JSON");
  const std::optional<WatchEvent::Type> type = TypeNamed(type_name.raw);
  if (!type) return Garbled("of an unknown type");
  if (!has_object) return Garbled("without an object");

  WatchEvent event;
  event.type = *type;
  if (event.type == WatchEvent::Type::kError) {
    const std::string_view status =
        line.substr(scan.whole.begin, scan.whole.end - scan.whole.begin);
    event.error = client::ErrorFromStatusObject(status);
    return event;
  }
  if (scan.resource_version.raw.empty()) return Garbled("without a resourceVersion");
  if (event.type == WatchEvent::Type::kBookmark) {
    event.resource_version = scan.resource_version.Decode();
    event.initial_events_end = scan.initial_events_end;
    return event;
  }
  auto object = meta::MakeObject(scanner, scan, &resource);
  if (!object.ok()) return Garbled(object.status().message());
  event.object = std::move(object).value();
  return event;
}

}  // namespace sluice::cache
