// Internal to this folder: work for the thread of a connection, from any thread.
#pragma once

#include <functional>
#include <mutex>
#include <vector>

namespace sluice::rpc {

class Mailbox {
 public:
  using Task = std::function<void()>;
  Mailbox();
  ~Mailbox();
  Mailbox(const Mailbox&) = delete;
  Mailbox& operator=(const Mailbox&) = delete;

  // Dropped once it is closed. Wakes the owner's thread if it sleeps.
  void Post(Task task);

  // By the owner's thread, as the rest. Readable when there may be something to take.
  int fd() const { return fd_; }
  // Nothing left: the next Post makes fd() readable.
  std::vector<Task> TakeAll();
  void Close();

 private:
  void Wake() const;

  const int fd_;  // an eventfd; lives as long as anybody who may post
  std::mutex mutex_;
  std::vector<Task> tasks_;  // guarded by mutex_, as are:
  bool asleep_ = false;
  bool closed_ = false;
};

}  // namespace sluice::rpc
