#include "reconcilers/site/node_prune.h"

#include <array>
#include <span>
#include <string>
#include <string_view>

#include "controller/meta/json_scanner.h"
#include "reconcilers/common/resources.h"

namespace sluice::site {
namespace {

using std::string_view;

constexpr std::array<string_view, 5> kOfMetadata = {"name", "uid", "resourceVersion",
                                                    "deletionTimestamp", "labels"};
constexpr std::array<string_view, 1> kOfStatus = {"capacity"};
constexpr std::size_t kMost = kOfMetadata.size();

// Appends an object of those members of `object` that are `wanted`, their values as they stand. Of
// two with one name the last, as readers take it. Something else than an object has none.
void AppendMembers(string_view object, std::span<const string_view> wanted, std::string* out) {
  std::array<string_view, kMost> found;
  meta::JsonScanner scanner(object);
  if (scanner.Peek() == '{') {
    scanner.Members([&](const meta::JsonString& key) {
      for (std::size_t i = 0; i < wanted.size(); ++i) {
        if (key.Is(wanted[i])) return scanner.ReadRaw(&found[i]);
      }
      return scanner.SkipValue();
    });
  }
  *out += '{';
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    if (found[i].empty()) continue;
    if (out->back() != '{') *out += ',';
    out->append("\"").append(wanted[i]).append("\":").append(found[i]);
  }
  *out += '}';
}

// What no prune may change: caches and queues go by it.
bool SameIdentity(const meta::Object& a, const meta::Object& b) {
  return a.name() == b.name() && a.ns() == b.ns() && a.uid() == b.uid() &&
         a.resource_version() == b.resource_version() && a.deleting() == b.deleting();
}

}  // namespace

meta::ObjectPtr PruneNode(meta::ObjectPtr node) {
  std::string text = R"({"metadata":)";
  AppendMembers(node->metadata_json(), kOfMetadata, &text);
  text += R"(,"status":)";
  AppendMembers(node->status_json(), kOfStatus, &text);
  text += '}';
  auto kept = meta::Object::ParseAs(common::kNodes, text);
  // Names written twice, or with escapes, are not what a server writes.
  return kept.ok() && SameIdentity(**kept, *node) ? std::move(kept).value() : std::move(node);
}

}  // namespace sluice::site
