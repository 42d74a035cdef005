// One pass over an object's JSON that finds its identity and its managedFields, and the making of a
// kept Object from that. For readers of LIST and WATCH answers, which meet objects inside a larger
// text; everyone else calls Object::Parse. Pure.
#pragma once

#include <cstdint>
#include <string_view>

#include "controller/base/status.h"
#include "controller/meta/json_scanner.h"
#include "controller/meta/object.h"
#include "controller/meta/resource.h"

namespace sluice::meta {

// Offsets are into the scanner's whole text.
struct ObjectScan {
  struct Range {
    std::size_t begin = 0;
    std::size_t end = 0;
  };
  Range whole;     // from '{' to past '}'
  Range cut;       // managedFields with one comma; empty when there are none
  Range metadata;  // the value, braces included, as are spec and status
  Range spec;
  Range status;
  JsonString name;
  JsonString ns;
  JsonString uid;
  JsonString resource_version;
  std::int64_t generation = 0;
  bool deleting = false;
  bool has_kind = false;
  bool has_api_version = false;
  bool initial_events_end = false;  // the annotation of a WatchList's bookmark
};

// Reads the object that comes next. False when the text is not one; the scanner has then failed.
bool ScanObject(JsonScanner& scanner, ObjectScan* scan);

// Makes the kept object. With `resource`, missing kind and apiVersion are put in front: items of a
// list come without them, and one object should look the same however it came.
// Errors: InvalidArgument (no name, longer than limits.h).
base::StatusOr<ObjectPtr> MakeObject(const JsonScanner& scanner, const ObjectScan& scan,
                                     const Resource* resource);

}  // namespace sluice::meta
