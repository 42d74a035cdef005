// Asks another system what it thinks: one GET, one small JSON answer {"verdict", "reason"}. Only
// hosts on the controller's allow-list are asked, redirects are not followed, and neither the time
// nor the size of an answer is the other system's to choose.
//
// Thread rule: any thread; Ask blocks at most for `timeout`.
#pragma once

#include <chrono>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "controller/base/status.h"
#include "reconcilers/gates/governance.h"

namespace sluice::gates {

class ExternalAsker {
 public:
  virtual ~ExternalAsker() = default;
  // An answer, or `error` in it when there was none. Errors: InvalidArgument when the address
  // cannot or must not be asked: the gate is Misconfigured.
  virtual base::StatusOr<ExternalFacts> Ask(const std::string& url,
                                            std::chrono::milliseconds timeout,
                                            std::stop_token stop) = 0;
};

class ExternalCheck final : public ExternalAsker {
 public:
  // `allowed`: "host" (its scheme's own port) or "host:port".
  explicit ExternalCheck(std::vector<std::string> allowed) : allowed_(std::move(allowed)) {}
  base::StatusOr<ExternalFacts> Ask(const std::string& url, std::chrono::milliseconds timeout,
                                    std::stop_token stop) override;

 private:
  const std::vector<std::string> allowed_;
};

// What an answer's status and body say. Pure.
ExternalFacts ReadExternalAnswer(const std::string& url, int status, std::string_view body);

}  // namespace sluice::gates
