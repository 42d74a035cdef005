// A scripted exporter: serves /metrics on loopback with the values a test sets, or stops serving.
// Thread rule: all methods from any thread.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "controller/http/server.h"

namespace sluice::gates::testing {

class Exporter {
 public:
  Exporter();
  ~Exporter();

  // `series` as it is exposed: `ok{site="phoenix"}`. The value stays until it is set again.
  void Set(const std::string& series, const std::string& value);
  void Remove(const std::string& series);
  // Every scrape raises the series by this much, as a counter under steady load does.
  void Grow(const std::string& series, double by_scrape);
  // Answers 500 from now on: the target is down.
  void Break(bool broken);

  int port() const { return server_->port(); }
  int scrapes() const;

 private:
  http::ServerResponse Serve();

  mutable std::mutex mutex_;
  std::map<std::string, std::string> values_;
  std::map<std::string, double> counters_;
  std::map<std::string, double> growth_;
  bool broken_ = false;
  int scrapes_ = 0;
  std::unique_ptr<http::Server> server_;
};

}  // namespace sluice::gates::testing
