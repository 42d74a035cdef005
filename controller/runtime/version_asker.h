// Asks an API server for its version until it answers, on a thread of its own: whether
// resourceVersions compare (cache/resource_version.h) must not hang on one answer, nor a watch on
// the question.
//
// Thread rule: Start once; Stop from any thread, which does not wait for a request under way: the
// destructor does, until its time limit unless the client is stopped before.
#pragma once

#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>

#include "controller/base/clock.h"
#include "controller/client/client.h"

namespace sluice::runtime {

class VersionAsker {
 public:
  // `told` is called once, on the asker's thread. Client and clock outlive it.
  VersionAsker(client::Client& client, base::Clock& clock,
               std::function<void(const client::ServerVersion&)> told);
  ~VersionAsker();
  VersionAsker(const VersionAsker&) = delete;
  VersionAsker& operator=(const VersionAsker&) = delete;

  void Start();
  void Stop();

 private:
  void Ask();

  client::Client& client_;
  base::Clock& clock_;
  const std::function<void(const client::ServerVersion&)> told_;
  std::mutex mutex_;
  std::condition_variable wake_;
  bool stopping_ = false;  // guarded by mutex_
  std::thread thread_;
};

}  // namespace sluice::runtime
