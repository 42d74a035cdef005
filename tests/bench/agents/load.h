// Thousands of simulated agents at one controller, on one thread: each has a certificate of its own
// (one key for all: making thousands says nothing of the controller), a stream, the agents' waits
// before the next try, and says Hello, acks, health and pings as often as they do. What agents
// serve is left out, and so is enrolment, which needs a kubelet's tokens: the authority's key is
// here.
#pragma once

#include <chrono>
#include <memory>
#include <string>

#include "reconcilers/agents/ca.h"

namespace sluice::bench {

struct LoadOptions {
  std::string host = "127.0.0.1";  // an IPv4 address
  int port = 0;
  agents::KeyPair authority;
  std::string site;
  int agents = 0;
  // Agents begin one after the other, as a DaemonSet's pods come; not all in one instant.
  std::chrono::milliseconds between{2};
};

class Load {
 public:
  explicit Load(LoadOptions options);
  ~Load();

  // Until the descriptor `control` ends. For each line from it, one line of JSON about all agents
  // on standard output: {"connected", "streams" begun so far, "versions": {V: {"agents", "p50",
  // "p99", "last"}}}, the times being Unix times of acks.
  void Run(int control);

 private:
  struct Impl;
  const std::unique_ptr<Impl> impl_;
};

// So many connections may be open at once; tells on standard error when the system refuses.
void AllowConnections(int count);

}  // namespace sluice::bench
