// One line of a watch to one event, in a single pass over its bytes. Pure; fuzzed.
#pragma once

#include <string>
#include <string_view>

#include "controller/base/status.h"
#include "controller/meta/object.h"
#include "controller/meta/resource.h"

namespace sluice::cache {

struct WatchEvent {
  enum class Type { kAdded, kModified, kDeleted, kBookmark, kError };
  Type type = Type::kError;
  meta::ObjectPtr object;           // added, modified, deleted
  std::string resource_version;     // bookmark
  bool initial_events_end = false;  // bookmark that ends a WatchList's initial state
  base::Status error;               // error: what the server's Status means (client/api_error.h)
};

// Errors: DataLoss when the line is no event: cut, garbled, or of an unknown type.
base::StatusOr<WatchEvent> DecodeWatchLine(const meta::Resource& resource, std::string_view line);

}  // namespace sluice::cache
