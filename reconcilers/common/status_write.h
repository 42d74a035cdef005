// The one way in which reconcilers write a status: server-side apply by force under their own field
// manager, as text, so that neither what is sent nor what comes back becomes a tree of values again
// (controller/client/status_text.h). Checked by tests/lint/structure.py.
#pragma once

#include <string>
#include <string_view>

#include "controller/base/status.h"
#include "controller/client/client.h"
#include "controller/meta/object.h"
#include "controller/meta/resource.h"

namespace sluice::common {

enum class StatusPrecondition {
  // None the server would hold to: of a status it compares no uid. One that reached another object
  // of the name is told as Conflict, and that object's own next round puts it right.
  kNone,
  kSameVersion,  // nobody wrote the object since `live`, so it is that object, too
};

// `status` is the JSON text of what stands under "status", as far as `field_manager` owns it. The
// answer holds metadata alone. Errors: the client's; Conflict when a precondition fails.
base::StatusOr<meta::ObjectPtr> WriteStatus(
    client::StatusWriter& api, const meta::Resource& resource, const meta::Object& live,
    std::string_view status, std::string_view field_manager,
    StatusPrecondition precondition = StatusPrecondition::kNone);

}  // namespace sluice::common
