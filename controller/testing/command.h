// Runs a program for a test: argument list, no shell, a deadline, its output kept.
#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "controller/base/status.h"

namespace sluice::testing_kit {

// Standard output of the program; its input is `input`. Errors: Internal with the exit code and the
// end of standard error; DeadlineExceeded (it was killed).
base::StatusOr<std::string> RunCommand(const std::vector<std::string>& argv,
                                       const std::string& input = {},
                                       std::chrono::seconds limit = std::chrono::seconds(120));

}  // namespace sluice::testing_kit
