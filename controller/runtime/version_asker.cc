#include "controller/runtime/version_asker.h"

#include <algorithm>

#include "controller/base/log.h"
#include "controller/runtime/limits.h"

namespace sluice::runtime {

VersionAsker::VersionAsker(client::Client& client, base::Clock& clock,
                           std::function<void(const client::ServerVersion&)> told)
    : client_(client), clock_(clock), told_(std::move(told)) {}

VersionAsker::~VersionAsker() {
  Stop();
  if (thread_.joinable()) thread_.join();
}

void VersionAsker::Start() {
  thread_ = std::thread([this] { Ask(); });
}

void VersionAsker::Stop() {
  const std::lock_guard lock(mutex_);
  stopping_ = true;
  wake_.notify_all();
}

void VersionAsker::Ask() {
  base::Duration wait = kMinVersionRetry;
  std::unique_lock lock(mutex_);
  while (!stopping_) {
    lock.unlock();
    const auto version = client::GetServerVersion(client_);
    lock.lock();
    if (stopping_) return;  // an error then says nothing
    if (version.ok()) {
      base::log::Info("API server told its version",
                      {{"major", version->major},
                       {"minor", version->minor},
                       {"comparableVersions", version->ComparableVersions()}});
      lock.unlock();
      return told_(*version);
    }
    base::log::Warn("API server told no version, will ask again", {{"error", version.status()}});
    clock_.WaitUntil(lock, wake_, clock_.Mono() + wait, [&] { return stopping_; });
    wait = std::min<base::Duration>(wait * 2, kMaxVersionRetry);
  }
}

}  // namespace sluice::runtime
