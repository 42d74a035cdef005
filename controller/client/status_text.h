// Status writes for whoever makes the JSON itself, thousands of times: neither the body nor the
// answer becomes a tree of values.
//
//   client::ApplyStatusText(writer, kWidgets, key, R"({"apiVersion":…,"status":{…}})", options);
//
// A capability that some StatusWriters have (the Client for a cluster, the Manager's fenced
// client); the function asks, and takes the common way with those that have it not.
//
// Thread rule and errors: as StatusWriter::ApplyStatus; InvalidArgument too when `text` is not JSON
// and the common way has to read it.
#pragma once

#include <string_view>

#include "controller/client/client.h"

namespace sluice::client {

class StatusTextWriter {
 public:
  virtual ~StatusTextWriter() = default;
  // `text` is the whole body: apiVersion, kind, metadata with `key`'s names, status. The object
  // returned holds metadata alone (PartialObjectMetadata).
  virtual base::StatusOr<meta::ObjectPtr> ApplyStatusText(const meta::Resource& resource,
                                                          const meta::Key& key,
                                                          std::string_view text,
                                                          const ApplyOptions& options) = 0;
};

// By the writer's own ApplyStatusText, or else ApplyStatus; of the answer only metadata counts.
base::StatusOr<meta::ObjectPtr> ApplyStatusText(StatusWriter& writer,
                                                const meta::Resource& resource,
                                                const meta::Key& key, std::string_view text,
                                                const ApplyOptions& options);

}  // namespace sluice::client
