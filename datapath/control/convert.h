// Internal to this folder: the message of api/agent/v1 as the values of config.h.
#pragma once

#include <string>

#include "controller/base/status.h"
#include "datapath/control/config.h"

namespace sluice::agent::v1 {
class Configuration;
class Order;
}  // namespace sluice::agent::v1

namespace sluice::control {

Order FromProto(const agent::v1::Order& order);
void ToProto(const Order& order, agent::v1::Order& out);

// Not validated. Errors: InvalidArgument when a credential is named that is not there, or an enum
// is of a newer controller.
base::StatusOr<Config> ToConfig(const agent::v1::Configuration& message, const std::string& site,
                                const std::string& node);

}  // namespace sluice::control
