// Which TLS material is in use, where several threads hold several versions of it: it only goes
// forward. A thread that took version 1 before another installed version 2 must not bring 1 back,
// which would close every kept connection, too.
//
// Thread rule: Use from any thread; it returns when that version, or a later one, is in use. What
// could not be installed stays refused: it is not tried again, the next version is.
#pragma once

#include <cstdint>
#include <functional>
#include <mutex>

namespace sluice::client {

class TlsOrder {
 public:
  // Calls `install` if `version` is later than all before, one call at a time.
  void Use(std::uint64_t version, const std::function<void()>& install) {
    const std::lock_guard lock(mutex_);
    if (version <= version_) return;
    version_ = version;
    install();
  }

 private:
  std::mutex mutex_;
  std::uint64_t version_ = 0;  // guarded by mutex_
};

}  // namespace sluice::client
