// Whether an object's status is of an older spec than its present one. Pure.
#pragma once

#include <string>

#include "controller/meta/object.h"

namespace sluice::kubectl {

// What is said then; empty: the controller has looked at the present spec.
std::string StaleOf(const meta::Object& object);

}  // namespace sluice::kubectl
