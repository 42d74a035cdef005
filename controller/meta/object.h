// One Kubernetes object, immutable, kept as the API server wrote it.
//
// The bytes are the whole object's JSON less metadata.managedFields; nothing else is ever dropped,
// so unknown fields and integers above 2^53 survive. The identity that every cache and queue needs
// is read once at parse; the rest is parsed by whoever wants it (ToJson here, api/types for our
// kinds). A kept object is one allocation: its JSON and about 110 bytes (docs/performance.md).
//
// Thread rule: immutable; share ObjectPtr freely. Views live as long as the object.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "controller/base/status.h"
#include "controller/meta/resource.h"

namespace sluice::meta {

class Object;
class JsonScanner;
struct ObjectScan;
using ObjectPtr = std::shared_ptr<const Object>;

class Object final {
  struct Private {};

 public:
  // Errors: InvalidArgument when the bytes are not valid JSON, or not an object with metadata.name.
  static base::StatusOr<ObjectPtr> Parse(std::string_view json);
  // The same; puts in kind and apiVersion where they are missing, as in items of a list.
  static base::StatusOr<ObjectPtr> ParseAs(const Resource& resource, std::string_view json);
  static base::StatusOr<ObjectPtr> FromJson(const nlohmann::json& json);

  explicit Object(Private, char* bytes) : bytes_(bytes) {}
  Object(const Object&) = delete;
  Object& operator=(const Object&) = delete;

  std::string_view name() const { return Identity(0); }
  std::string_view ns() const { return Identity(1); }
  std::string_view uid() const { return Identity(2); }
  std::string_view resource_version() const { return Identity(3); }
  std::int64_t generation() const { return generation_; }
  bool deleting() const { return deleting_; }  // has a deletionTimestamp
  std::string_view json() const { return {bytes_, json_bytes_}; }
  // The text of one member's value, found once at parse; empty when there is none. They may be read
  // without a look at the rest, and compared as text.
  std::string_view metadata_json() const { return Text(metadata_); }
  std::string_view spec_json() const { return Text(spec_); }
  std::string_view status_json() const { return Text(status_); }

  Key key() const { return {std::string(ns()), std::string(name())}; }
  nlohmann::json ToJson() const;
  std::optional<std::string> Label(std::string_view key) const;
  std::optional<std::string> Annotation(std::string_view key) const;
  bool HasFinalizer(std::string_view finalizer) const;
  // What keeping this object costs, allocation and counts included.
  std::size_t memory_bytes() const;

 private:
  friend base::StatusOr<ObjectPtr> MakeObject(const JsonScanner& scanner, const ObjectScan& scan,
                                              const Resource* resource);
  static constexpr std::size_t kIdentities = 4;  // name, namespace, uid, resourceVersion
  struct Span {
    std::uint32_t at = 0;
    std::uint32_t bytes = 0;
  };

  // One block for counts, object and `bytes` bytes behind it, which *out points to.
  static std::shared_ptr<Object> Allocate(std::size_t bytes, char** out);
  std::string_view Text(Span span) const { return {bytes_ + span.at, span.bytes}; }
  std::string_view Identity(std::size_t i) const {
    return {bytes_ + identity_at_[i], identity_bytes_[i]};
  }
  std::optional<std::string> MetadataEntry(std::string_view map, std::string_view key) const;

  const char* bytes_;  // behind this object, in its own allocation
  std::int64_t generation_ = 0;
  Span metadata_, spec_, status_;
  std::uint32_t json_bytes_ = 0;
  std::array<std::uint32_t, kIdentities> identity_at_{};
  std::array<std::uint16_t, kIdentities> identity_bytes_{};
  bool deleting_ = false;
};

}  // namespace sluice::meta
