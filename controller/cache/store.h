// The cache of one kind in one cluster, as reconcilers see it: what the watch last told.
//
// A Store is filled by its Informer (informer.h: list + watch, relist on 410, bookmarks). Objects
// are immutable and shared. Read-your-writes: after our own write call ExpectAtLeast with the
// answer; a reconciler that finds IsStale(key) waits for the watch to catch up instead of acting
// twice.
//
// Thread rule: all methods from any thread.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "controller/meta/object.h"
#include "controller/meta/resource.h"

namespace sluice::cache {

class Store {
 public:
  virtual ~Store() = default;
  virtual const meta::Resource& resource() const = 0;
  virtual bool synced() const = 0;
  virtual meta::ObjectPtr Get(const meta::Key& key) const = 0;  // nullptr when not there
  virtual std::vector<meta::ObjectPtr> List() const = 0;        // sorted by key
  // In no order: sorting thousands costs more than most do with them.
  virtual std::vector<meta::ObjectPtr> Unsorted() const = 0;
  virtual std::vector<meta::Key> Keys() const = 0;  // in no order
  virtual std::vector<meta::ObjectPtr> ByIndex(std::string_view index,
                                               std::string_view value) const = 0;
  virtual std::size_t size() const = 0;

  virtual void ExpectAtLeast(const meta::Object& written) = 0;
  virtual bool IsStale(const meta::Key& key) const = 0;
};

// Values under which an object is found by ByIndex. Pure.
using IndexFunction = std::function<std::vector<std::string>(const meta::Object&)>;

// One change of the cache. `before` is nullptr on add, `after` on delete. `initial` marks objects
// of a list (start-up or relist), which queues give a lower priority.
struct Event {
  meta::ObjectPtr before;
  meta::ObjectPtr after;
  bool initial = false;
};
// Called on the informer's thread, in order; must not block.
using EventHandler = std::function<void(const Event&)>;

}  // namespace sluice::cache
