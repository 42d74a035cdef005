// Which part of a kind a cache holds: a namespace, labels, fields. Pure; values.
#pragma once

#include <string>
#include <vector>

#include "controller/base/status.h"
#include "controller/meta/object.h"
#include "controller/meta/resource.h"
#include "controller/meta/selector.h"

namespace sluice::cache {

class Scope {
 public:
  // Errors: InvalidArgument: a selector that cannot be read.
  static base::StatusOr<Scope> Of(meta::Resource resource, std::string ns,
                                  const std::string& label_selector,
                                  const std::string& field_selector);

  // Whether it names what it wants: a namespace, or a selector with at least one requirement that
  // something must fulfil to be in it (equality, "in", existence). One that only leaves something
  // out ("a!=b", "a notin (b)", "!a") holds nearly everything.
  bool Narrows() const;
  // Whether the cache will hold the object as it is. False also where only the server can tell: of
  // fields, metadata.name and metadata.namespace are known here.
  bool Shows(const meta::Resource& resource, const meta::Object& object) const;

 private:
  struct Field {
    std::string path;
    std::string value;
    bool equal = true;
  };

  meta::Resource resource_;
  std::string ns_;
  meta::Selector labels_;
  std::vector<Field> fields_;
};

}  // namespace sluice::cache
