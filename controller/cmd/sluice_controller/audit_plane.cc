#include "controller/cmd/sluice_controller/audit_plane.h"

#include <unistd.h>

#include <cerrno>
#include <condition_variable>
#include <mutex>

#include "controller/base/log.h"
#include "reconcilers/audit/limits.h"

namespace sluice::controller_main {

using base::Status;

namespace {

// Straight to the descriptor: the log says in which order lines are written.
Status ToStdout(std::string_view lines) {
  while (!lines.empty()) {
    const ssize_t done = ::write(STDOUT_FILENO, lines.data(), lines.size());
    if (done < 0 && errno == EINTR) continue;
    if (done <= 0) return base::FromErrno(errno, "audit log to standard output");
    lines.remove_prefix(static_cast<std::size_t>(done));
  }
  return base::OkStatus();
}

audit::LogOptions LogOptionsOf(const AuditPlaneOptions& options,
                               std::function<std::string()> signing_key) {
  audit::LogOptions log;
  log.directory = options.directory;
  log.identity = options.identity;
  log.retention = options.retention;
  if (options.to_stdout) log.ship = ToStdout;
  log.sign = [key = std::move(signing_key)](const std::string& text) {
    return audit::Sign(key(), text);
  };
  return log;
}

}  // namespace

AuditPlane::AuditPlane(AuditPlaneOptions options, client::Client& client, base::Clock& clock,
                       std::function<std::string()> signing_key)
    : store_(client, client, options.ns),
      disk_(audit::PosixDisk()),
      log_(LogOptionsOf(options, std::move(signing_key)), *disk_, store_, clock),
      thread_([this](const std::stop_token& stop) { Run(stop); }) {}

AuditPlane::~AuditPlane() { Stop(); }

void AuditPlane::Register(runtime::Manager& manager) {
  auto& metrics = manager.metrics();
  const auto gauge = [&](const char* name, const char* help, auto read) {
    metrics.AddGauge(name, help, {},
                     [this, read] { return static_cast<double>(read(log_.stats())); });
  };
  const auto counter = [&](const char* name, const char* help, auto read) {
    metrics.AddCounter(name, help, {},
                       [this, read] { return static_cast<double>(read(log_.stats())); });
  };
  gauge("sluice_audit_unavailable", "1 while this replica leads and cannot write the audit log.",
        [](const auto& stats) { return stats.leading && !stats.open ? 1 : 0; });
  counter("sluice_audit_entries_total", "Audit entries written by this replica since it started.",
          [](const auto& stats) { return stats.entries; });
  counter("sluice_audit_failures_total",
          "Writes of the audit log that failed since this replica started.",
          [](const auto& stats) { return stats.failures; });
  counter("sluice_audit_unshipped_total", "Audit lines that standard output did not take.",
          [](const auto& stats) { return stats.unshipped; });
  gauge("sluice_audit_head_seq", "Number of the audit log's last line; 0 on a follower.",
        [](const auto& stats) { return stats.head.seq; });
  gauge("sluice_audit_retired_seq",
        "Number of the last audit line that retention may have removed; 0 while none was.",
        [](const auto& stats) { return stats.retired; });
  gauge("sluice_audit_retention_blocked",
        "1 while audit files that retention would remove are kept because they are not whole.",
        [](const auto& stats) { return stats.retention_blocked ? 1 : 0; });
  gauge("sluice_audit_checkpoint_seq", "Number of the line that the last checkpoint names.",
        [](const auto& stats) { return stats.checkpointed; });
}

void AuditPlane::OnLead(std::int64_t epoch) {
  const Status status = log_.Open(epoch);
  if (status.ok()) base::log::Info("audit log opened", {{"epoch", epoch}});
}

void AuditPlane::Stop() {
  if (!thread_.joinable()) return;
  thread_.request_stop();
  thread_.join();
  log_.Close();
}

void AuditPlane::Run(const std::stop_token& stop) {
  std::mutex mutex;
  std::condition_variable_any wake;
  std::unique_lock lock(mutex);
  while (!stop.stop_requested()) {
    wake.wait_for(lock, stop, audit::kCheckpointEvery, [] { return false; });
    if (stop.stop_requested()) return;
    if (const Status status = log_.WriteCheckpoint(); !status.ok()) {
      base::log::Warn("checkpoint of the audit log could not be written", {{"error", status}});
    }
    if (const Status status = log_.Retire(); !status.ok()) {
      base::log::Warn("audit files were not retired", {{"error", status}});
    }
  }
}

}  // namespace sluice::controller_main
