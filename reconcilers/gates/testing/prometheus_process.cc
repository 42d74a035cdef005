#include "reconcilers/gates/testing/prometheus_process.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <thread>

#include "controller/base/file.h"
#include "reconcilers/gates/prometheus_client.h"

namespace sluice::gates::testing {
namespace {

// Prometheus prints the port it got: "Listening on" address=127.0.0.1:41235.
int PortInLog(const std::string& log) {
  const std::string mark = "\"Listening on\" address=127.0.0.1:";
  const auto at = log.find(mark);
  return at == std::string::npos ? 0 : std::atoi(log.c_str() + at + mark.size());
}

std::string Config(int exporter_port) {
  return fmt::format(
      "global: {{scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s}}\n"
      "rule_files: [rules.yaml]\n"
      "scrape_configs:\n"
      "  - job_name: sluice\n"
      "    static_configs: [{{targets: ['127.0.0.1:{}'], labels: {{site: phoenix}}}}]\n",
      exporter_port);
}

}  // namespace

base::StatusOr<std::unique_ptr<PrometheusProcess>> PrometheusProcess::Start(
    int exporter_port, const std::string& rules, const std::string& more) {
  std::unique_ptr<PrometheusProcess> out(new PrometheusProcess());
  std::string pattern = std::filesystem::temp_directory_path() / "prometheus-XXXXXX";
  if (mkdtemp(pattern.data()) == nullptr) return base::FromErrno(errno, "mkdtemp");
  out->directory_ = pattern;
  SLUICE_RETURN_IF_ERROR(
      base::WriteFileAtomic(pattern + "/prometheus.yml", Config(exporter_port) + more));
  SLUICE_RETURN_IF_ERROR(
      base::WriteFileAtomic(pattern + "/rules.yaml", rules.empty() ? "groups: []\n" : rules));
  const std::string data = "--storage.tsdb.path=" + pattern + "/data";
  const std::string config = "--config.file=" + pattern + "/prometheus.yml";
  const int log = open((pattern + "/log").c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
  if (log < 0) return base::FromErrno(errno, "open log");
  const pid_t pid = fork();
  if (pid < 0) return base::FromErrno(errno, "fork");
  if (pid == 0) {
    dup2(log, 1);
    dup2(log, 2);
    execlp("prometheus", "prometheus", config.c_str(), data.c_str(),
           "--web.listen-address=127.0.0.1:0", nullptr);
    _exit(127);
  }
  close(log);
  out->pid_ = pid;
  SLUICE_RETURN_IF_ERROR(out->WaitReady());
  return out;
}

base::Status PrometheusProcess::WaitReady() {
  const auto limit = std::chrono::steady_clock::now() + std::chrono::seconds(30);
  std::unique_ptr<Provider> provider;
  while (std::chrono::steady_clock::now() < limit) {
    int state = 0;
    if (waitpid(pid_, &state, WNOHANG) == pid_) {
      pid_ = -1;
      return base::NotFound("prometheus ended at once");
    }
    const auto log = base::ReadFile(directory_ + "/log");
    if (port_ == 0 && log.ok()) port_ = PortInLog(*log);
    if (port_ != 0) {
      if (provider == nullptr) {
        SLUICE_ASSIGN_OR_RETURN(provider, NewPrometheus({.url = url()}));
      }
      if (provider->Query("vector(1)", std::chrono::system_clock::now(), {}).ok()) return {};
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(50));  // between two looks
  }
  return base::DeadlineExceeded("prometheus did not become ready");
}

PrometheusProcess::~PrometheusProcess() {
  Kill();
  std::error_code ignored;
  if (!directory_.empty()) std::filesystem::remove_all(directory_, ignored);
}

std::string PrometheusProcess::url() const { return fmt::format("http://127.0.0.1:{}", port_); }

void PrometheusProcess::Kill() {
  if (pid_ <= 0) return;
  kill(pid_, SIGKILL);
  waitpid(pid_, nullptr, 0);
  pid_ = -1;
}

void PrometheusProcess::Stop() {
  if (pid_ <= 0) return;
  kill(pid_, SIGSTOP);
  waitpid(pid_, nullptr, WUNTRACED);  // the signal is only on its way until then
}

void PrometheusProcess::Resume() {
  if (pid_ > 0) kill(pid_, SIGCONT);
}

}  // namespace sluice::gates::testing
