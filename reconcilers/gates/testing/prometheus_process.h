// A real Prometheus in a process of its own, scraping every second; its data lies in a temporary
// directory. The destructor ends it and removes the directory.
// Thread rule: one thread.
#pragma once

#include <sys/types.h>

#include <memory>
#include <string>

#include "controller/base/status.h"

namespace sluice::gates::testing {

class PrometheusProcess {
 public:
  // Scrapes 127.0.0.1:`exporter_port` as job "sluice" with these rules (a rule file's text; may be
  // empty). `config` is added to the file of configuration, a remote_read that cannot be reached
  // say: such a Prometheus answers with warnings. Ready on return. Errors: NotFound when there is
  // no prometheus, DeadlineExceeded.
  static base::StatusOr<std::unique_ptr<PrometheusProcess>> Start(int exporter_port,
                                                                  const std::string& rules,
                                                                  const std::string& config = {});
  ~PrometheusProcess();
  PrometheusProcess(const PrometheusProcess&) = delete;
  PrometheusProcess& operator=(const PrometheusProcess&) = delete;

  std::string url() const;
  void Kill();    // -9; its data stays
  void Stop();    // SIGSTOP: it no longer answers
  void Resume();  // SIGCONT

 private:
  PrometheusProcess() = default;
  base::Status WaitReady();

  std::string directory_;
  pid_t pid_ = -1;
  int port_ = 0;
};

}  // namespace sluice::gates::testing
