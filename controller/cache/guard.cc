#include "controller/cache/guard.h"

#include "controller/base/log.h"
#include "controller/cache/limits.h"

namespace sluice::cache {

void Guard::Threw(std::string_view what, const meta::Object* object, std::string_view error) {
  ++exceptions_;
  const std::string key = object != nullptr ? object->key().ToString() : "";
  {
    const std::lock_guard lock(mutex_);
    if (told_.size() >= kMaxExceptionsTold) return;
    if (!told_.insert(std::string(what) + " " + key).second) return;
  }
  // A parser's message ends with what it read last, which may be of a Secret.
  error = error.substr(0, error.find("last read"));
  base::log::Error("exception caught, told once for an object",
                   {{"owner", owner_}, {"call", what}, {"object", key}, {"error", error}});
}

}  // namespace sluice::cache
