// Both ends of the agents' stream in one process, over loopback and with real TLS: replicas of the
// controller around one epoch object, and agents with directories of their own. Real clocks;
// nothing sleeps blindly: Eventually() waits for what must come true, with a deadline.
#pragma once

#include <atomic>
#include <chrono>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "api/agent/v1/agent.pb.h"
#include "controller/base/clock.h"
#include "datapath/control/source.h"
#include "reconcilers/agents/ca.h"
#include "reconcilers/agents/epoch.h"
#include "reconcilers/agents/fleet.h"
#include "reconcilers/agents/publisher.h"
#include "reconcilers/agents/server.h"
#include "reconcilers/agents/testing.h"

namespace sluice::agents::testing {

// The node most tests play with.
inline const AgentIdentity kN1{"phoenix", "n1"};

bool Eventually(const std::function<bool()>& true_at_last,
                std::chrono::milliseconds within = std::chrono::seconds(20));

// Tokens are "POD on NODE"; anything else is unauthenticated.
class TableReviewer final : public TokenReviewer {
 public:
  base::StatusOr<ReviewedToken> Review(const std::string& site, const std::string& token,
                                       base::MonoTime deadline) override;
  std::atomic<int> asked{0};
};

// The Sites and nodes that are gone; everything else is there.
class TestRoster {
 public:
  base::Status Has(const AgentIdentity& identity) const;
  void Lose(const std::string& site_or_node);
  // Until it is told otherwise it cannot tell.
  void SetReady(bool ready);

 private:
  mutable std::mutex mutex_;
  std::set<std::string> gone_;  // guarded by mutex_
  bool ready_ = true;           // guarded by mutex_
};

// A configuration that only its region tells apart; `good` false: the agent must refuse it.
struct TestContent {
  explicit TestContent(const std::string& region, bool good = true,
                       const std::string& secret = "hush");
  operator SiteContent() const { return {&config, &credentials, {}}; }  // NOLINT: short in tests
  agent::v1::AgentConfig config;
  agent::v1::Credentials credentials;
};

// One controller process.
class Replica {
 public:
  Replica(EpochStore& store, const CertificateAuthority& authority, const TestRoster& roster,
          base::Clock& clock, ServerOptions options);
  ~Replica() { server.Stop(); }
  std::string control() const;
  std::string enrolment() const;

  TableReviewer reviewer;
  ConfigPublisher publisher;
  FleetView fleet;
  AgentServer server;
};

// One agent process. Its directories outlive it: a second Agent of the same name is its restart.
class Agent {
 public:
  struct Options {
    std::string node = "n1";
    std::string token;                   // default: "pod on NODE"
    std::vector<std::string> endpoints;  // default: the replicas'
    std::vector<std::string> enrolments;
  };
  // `answer` decides what the data plane says to each configuration; default: OK.
  Agent(const std::string& root, const std::string& ca_pem, Options options,
        control::Source::OnConfig answer = nullptr);
  ~Agent() { source->Stop(); }

  std::string region() const;  // of the configuration in force; empty: none
  int applied() const;         // how many were put in force by this process
  control::StreamState state() const { return source->state(); }
  std::chrono::seconds drained() const;

  const std::string directory;
  std::unique_ptr<control::StreamSource> source;

 private:
  mutable std::mutex mutex_;
  control::ConfigPtr in_force_;
  int applied_ = 0;
  std::chrono::seconds drained_{0};
};

// The root of a test: directories, an epoch object, an authority.
class World {
 public:
  World();
  ~World() { std::filesystem::remove_all(root); }
  // A short-lived server certificate etc. may be asked for by changing `options` before.
  std::unique_ptr<Replica> StartReplica();
  std::unique_ptr<Replica> StartReplicaAt(const std::string& control, const std::string& enrolment);
  std::unique_ptr<Agent> StartAgent(const Replica& replica, const std::string& node = "n1",
                                    control::Source::OnConfig answer = nullptr);
  std::unique_ptr<Agent> StartAgent(Agent::Options options,
                                    control::Source::OnConfig answer = nullptr);

  std::string root;
  base::RealClock clock;
  MemoryEpochStore store;
  TestRoster roster;
  KeyPair authority_pair;
  CertificateAuthority authority;
  ServerOptions options;
};

}  // namespace sluice::agents::testing
