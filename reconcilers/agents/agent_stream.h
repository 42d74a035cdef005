// Internal to this folder: one agent's stream, as a reactor of gRPC's callback API (no thread per
// stream), and the table of all of them.
//
// Invariants:
//  1. At most one read and one write are outstanding; nothing is started after Finish().
//  2. Before a valid Hello nothing is sent and no site or node finds the stream.
//  3. An offer is sent once: sent again only when its order or version is another.
//
// Life: a stream owns itself until OnDone; the table's reference makes late calls safe.
// Locks: AgentStream::mutex_ before the publisher's and the fleet's, the fleet's before the
// table's; never the table's inside AgentStream::mutex_.
#pragma once

#include <atomic>
#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "api/agent/v1/agent.pb.h"
#include "reconcilers/agents/fleet.h"
#include "reconcilers/agents/grpc_edge.h"
#include "reconcilers/agents/server.h"

namespace sluice::agents {

class AgentStream;

class StreamTable {
 public:
  // A stream that has not said Hello yet: All() alone shows it.
  void Await(const std::shared_ptr<AgentStream>& stream);
  // It said Hello. Returns the streams of the same node that have to go.
  std::vector<std::shared_ptr<AgentStream>> Add(const std::shared_ptr<AgentStream>& stream);
  // True when the node has no other stream.
  bool Remove(const AgentStream& stream);
  std::vector<std::shared_ptr<AgentStream>> OfSite(const std::string& site) const;
  std::vector<std::shared_ptr<AgentStream>> OfNode(const AgentIdentity& identity) const;
  std::vector<std::shared_ptr<AgentStream>> All() const;

 private:
  mutable std::mutex mutex_;
  std::map<const AgentStream*, std::shared_ptr<AgentStream>> strangers_;
  // site -> node -> streams, oldest first
  std::map<std::string, std::map<std::string, std::vector<std::shared_ptr<AgentStream>>>> sites_;
};

// What every stream shares.
struct StreamContext {
  const ServerOptions& options;
  ConfigPublisher& publisher;
  FleetView& fleet;
  const Roster roster;
  base::Clock& clock;
  StreamTable table;
  std::atomic<long> configurations{0}, acks{0}, nacks{0};
  // Streams between accept and OnDone; the server waits for none at its stop.
  std::mutex live_mutex;
  std::condition_variable live_changed;
  int live = 0;
};

class AgentStream final : public grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>,
                          public std::enable_shared_from_this<AgentStream> {
 public:
  static AgentStream* Accept(StreamContext& context, const grpc::CallbackServerContext& call);

  const AgentIdentity& identity() const { return identity_; }
  void Pump();  // sends what is due, if anything
  void Drain(std::chrono::seconds grace);
  void Close(const grpc::Status& status);
  // Closes a stream whose certificate ended, that never said Hello, that fell silent, or whose
  // agent the roster has no more.
  void Sweep(base::WallTime wall, base::MonoTime mono);

  void OnReadDone(bool ok) override;
  void OnWriteDone(bool ok) override;
  void OnCancel() override;
  void OnDone() override;

 private:
  explicit AgentStream(StreamContext& context) : context_(context) {}
  void PumpLocked();
  void WriteLocked(const agent::v1::ControllerMessage& message);
  grpc::Status Take(const agent::v1::AgentMessage& message);
  grpc::Status TakeHello(const agent::v1::Hello& hello);
  void TakeAck(const agent::v1::Ack& ack);
  void TakeNack(const agent::v1::Nack& nack);
  void TakeHealth(const agent::v1::Health& health);

  StreamContext& context_;
  std::shared_ptr<AgentStream> self_;  // until OnDone
  AgentIdentity identity_;             // set before the first callback
  base::WallTime certificate_not_after_;
  grpc::ByteBuffer in_;   // of the outstanding read
  grpc::ByteBuffer out_;  // of the outstanding write

  std::mutex mutex_;
  bool greeted_ = false;  // guarded by mutex_, as all below
  bool welcomed_ = false;
  bool writing_ = false;
  bool closed_ = false;
  Order sent_order_;
  std::string sent_version_;
  std::unique_ptr<agent::v1::ControllerMessage> drain_;  // to be sent, under the order it was said
  base::MonoTime last_heard_;
  base::MonoTime roster_at_;  // when the roster was asked last
};

}  // namespace sluice::agents
