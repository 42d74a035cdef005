// Internal to this folder: one agent's stream, as the handler of a call (no thread per stream).
//
// Invariants:
//  1. At most one message is being sent; nothing is begun after Close().
//  2. Before a valid Hello nothing is sent and no site or node finds the stream.
//  3. An offer is sent once: sent again only when its order or version is another, or a while after
//     the agent refused it: the cause may have been of the moment, and no agent asks by itself.
//
// Life: its call owns it until OnEnd; the table's reference makes late calls safe.
// Locks: AgentStream::mutex_ before the publisher's and the fleet's, the fleet's before the
// table's; never the table's inside AgentStream::mutex_.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

#include "api/agent/v1/agent.pb.h"
#include "controller/rpc/server.h"
#include "reconcilers/agents/fleet.h"
#include "reconcilers/agents/rounds.h"
#include "reconcilers/agents/server.h"
#include "reconcilers/agents/stream_table.h"

namespace sluice::agents {

// What every stream shares.
struct StreamContext {
  const ServerOptions& options;
  ConfigPublisher& publisher;
  FleetView& fleet;
  const Roster roster;
  base::Clock& clock;
  StreamTable table;
  Rounds rounds;
  std::atomic<long> configurations{0}, acks{0}, nacks{0};
  std::atomic<int> live{0};  // streams between Accept and OnEnd
};

class AgentStream final : public rpc::Handler, public std::enable_shared_from_this<AgentStream> {
 public:
  static std::shared_ptr<rpc::Handler> Accept(StreamContext& context,
                                              std::shared_ptr<rpc::Call> call);

  const AgentIdentity& identity() const { return identity_; }
  void Pump();  // sends what is due, if anything
  void Drain(std::chrono::seconds grace);
  void Close(base::Status status);
  // Closes a stream whose certificate ended, that never said Hello, that fell silent, or whose
  // agent the roster has no more. Answers when to look again, as long as wall time runs with mono
  // time; nullopt: no more.
  std::optional<base::MonoTime> Sweep(base::WallTime wall, base::MonoTime mono);

  void OnMessage(std::string_view message) override;
  void OnSent() override;
  void OnHalfClose() override;
  void OnEnd() override;

 private:
  AgentStream(StreamContext& context, std::shared_ptr<rpc::Call> call)
      : context_(context), call_(std::move(call)) {}
  void PumpLocked();
  void SendLocked(const agent::v1::ControllerMessage& message);
  base::Status Take(const agent::v1::AgentMessage& message);
  base::Status TakeHello(const agent::v1::Hello& hello);
  void TakeAck(const agent::v1::Ack& ack);
  void TakeNack(const agent::v1::Nack& nack);
  void OfferAgainLater(const agent::v1::Nack& nack);
  void TakeHealth(const agent::v1::Health& health);

  StreamContext& context_;
  const std::shared_ptr<rpc::Call> call_;
  AgentIdentity identity_;  // set before the first callback
  base::WallTime certificate_not_after_;

  std::mutex mutex_;
  bool greeted_ = false;  // guarded by mutex_, as all below
  bool welcomed_ = false;
  bool sending_ = false;
  bool closed_ = false;
  Order sent_order_;
  std::string sent_version_;
  int refusals_ = 0;                        // in a row, of what was sent last
  std::optional<base::MonoTime> again_at_;  // it was refused: from then on it is offered again
  std::unique_ptr<agent::v1::ControllerMessage> drain_;  // to be sent, under the order it was said
  base::MonoTime last_heard_;
  base::MonoTime roster_at_;  // when the roster was asked last
};

}  // namespace sluice::agents
