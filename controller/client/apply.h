// Server-side apply of what the cached object does not say already: no request where it does, so a
// controller at rest writes nothing, after a restart too.
//
// A field that is given up is noticed only together with another that differs (meta/semantic.h);
// whoever gives fields up alone has to remember what it applied.
//
// Thread rule and errors: as the writer's.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "controller/client/client.h"

namespace sluice::client {

// `live` is the cached object, nullptr when there is none. What we made is put right by force; what
// we did not know of is not taken over: Conflict when it is another manager's.
base::Status ApplyIfDifferent(Writer& writer, const meta::Resource& resource,
                              const nlohmann::json& wanted, const meta::ObjectPtr& live,
                              const std::string& field_manager);

// `status` is what stands under "status", as far as `field_manager` owns it. Conflict when the name
// is another object's by now: the status has reached that one (the server compares no uid here),
// and its own next round puts it right.
base::Status ApplyStatusIfDifferent(StatusWriter& writer, const meta::Resource& resource,
                                    const meta::Object& live, const nlohmann::json& status,
                                    const std::string& field_manager);

}  // namespace sluice::client
