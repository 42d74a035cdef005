// One Kubernetes object, immutable, kept as the API server wrote it.
//
// The bytes are the whole object's JSON less metadata.managedFields; nothing else is ever dropped,
// so unknown fields and integers above 2^53 survive. The identity that every cache and queue needs
// is read once at parse; the rest is parsed by whoever wants it (ToJson here, api/types for our
// kinds). A kept object costs its JSON plus a small constant: see docs/performance.md.
//
// Thread rule: immutable; share ObjectPtr freely.
#pragma once

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
using ObjectPtr = std::shared_ptr<const Object>;

class Object {
 public:
  // Errors: InvalidArgument when the bytes are not a JSON object with metadata.name.
  static base::StatusOr<ObjectPtr> Parse(std::string_view json);
  static base::StatusOr<ObjectPtr> FromJson(const nlohmann::json& json);

  virtual ~Object() = default;
  virtual std::string_view name() const = 0;
  virtual std::string_view ns() const = 0;
  virtual std::string_view uid() const = 0;
  virtual std::string_view resource_version() const = 0;
  virtual std::int64_t generation() const = 0;
  virtual bool deleting() const = 0;  // has a deletionTimestamp
  virtual std::string_view json() const = 0;

  Key key() const { return {std::string(ns()), std::string(name())}; }
  nlohmann::json ToJson() const;
  std::optional<std::string> Label(std::string_view key) const;
  std::optional<std::string> Annotation(std::string_view key) const;
  bool HasFinalizer(std::string_view finalizer) const;
};

}  // namespace sluice::meta
