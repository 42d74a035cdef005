#include "reconcilers/agents/agent_stream.h"

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <utility>

#include "controller/base/log.h"
#include "controller/base/text.h"
#include "reconcilers/agents/limits.h"
#include "reconcilers/agents/peer.h"

namespace sluice::agents {
namespace {

Order FromProto(const agent::v1::Order& order) {
  return {order.lineage().substr(0, kMaxVersionBytes), order.epoch(), order.revision()};
}

AgentHealth FromProto(agent::v1::Health::State state) {
  switch (state) {
    case agent::v1::Health::STARTING:
      return AgentHealth::kStarting;
    case agent::v1::Health::SERVING:
      return AgentHealth::kServing;
    case agent::v1::Health::DEGRADED:
      return AgentHealth::kDegraded;
    case agent::v1::Health::DRAINING:
      return AgentHealth::kDraining;
    default:
      return AgentHealth::kUnknown;
  }
}

CertificateState FromProto(agent::v1::Health::Certificates state) {
  switch (state) {
    case agent::v1::Health::CERTIFICATES_SHOWN:
      return CertificateState::kShown;
    case agent::v1::Health::CERTIFICATES_ENDED:
      return CertificateState::kEnded;
    case agent::v1::Health::CERTIFICATES_UNUSABLE:
      return CertificateState::kUnusable;
    case agent::v1::Health::CERTIFICATES_MISSING:
      return CertificateState::kMissing;
    default:
      return CertificateState::kUnknown;
  }
}

// OK also while the roster cannot tell: a certificate is still good for what it was given for.
base::Status StillThere(const Roster& roster, const AgentIdentity& identity) {
  const base::Status status = roster(identity);
  if (status.code() == base::Code::kUnavailable) return base::OkStatus();
  if (!status.ok()) {
    base::log::Warn("agent refused",
                    {{"site", identity.site}, {"node", identity.node}, {"error", status}});
  }
  return status;
}

// Between a half and the whole of a bound that doubles with each refusal. By its name a node keeps
// its place, so that a fleet that refused at one instant is not offered the same at one.
base::Duration OfferAgainAfter(base::Duration first, int refusals, const AgentIdentity& identity) {
  base::Duration bound = std::min<base::Duration>(first, kOfferAgainMost);
  for (; refusals > 1 && bound < kOfferAgainMost; --refusals) {
    bound = std::min<base::Duration>(bound * 2, kOfferAgainMost);
  }
  constexpr std::size_t kPlaces = 1024;
  const std::size_t place = std::hash<std::string>{}(identity.node) % kPlaces;
  return bound / 2 + bound / 2 * static_cast<int>(place) / static_cast<int>(kPlaces);
}

}  // namespace

std::shared_ptr<rpc::Handler> AgentStream::Accept(StreamContext& context,
                                                  std::shared_ptr<rpc::Call> call) {
  const std::shared_ptr<AgentStream> stream(new AgentStream(context, std::move(call)));
  if (++context.live > kMaxStreams) {
    stream->Close(base::ResourceExhausted("too many streams"));
    return stream;
  }
  auto peer = PeerOf(*stream->call_);
  if (!peer.ok()) {
    stream->Close(peer.status());
    return stream;
  }
  stream->identity_ = peer->identity;
  stream->certificate_not_after_ = peer->certificate_not_after;
  stream->last_heard_ = context.clock.Mono();
  if (peer->certificate_not_after <= context.clock.Wall()) {
    stream->Close(base::Unauthenticated("the certificate has ended"));
    return stream;
  }
  context.table.Await(stream);
  context.rounds.Add(stream);
  return stream;
}

void AgentStream::Close(base::Status status) {
  const std::lock_guard lock(mutex_);
  if (std::exchange(closed_, true)) return;
  call_->Finish(std::move(status));
}

void AgentStream::OnHalfClose() { Close(base::OkStatus()); }

void AgentStream::OnEnd() {
  bool greeted = false;
  {
    const std::lock_guard lock(mutex_);
    closed_ = true;
    greeted = greeted_;
  }
  const bool last_of_node = context_.table.Remove(*this);
  if (greeted && last_of_node) {
    context_.fleet.Update(identity_, [&](NodeState& node) {
      // A new stream of the node may have said Hello since.
      if (!context_.table.OfNode(identity_).empty()) return false;
      node.connected = false;
      node.since = context_.clock.Wall();
      return true;
    });
  }
  --context_.live;
}

void AgentStream::OnMessage(std::string_view bytes) {
  {
    const std::lock_guard lock(mutex_);
    if (closed_) return;
    last_heard_ = context_.clock.Mono();
  }
  agent::v1::AgentMessage message;
  if (!message.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) {
    return Close(base::InvalidArgument("not an AgentMessage"));
  }
  if (base::Status status = Take(message); !status.ok()) Close(std::move(status));
}

base::Status AgentStream::Take(const agent::v1::AgentMessage& message) {
  bool greeted = false;
  {
    const std::lock_guard lock(mutex_);
    greeted = greeted_;
  }
  if (message.has_hello() == greeted) {
    return base::FailedPrecondition("Hello comes first, and once");
  }
  switch (message.kind_case()) {
    case agent::v1::AgentMessage::kHello:
      return TakeHello(message.hello());
    case agent::v1::AgentMessage::kAck:
      TakeAck(message.ack());
      break;
    case agent::v1::AgentMessage::kNack:
      TakeNack(message.nack());
      break;
    case agent::v1::AgentMessage::kHealth:
      TakeHealth(message.health());
      break;
    default:
      break;  // of a newer agent: nothing we know how to use
  }
  return base::OkStatus();
}

base::Status AgentStream::TakeHello(const agent::v1::Hello& hello) {
  if (hello.site() != identity_.site || hello.node() != identity_.node) {
    base::log::Warn("agent refused", {{"certificate", IdentityUri(identity_)},
                                      {"says_site", hello.site().substr(0, 253)},
                                      {"says_node", hello.node().substr(0, 253)}});
    return base::PermissionDenied(
        fmt::format("the certificate is for node {} of site {}", identity_.node, identity_.site));
  }
  if (const base::Status status = StillThere(context_.roster, identity_); !status.ok()) {
    return status;
  }
  {
    const std::lock_guard lock(mutex_);
    greeted_ = true;
    roster_at_ = context_.clock.Mono();
    // What it runs already need not be sent.
    sent_order_ = FromProto(hello.applied_order());
    sent_version_ = hello.applied_version();
  }
  for (const auto& old : context_.table.Add(shared_from_this())) {
    old->Close(base::Aborted("the node has newer streams"));
  }
  context_.fleet.Update(identity_, [&](NodeState& node) {
    node.connected = true;
    node.since = context_.clock.Wall();
    node.agent_version = hello.agent_version().substr(0, kMaxVersionBytes);
    node.applied_version = hello.applied_version().substr(0, kMaxVersionBytes);
    node.applied_order = FromProto(hello.applied_order());
    node.seen_order = FromProto(hello.seen_order());
    return true;
  });
  Pump();
  return base::OkStatus();
}

void AgentStream::TakeAck(const agent::v1::Ack& ack) {
  ++context_.acks;
  {
    const std::lock_guard lock(mutex_);
    again_at_.reset();
    refusals_ = 0;
  }
  context_.fleet.Update(identity_, [&](NodeState& node) {
    node.applied_version = ack.version().substr(0, kMaxVersionBytes);
    node.applied_order = FromProto(ack.order());
    if (node.seen_order.lineage != node.applied_order.lineage) node.seen_order = node.applied_order;
    node.seen_order = std::max(node.seen_order, node.applied_order);
    node.nacked_version.clear();
    node.nack_reason.clear();
    return true;
  });
}

void AgentStream::TakeNack(const agent::v1::Nack& nack) {
  ++context_.nacks;
  OfferAgainLater(nack);
  const std::string version = nack.version().substr(0, kMaxVersionBytes);
  const std::string reason(base::Cut(nack.reason(), kMaxReasonBytes));
  bool is_news = false;  // the same once more is none, to listeners or the log
  context_.fleet.Update(identity_, [&](NodeState& node) {
    is_news = node.nacked_version != version || node.nack_reason != reason;
    node.nacked_version = version;
    node.nack_reason = reason;
    return is_news;
  });
  if (!is_news) return;
  base::log::Warn("agent refused a configuration", {{"site", identity_.site},
                                                    {"node", identity_.node},
                                                    {"version", version},
                                                    {"reason", reason}});
}

void AgentStream::OfferAgainLater(const agent::v1::Nack& nack) {
  base::MonoTime when;
  {
    const std::lock_guard lock(mutex_);
    // One answer to each offer counts: nobody makes us note turns without end.
    if (again_at_ || nack.version() != sent_version_) return;
    if (FromProto(nack.order()) != sent_order_) return;
    ++refusals_;
    when =
        context_.clock.Mono() + OfferAgainAfter(context_.options.offer_again, refusals_, identity_);
    again_at_ = when;
  }
  context_.rounds.PumpAt(when, shared_from_this());
}

void AgentStream::TakeHealth(const agent::v1::Health& health) {
  context_.fleet.Update(identity_, [&](NodeState& node) {
    std::vector<std::string> problems;
    for (const auto& problem : health.problems()) {
      if (problems.size() < kMaxProblems) problems.push_back(problem.substr(0, kMaxProblemBytes));
    }
    const auto state = FromProto(health.state());
    const auto certificates = FromProto(health.certificates());
    std::string problem = health.certificate_problem().substr(0, kMaxProblemBytes);
    const bool was_degraded = node.health == AgentHealth::kDegraded;
    const bool is_degraded = state == AgentHealth::kDegraded;
    const bool told = node.certificates != certificates || node.certificate_problem != problem ||
                      was_degraded != is_degraded || (is_degraded && node.problems != problems);
    node.health = state;
    node.problems = std::move(problems);
    node.certificates = certificates;
    node.certificate_problem = std::move(problem);
    return told;
  });
}

void AgentStream::Pump() {
  const std::lock_guard lock(mutex_);
  PumpLocked();
}

void AgentStream::Drain(std::chrono::seconds grace) {
  const EpochRecord record = context_.publisher.record();
  auto message = std::make_unique<agent::v1::ControllerMessage>();
  message->mutable_drain()->set_grace_seconds(static_cast<std::uint32_t>(grace.count()));
  auto& order = *message->mutable_drain()->mutable_order();
  order.set_lineage(record.lineage);
  order.set_epoch(record.epoch);
  order.set_revision(record.revision);
  for (const auto& old : record.supersedes) order.add_supersedes(old);
  const std::lock_guard lock(mutex_);
  drain_ = std::move(message);
  PumpLocked();
}

void AgentStream::SendLocked(const agent::v1::ControllerMessage& message) {
  sending_ = true;
  call_->Send(std::make_shared<const std::string>(message.SerializeAsString()));
}

void AgentStream::PumpLocked() {
  if (!greeted_ || sending_ || closed_) return;
  if (!welcomed_) {
    welcomed_ = true;
    agent::v1::ControllerMessage message;
    message.mutable_welcome()->set_health_seconds(
        static_cast<std::uint32_t>(context_.options.health_interval.count()));
    return SendLocked(message);
  }
  if (drain_) {
    const auto drain = std::move(drain_);
    return SendLocked(*drain);
  }
  auto offer = context_.publisher.OfferFor(identity_.site, identity_.node);
  if (!offer) return;
  if (offer->order != sent_order_ || offer->version != sent_version_) {
    refusals_ = 0;
  } else if (!again_at_ || context_.clock.Mono() < *again_at_) {
    return;
  }
  again_at_.reset();
  sent_order_ = offer->order;
  sent_version_ = offer->version;
  sending_ = true;
  ++context_.configurations;
  call_->Send(std::move(offer->bytes));
}

void AgentStream::OnSent() {
  const std::lock_guard lock(mutex_);
  sending_ = false;
  PumpLocked();
}

std::optional<base::MonoTime> AgentStream::Sweep(base::WallTime wall, base::MonoTime mono) {
  const auto ended = [this](base::Status why) {
    Close(std::move(why));
    return std::nullopt;
  };
  base::MonoTime silent_at, roster_at = mono + kRoundBeforeHello;
  bool ask = false;
  {
    const std::lock_guard lock(mutex_);
    if (closed_) return std::nullopt;
    silent_at = last_heard_ + kHelloDeadline;
    if (greeted_) {
      silent_at = last_heard_ + kMissedHealthBeforeClose * context_.options.health_interval;
      ask = mono >= roster_at_ + context_.options.roster_interval;
      if (ask) roster_at_ = mono;
      roster_at = roster_at_ + context_.options.roster_interval;
    }
  }
  if (wall >= certificate_not_after_) {
    return ended(base::Unauthenticated("the certificate has ended; renew it"));
  }
  if (mono >= silent_at) return ended(base::DeadlineExceeded("nothing was heard from the agent"));
  if (ask) {
    base::Status status = StillThere(context_.roster, identity_);
    if (!status.ok()) return ended(std::move(status));
  }
  const auto certificate_left =
      std::min<base::Duration>(certificate_not_after_ - wall, kLongestRound);
  return std::min({silent_at, roster_at, mono + certificate_left});
}

}  // namespace sluice::agents
