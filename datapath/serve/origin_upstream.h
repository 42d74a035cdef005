// Upstream over datapath/origin: one client per origin of the configuration, circuits shared by all
// loops.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "datapath/net/event_loop.h"
#include "datapath/net/resolver.h"
#include "datapath/origin/health.h"
#include "datapath/serve/upstream.h"

namespace sluice::serve {

// The circuits by origin and endpoint. Thread rule: any thread.
class Circuits {
 public:
  std::shared_ptr<origin::Circuit> Get(const std::string& origin, const std::string& endpoint);

 private:
  std::mutex mutex_;
  std::map<std::string, std::weak_ptr<origin::Circuit>> circuits_;  // guarded by mutex_
};

// All three outlive the Upstream.
std::unique_ptr<Upstream> MakeOriginUpstream(net::EventLoop& loop, net::Resolver& resolver,
                                             Circuits& circuits);

}  // namespace sluice::serve
