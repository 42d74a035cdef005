#include "controller/runtime/predicates.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "controller/meta/json_scanner.h"

namespace sluice::runtime {

namespace {

std::string GroupOf(const std::string& api_version) {
  const std::size_t slash = api_version.find('/');
  return slash == std::string::npos ? "" : api_version.substr(0, slash);
}

void AddOwners(const meta::Resource& owner, const meta::Object* object,
               std::vector<meta::Key>& out) {
  if (object == nullptr) return;
  const auto text = meta::FindMember(object->metadata_json(), "ownerReferences");
  if (text.empty()) return;
  const auto references = nlohmann::json::parse(text, nullptr, false);
  if (!references.is_array()) return;
  for (const auto& reference : references) {
    if (!reference.is_object() || !reference.value("controller", false)) continue;
    if (reference.value("kind", "") != owner.kind) continue;
    if (GroupOf(reference.value("apiVersion", "")) != owner.group) continue;
    meta::Key key{owner.namespaced ? std::string(object->ns()) : "", reference.value("name", "")};
    if (std::find(out.begin(), out.end(), key) == out.end()) out.push_back(std::move(key));
  }
}

// Whether the two texts of metadata are the same but for their resourceVersion: every write of a
// status looks like this, and is told without reading the metadata.
bool OnlyVersionDiffers(const meta::Object& before, const meta::Object& after) {
  const auto around = [](const meta::Object& object) {
    const std::string_view metadata = object.metadata_json();
    const std::string_view version = object.resource_version();
    const bool inside = version.data() >= metadata.data() &&
                        version.data() + version.size() <= metadata.data() + metadata.size();
    if (!inside) return std::pair(metadata, std::string_view());  // it was written with escapes
    const auto at = static_cast<std::size_t>(version.data() - metadata.data());
    return std::pair(metadata.substr(0, at), metadata.substr(at + version.size()));
  };
  return around(before) == around(after);
}

// Of metadata, as text: servers write members in one order, and one look too many does no harm.
bool MemberChanged(const cache::Event& event, const char* member) {
  return meta::FindMember(event.before->metadata_json(), member) !=
         meta::FindMember(event.after->metadata_json(), member);
}

}  // namespace

bool SpecChanged(const cache::Event& event) {
  if (event.before == nullptr || event.after == nullptr) return true;
  const meta::Object& before = *event.before;
  const meta::Object& after = *event.after;
  return before.uid() != after.uid() || before.generation() != after.generation() ||
         before.deleting() != after.deleting();
}

bool SpecOrLabelsChanged(const cache::Event& event) {
  return SpecChanged(event) || MemberChanged(event, "labels");
}

bool SpecOrMetadataChanged(const cache::Event& event) {
  if (SpecChanged(event)) return true;
  const meta::Object& before = *event.before;
  const meta::Object& after = *event.after;
  if (after.generation() == 0) return before.resource_version() != after.resource_version();
  if (OnlyVersionDiffers(before, after)) return false;
  return MemberChanged(event, "labels") || MemberChanged(event, "annotations") ||
         MemberChanged(event, "finalizers");
}

std::vector<meta::Key> ControllingOwners(const meta::Resource& owner, const cache::Event& event) {
  std::vector<meta::Key> out;
  AddOwners(owner, event.before.get(), out);
  AddOwners(owner, event.after.get(), out);
  return out;
}

}  // namespace sluice::runtime
