// The bench's one kind: which fields a Widget has, and what its status is to say.
//
// Reads an object's spec and status in one pass without building a tree: what a controller that
// cares for its CPU does. Fields that are absent count as Go's zero values: "", 0, false. Pure; any
// thread. The hash: docs of the protocol in README.md (FNV-1a 64 over salt and spec).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "controller/base/status.h"
#include "controller/meta/json_scanner.h"
#include "controller/meta/resource.h"

namespace sluice::bench {

inline const meta::Resource kWidgets{"bench.example.com", "v1", "Widget", "widgets", true};

// Views into the object's text; valid as long as that.
struct Widget {
  struct Spec {
    meta::JsonString title, owner, tier, zone, image;
    std::int64_t replicas = 0;
    std::int64_t weight = 0;
    std::int64_t capacity_bytes = 0;
    bool enabled = false;
    std::int64_t stamp = 0;
    std::vector<meta::JsonString> tags;
    std::vector<std::pair<meta::JsonString, meta::JsonString>> params;
  };
  Spec spec;
  meta::JsonString observed;
  std::int64_t observed_generation = 0;
};

// Replaces what *widget held; what is no JSON object counts as absent. Errors: InvalidArgument when
// a field is not of its type.
base::Status ReadWidget(std::string_view spec, std::string_view status, Widget* widget);

// 16 hex digits. Sorts widget.spec.params by key.
std::string Observed(std::string_view salt, Widget& widget);

}  // namespace sluice::bench
