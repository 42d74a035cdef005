// What names and labels may look like (k8s.io/apimachinery's validation). Pure; any thread.
//
// Every check returns OK or InvalidArgument that says what is wrong, fit for a condition's message.
#pragma once

#include <string_view>

#include "controller/base/status.h"

namespace sluice::meta {

base::Status CheckDns1123Subdomain(std::string_view text);  // most names: labels with dots, 253
base::Status CheckQualifiedName(std::string_view text);     // label keys: [prefix/]name
base::Status CheckLabelValue(std::string_view text);        // empty, or like a name

}  // namespace sluice::meta
