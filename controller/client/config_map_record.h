// A record that is not a kind of its own: the texts of one ConfigMap, read and written by
// compare-and-swap on its resourceVersion.
//
// Thread rule: as the client's.
#pragma once

#include <map>
#include <optional>
#include <string>

#include "controller/base/status.h"
#include "controller/client/client.h"
#include "controller/meta/object.h"

namespace sluice::client {

const meta::Resource& ConfigMapResource();

// The texts under `data`; empty when there are none.
std::map<std::string, std::string> ConfigMapData(const meta::Object& object);

class ConfigMapRecord {
 public:
  // `purpose` is for people who find the object. Both references outlive this.
  ConfigMapRecord(Reader& reader, Writer& writer, meta::Key key, std::string purpose)
      : reader_(reader), writer_(writer), key_(std::move(key)), purpose_(std::move(purpose)) {}

  // nullptr: there is none. Errors: the client's.
  base::StatusOr<meta::ObjectPtr> Read();
  // Replaces what has `expected` as its resourceVersion; empty makes it. The object as written.
  // Errors: Aborted with reason Conflict when another was first or it was deleted meanwhile;
  // AlreadyExists when it was to be made; the client's.
  base::StatusOr<meta::ObjectPtr> Write(const std::map<std::string, std::string>& data,
                                        const std::string& expected);
  const meta::Key& key() const { return key_; }

 private:
  Reader& reader_;
  Writer& writer_;
  const meta::Key key_;
  const std::string purpose_;
};

}  // namespace sluice::client
