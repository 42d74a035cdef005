// A client whose writes fail once this replica does not lead: what a reconciler still does after
// the lead was lost reaches nobody.
//
// The check is made before the request is sent; a request already on its way may still arrive, for
// at most its own time limit. Preconditions and the fencing epoch cover that rest.
//
// Thread rule: as the client behind it, which must outlive it. Errors: Aborted, reason
// "NotLeading".
#pragma once

#include <functional>
#include <memory>

#include "controller/client/client.h"

namespace sluice::runtime {

// Told of the answer to each write that changed something for good, on the writing thread.
using WrittenFunction = std::function<void(const meta::Resource&, const meta::Object&)>;

std::unique_ptr<client::Client> NewFencedClient(client::Client& behind,
                                                std::function<bool()> leading,
                                                WrittenFunction written);

}  // namespace sluice::runtime
