#include "reconcilers/agents/agent_stream.h"

#include <fmt/format.h>

#include <algorithm>

#include "controller/base/log.h"
#include "controller/base/text.h"
#include "reconcilers/agents/limits.h"

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

grpc::Status Refusal(grpc::StatusCode code, const std::string& why) { return {code, why}; }

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

}  // namespace

void StreamTable::Await(const std::shared_ptr<AgentStream>& stream) {
  const std::lock_guard lock(mutex_);
  strangers_.emplace(stream.get(), stream);
}

std::vector<std::shared_ptr<AgentStream>> StreamTable::Add(
    const std::shared_ptr<AgentStream>& stream) {
  const std::lock_guard lock(mutex_);
  strangers_.erase(stream.get());
  auto& streams = sites_[stream->identity().site][stream->identity().node];
  streams.push_back(stream);
  std::vector<std::shared_ptr<AgentStream>> surplus;
  while (streams.size() > kMaxStreamsPerNode) {
    surplus.push_back(streams.front());
    streams.erase(streams.begin());
  }
  return surplus;
}

bool StreamTable::Remove(const AgentStream& stream) {
  const std::lock_guard lock(mutex_);
  strangers_.erase(&stream);
  const auto site = sites_.find(stream.identity().site);
  if (site == sites_.end()) return true;
  const auto node = site->second.find(stream.identity().node);
  if (node == site->second.end()) return true;
  std::erase_if(node->second, [&](const auto& other) { return other.get() == &stream; });
  if (!node->second.empty()) return false;
  site->second.erase(node);
  if (site->second.empty()) sites_.erase(site);
  return true;
}

std::vector<std::shared_ptr<AgentStream>> StreamTable::OfSite(const std::string& site) const {
  const std::lock_guard lock(mutex_);
  std::vector<std::shared_ptr<AgentStream>> out;
  const auto found = sites_.find(site);
  if (found == sites_.end()) return out;
  for (const auto& [node, streams] : found->second) {
    out.insert(out.end(), streams.begin(), streams.end());
  }
  return out;
}

std::vector<std::shared_ptr<AgentStream>> StreamTable::OfNode(const AgentIdentity& identity) const {
  const std::lock_guard lock(mutex_);
  const auto site = sites_.find(identity.site);
  if (site == sites_.end()) return {};
  const auto node = site->second.find(identity.node);
  if (node == site->second.end()) return {};
  return node->second;
}

std::vector<std::shared_ptr<AgentStream>> StreamTable::All() const {
  const std::lock_guard lock(mutex_);
  std::vector<std::shared_ptr<AgentStream>> out;
  for (const auto& [site, nodes] : sites_) {
    for (const auto& [node, streams] : nodes) out.insert(out.end(), streams.begin(), streams.end());
  }
  for (const auto& [key, stream] : strangers_) out.push_back(stream);
  return out;
}

AgentStream* AgentStream::Accept(StreamContext& context, const grpc::CallbackServerContext& call) {
  std::shared_ptr<AgentStream> stream(new AgentStream(context));
  stream->self_ = stream;
  bool room = false;
  {
    const std::lock_guard lock(context.live_mutex);
    room = ++context.live <= kMaxStreams;
  }
  if (!room) {
    stream->Close(Refusal(grpc::StatusCode::RESOURCE_EXHAUSTED, "too many streams"));
    return stream.get();
  }
  auto peer = PeerOf(call);
  if (!peer.ok()) {
    stream->Close(ToGrpc(peer.status()));
    return stream.get();
  }
  stream->identity_ = peer->identity;
  stream->certificate_not_after_ = peer->certificate_not_after;
  stream->last_heard_ = context.clock.Mono();
  if (peer->certificate_not_after <= context.clock.Wall()) {
    stream->Close(Refusal(grpc::StatusCode::UNAUTHENTICATED, "the certificate has ended"));
    return stream.get();
  }
  context.table.Await(stream);
  stream->StartRead(&stream->in_);
  return stream.get();
}

void AgentStream::Close(const grpc::Status& status) {
  const std::lock_guard lock(mutex_);
  if (closed_) return;
  closed_ = true;
  Finish(status);
}

void AgentStream::OnCancel() { Close(grpc::Status::CANCELLED); }

