#include "controller/rpc/mailbox.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <cstdint>
#include <utility>

#include "controller/base/check.h"

namespace sluice::rpc {
Mailbox::Mailbox() : fd_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) { SLUICE_CHECK(fd_ >= 0); }
Mailbox::~Mailbox() { close(fd_); }

void Mailbox::Wake() const {
  const std::uint64_t one = 1;
  SLUICE_CHECK(write(fd_, &one, sizeof(one)) == sizeof(one));
}

void Mailbox::Post(Task task) {
  {
    const std::lock_guard lock(mutex_);
    if (closed_) return;
    tasks_.push_back(std::move(task));
    if (!std::exchange(asleep_, false)) return;
  }
  Wake();  // with the lock given back: who wakes wants it at once
}

std::vector<Mailbox::Task> Mailbox::TakeAll() {
  const std::lock_guard lock(mutex_);
  asleep_ = tasks_.empty();
  return std::exchange(tasks_, {});
}

void Mailbox::Close() {
  std::vector<Task> dropped;
  const std::lock_guard lock(mutex_);
  closed_ = true;
  dropped.swap(tasks_);
}

}  // namespace sluice::rpc
