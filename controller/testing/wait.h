// Waiting in tests: for a fact, with a deadline; never for a time.
#pragma once

#include <chrono>
#include <functional>
#include <thread>

#include "controller/testing/limits.h"

namespace sluice::testing_kit {

// True as soon as `fact()` is; false when it was not by then. Looks every few milliseconds.
inline bool WaitUntil(const std::function<bool()>& fact,
                      std::chrono::milliseconds limit = kDefaultWait) {
  const auto deadline = std::chrono::steady_clock::now() + limit;
  while (!fact()) {
    if (std::chrono::steady_clock::now() >= deadline) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  return true;
}

}  // namespace sluice::testing_kit
