// Server-side apply that writes only what differs from the cache.
//
// Two things make a write necessary: the live object lacks something wanted (drift), or what is
// wanted is not what this process applied last (so that fields we stopped wanting are given up).
// The second is a memory: after a start, or a write whose answer was lost, the object is applied
// once more, which changes nothing at the API server if nothing changed here.
//
// Statuses go out as text (status_write.h); a live status that was compared once is not read again
// while it stands as it was.
//
// Thread rule: any thread; a key is applied by one thread at a time (the queue's guarantee).
#pragma once

#include <cstddef>
#include <mutex>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <unordered_map>

#include "controller/base/status.h"
#include "controller/client/client.h"
#include "controller/meta/object.h"
#include "controller/meta/resource.h"

namespace sluice::common {

class Applier {
 public:
  Applier(client::Client& api, std::string field_manager)
      : api_(api), field_manager_(std::move(field_manager)) {}

  struct Written {
    // The answer (of a status its metadata alone), or `live` when nothing had to be written.
    meta::ObjectPtr object;
    bool wrote = false;
  };

  // Makes `wanted` so. `live` is the cached object, nullptr when there is none.
  base::StatusOr<Written> Apply(const meta::Resource& resource, const nlohmann::json& wanted,
                                const meta::ObjectPtr& live);
  // The same for the status subresource; `status` is what stands under "status". Fails with
  // Conflict when the object was deleted and made anew (status_write.h).
  base::StatusOr<Written> ApplyStatus(const meta::Resource& resource, const meta::Object& live,
                                      const nlohmann::json& status);
  // Forgets what was applied to objects of this name; call when an object is gone. What nobody
  // forgets goes when the memory is full.
  void Forget(const meta::Resource& resource, const meta::Key& key);
  // The same of all that was applied in a namespace, which is gone, and of the namespace. Looks at
  // every entry.
  void ForgetNamespace(const std::string& ns);

 private:
  struct Memory {
    std::size_t wanted = 0;  // hash of what was applied last
    // Hash of a live text that was found to say it; 0: of none yet. The same text again need not be
    // read again.
    std::size_t found_in = 0;
  };
  // Nothing: what was applied last is not this, or nobody knows.
  std::optional<Memory> Remembered(const std::string& id, std::size_t wanted) const;
  // Before a write: until its answer came nobody knows what the server has.
  void Forget(const std::string& id);
  void Remember(const std::string& id, Memory memory);

  client::Client& api_;
  const std::string field_manager_;
  mutable std::mutex mutex_;
  // Guarded by mutex_; one entry an object, at most kMaxRemembered.
  std::unordered_map<std::string, Memory> applied_;
};

}  // namespace sluice::common
