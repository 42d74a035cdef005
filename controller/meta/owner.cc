#include "controller/meta/owner.h"

#include <nlohmann/json.hpp>

#include "controller/meta/json_scanner.h"

namespace sluice::meta {
namespace {

bool ReadText(JsonScanner& scanner, std::string* out) {
  if (scanner.Peek() != '"') return scanner.SkipValue();
  JsonString value;
  if (!scanner.ReadString(&value)) return false;
  *out = value.Decode();
  return true;
}

bool ReadFlag(JsonScanner& scanner, bool* out) {
  const char first = scanner.Peek();
  return first == 't' || first == 'f' ? scanner.ReadBool(out) : scanner.SkipValue();
}

bool ReadReference(JsonScanner& scanner, OwnerReference* out) {
  if (scanner.Peek() != '{') return scanner.SkipValue();
  return scanner.Members([&](const JsonString& key) {
    if (key.Is("apiVersion")) return ReadText(scanner, &out->api_version);
    if (key.Is("kind")) return ReadText(scanner, &out->kind);
    if (key.Is("name")) return ReadText(scanner, &out->name);
    if (key.Is("uid")) return ReadText(scanner, &out->uid);
    if (key.Is("controller")) return ReadFlag(scanner, &out->controller);
    if (key.Is("blockOwnerDeletion")) return ReadFlag(scanner, &out->block_owner_deletion);
    return scanner.SkipValue();
  });
}

}  // namespace

bool OwnerReference::RefersTo(const Resource& resource) const {
  const std::size_t slash = api_version.find('/');
  const std::string group = slash == std::string::npos ? "" : api_version.substr(0, slash);
  return kind == resource.kind && group == resource.group;
}

std::vector<OwnerReference> OwnersOf(const Object& object) {
  std::vector<OwnerReference> owners;
  JsonScanner scanner(FindMember(object.metadata_json(), "ownerReferences"));
  if (scanner.Peek() != '[') return owners;
  scanner.Elements([&] {
    OwnerReference owner;
    if (!ReadReference(scanner, &owner)) return false;
    if (!owner.kind.empty() && !owner.name.empty()) owners.push_back(std::move(owner));
    return true;
  });
  return owners;
}

std::optional<OwnerReference> ControllerOf(const Object& object) {
  for (OwnerReference& owner : OwnersOf(object)) {
    if (owner.controller) return std::move(owner);
  }
  return std::nullopt;
}

nlohmann::json MakeControllerReference(const Resource& resource, const Object& owner) {
  return {{"apiVersion", resource.ApiVersion()},
          {"kind", resource.kind},
          {"name", std::string(owner.name())},
          {"uid", std::string(owner.uid())},
          {"controller", true},
          {"blockOwnerDeletion", true}};
}

}  // namespace sluice::meta