void AgentStream::OnDone() {
  bool greeted = false;
  {
    const std::lock_guard lock(mutex_);
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
  StreamContext& context = context_;
  // The last reference, as a rule: *this ends with it, before the server may believe it is gone.
  { const std::shared_ptr<AgentStream> last = std::move(self_); }
  const std::lock_guard lock(context.live_mutex);
  --context.live;
  context.live_changed.notify_all();
}

void AgentStream::OnReadDone(bool ok) {
  if (!ok) return Close(grpc::Status::OK);  // the agent half-closed, or the stream broke
  agent::v1::AgentMessage message;
  grpc::Slice slice;
  bool parsed = in_.DumpToSingleSlice(&slice).ok() &&
                message.ParseFromArray(slice.begin(), static_cast<int>(slice.size()));
  in_.Clear();
  if (!parsed) {
    return Close(Refusal(grpc::StatusCode::INVALID_ARGUMENT, "not an AgentMessage"));
  }
  const auto status = Take(message);
  if (!status.ok()) return Close(status);
  const std::lock_guard lock(mutex_);
  last_heard_ = context_.clock.Mono();
  if (!closed_) StartRead(&in_);
}

grpc::Status AgentStream::Take(const agent::v1::AgentMessage& message) {
  bool greeted = false;
  {
    const std::lock_guard lock(mutex_);
    greeted = greeted_;
  }
  if (message.has_hello() == greeted) {
    return Refusal(grpc::StatusCode::FAILED_PRECONDITION, "Hello comes first, and once");
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
  return grpc::Status::OK;
}

grpc::Status AgentStream::TakeHello(const agent::v1::Hello& hello) {
  if (hello.site() != identity_.site || hello.node() != identity_.node) {
    base::log::Warn("agent refused", {{"certificate", IdentityUri(identity_)},
                                      {"says_site", hello.site().substr(0, 253)},
                                      {"says_node", hello.node().substr(0, 253)}});
    return Refusal(
        grpc::StatusCode::PERMISSION_DENIED,
        fmt::format("the certificate is for node {} of site {}", identity_.node, identity_.site));
  }
  if (const base::Status status = StillThere(context_.roster, identity_); !status.ok()) {
    return ToGrpc(status);
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
    old->Close(Refusal(grpc::StatusCode::ABORTED, "the node has newer streams"));
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
  return grpc::Status::OK;
}

void AgentStream::TakeAck(const agent::v1::Ack& ack) {
  ++context_.acks;
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
  const std::string reason(base::Cut(nack.reason(), kMaxReasonBytes));
  base::log::Warn("agent refused a configuration",
                  {{"site", identity_.site},
                   {"node", identity_.node},
                   {"version", nack.version().substr(0, kMaxVersionBytes)},
                   {"reason", reason}});
  context_.fleet.Update(identity_, [&](NodeState& node) {
    node.nacked_version = nack.version().substr(0, kMaxVersionBytes);
    node.nack_reason = reason;
    return true;
  });
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
    if (node.health == state && node.problems == problems && node.certificates == certificates &&
        node.certificate_problem == problem)
      return false;
    node.health = state;
    node.problems = std::move(problems);
    node.certificates = certificates;
    node.certificate_problem = std::move(problem);
    return true;
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

void AgentStream::WriteLocked(const agent::v1::ControllerMessage& message) {
  writing_ = true;
  out_ = SharedBuffer(std::make_shared<const std::string>(message.SerializeAsString()));
  StartWrite(&out_);
}

void AgentStream::PumpLocked() {
  if (!greeted_ || writing_ || closed_) return;
  if (!welcomed_) {
    welcomed_ = true;
    agent::v1::ControllerMessage message;
    message.mutable_welcome()->set_health_seconds(
        static_cast<std::uint32_t>(context_.options.health_interval.count()));
    return WriteLocked(message);
  }
  if (drain_) {
    const auto drain = std::move(drain_);
    return WriteLocked(*drain);
  }
  auto offer = context_.publisher.OfferFor(identity_.site, identity_.node);
  if (!offer || (offer->order == sent_order_ && offer->version == sent_version_)) return;
  sent_order_ = offer->order;
  sent_version_ = offer->version;
  writing_ = true;
  ++context_.configurations;
  out_ = SharedBuffer(std::move(offer->bytes));
  StartWrite(&out_);
}

void AgentStream::OnWriteDone(bool ok) {
  const std::lock_guard lock(mutex_);
  writing_ = false;
  out_.Clear();
  if (ok) PumpLocked();  // otherwise the read fails too, and that closes
}

void AgentStream::Sweep(base::WallTime wall, base::MonoTime mono) {
  base::MonoTime heard;
  std::chrono::seconds patience = kHelloDeadline;
  bool ask = false;
  {
    const std::lock_guard lock(mutex_);
    if (closed_) return;
    heard = last_heard_;
    if (greeted_) {
      patience = kMissedHealthBeforeClose * context_.options.health_interval;
      ask = mono - roster_at_ >= context_.options.roster_interval;
      if (ask) roster_at_ = mono;
    }
  }
  if (certificate_not_after_ <= wall) {
    Close(Refusal(grpc::StatusCode::UNAUTHENTICATED, "the certificate has ended; renew it"));
  } else if (mono - heard > patience) {
    Close(Refusal(grpc::StatusCode::DEADLINE_EXCEEDED, "nothing was heard from the agent"));
  } else if (ask) {
    const base::Status status = StillThere(context_.roster, identity_);
    if (!status.ok()) Close(ToGrpc(status));
  }
}

}  // namespace sluice::agents
