// The origins, as this folder uses them: by name, one exchange at a time. In the agent these are
// clients of datapath/origin, in tests a script.
//
// Thread rule: one Upstream a loop; everything on that loop. Stop: destroy every Exchange first.
#pragma once

#include <memory>
#include <string>

#include "datapath/control/config.h"
#include "datapath/origin/exchange.h"

namespace sluice::serve {

class Upstream {
 public:
  virtual ~Upstream() = default;
  // New exchanges use these origins; those in progress end under the old ones.
  // Errors: InvalidArgument (an endpoint or certificate that cannot be used); nothing changed then.
  virtual base::Status Configure(const control::ConfigPtr& config) = 0;
  // `origin` is a name of the configuration given last, or of an earlier one (then the exchange may
  // fail with Unavailable). `handler` outlives the exchange.
  virtual std::unique_ptr<origin::Exchange> Start(const std::string& origin,
                                                  origin::Request request,
                                                  origin::ResponseHandler* handler) = 0;
};

}  // namespace sluice::serve
