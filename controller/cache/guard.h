// The edge of what others register with a cache: index and prune functions, handlers, predicates,
// mappers. They run on the informer's thread for whatever objects there are, and most read JSON
// with calls that throw on a form they do not expect. Without this edge one stored object of
// another form (its CRD changed) ended the process, at every start anew.
//
// An exception is counted each time and logged once for an object and call. Whoever calls decides
// what holds instead, on the side of looking once too often:
//   prune            the object is kept whole
//   index            the object is found under no value of that index
//   handler          the others are still told
//   predicate        the event matters
//   mapper           all keys of the controller are looked at (runtime/controller_entry.h)
//
// Thread rule: any thread.
#pragma once

#include <atomic>
#include <cstdint>
#include <exception>
#include <mutex>
#include <set>
#include <string>
#include <string_view>

#include "controller/meta/object.h"

namespace sluice::cache {

class Guard {
 public:
  // `owner` stands in log lines: "secrets", "controller tenant".
  explicit Guard(std::string owner) : owner_(std::move(owner)) {}

  // False when `call` threw. `object`: what it was about; nullptr: nothing in particular.
  template <typename Function>
  bool Call(std::string_view what, const meta::Object* object, Function&& call) {
    try {
      call();
      return true;
    } catch (const std::exception& error) {
      Threw(what, object, error.what());
    } catch (...) {
      Threw(what, object, "of an unknown type");
    }
    return false;
  }
  std::uint64_t exceptions() const { return exceptions_; }

 private:
  void Threw(std::string_view what, const meta::Object* object, std::string_view error);

  const std::string owner_;
  std::atomic<std::uint64_t> exceptions_{0};
  std::mutex mutex_;
  std::set<std::string> told_;  // guarded by mutex_
};

}  // namespace sluice::cache
