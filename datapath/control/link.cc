#include "datapath/control/link.h"

#include <condition_variable>
#include <functional>
#include <mutex>
#include <random>
#include <thread>
#include <utility>

#include "api/agent/v1/agent.grpc.pb.h"
#include "controller/base/log.h"
#include "controller/base/text.h"
#include "datapath/control/backoff.h"
#include "datapath/control/channel.h"
#include "datapath/control/convert.h"
#include "datapath/control/limits.h"

namespace sluice::control {
namespace {

using Stream = grpc::ClientReaderWriter<agent::v1::AgentMessage, agent::v1::ControllerMessage>;

agent::v1::Health::State ToProto(Health::State state) {
  switch (state) {
    case Health::State::kServing:
      return agent::v1::Health::SERVING;
    case Health::State::kDegraded:
      return agent::v1::Health::DEGRADED;
    case Health::State::kDraining:
      return agent::v1::Health::DRAINING;
    case Health::State::kStarting:
      break;
  }
  return agent::v1::Health::STARTING;
}

agent::v1::Health::Certificates ToProto(CertificateStanding::State state) {
  switch (state) {
    case CertificateStanding::State::kShown:
      return agent::v1::Health::CERTIFICATES_SHOWN;
    case CertificateStanding::State::kEnded:
      return agent::v1::Health::CERTIFICATES_ENDED;
    case CertificateStanding::State::kUnusable:
      return agent::v1::Health::CERTIFICATES_UNUSABLE;
    case CertificateStanding::State::kMissing:
      return agent::v1::Health::CERTIFICATES_MISSING;
    case CertificateStanding::State::kNone:
      break;
  }
  return agent::v1::Health::CERTIFICATES_UNSPECIFIED;
}

// What is no UTF-8, or is cut inside a character, makes the receiver refuse the whole message.
std::string Sendable(const std::string& text, std::size_t limit_bytes) {
  return std::string(base::Cut(base::ValidUtf8(text), limit_bytes));
}

agent::v1::AgentMessage ToProto(const Health& health) {
  agent::v1::AgentMessage message;
  message.mutable_health()->set_state(ToProto(health.state));
  for (const auto& problem : health.problems) {
    if (message.health().problems_size() < static_cast<int>(kMaxProblems)) {
      message.mutable_health()->add_problems(Sendable(problem, kMaxProblemBytes));
    }
  }
  message.mutable_health()->set_certificates(ToProto(health.certificates.state));
  message.mutable_health()->set_certificate_problem(
      Sendable(health.certificates.problem, kMaxProblemBytes));
  return message;
}

}  // namespace

struct Link::Impl {
  Impl(const StreamOptions& stream_options, std::string to, LinkIdentityPtr with, ConfigGate& door,
       base::Clock& the_clock, LinkEvents tell)
      : options(stream_options),
        target(std::move(to)),
        gate(door),
        clock(the_clock),
        events(std::move(tell)),
        backoff(options.backoff_first, options.backoff_most,
                std::random_device{}() ^ std::hash<std::string>{}(options.node + target)),
        identity(std::move(with)) {}

  void Run();
  base::Status RunStream(const LinkIdentityPtr& with);
  void Handle(const agent::v1::ControllerMessage& message);
  agent::v1::AgentMessage Hello() const;
  bool Send(const agent::v1::AgentMessage& message);
  void CancelLocked() {
    if (context) context->TryCancel();
  }

  const StreamOptions& options;
  const std::string target;
  ConfigGate& gate;
  base::Clock& clock;
  const LinkEvents events;
  Backoff backoff;  // of the thread

  std::mutex write_mutex;    // one Write() at a time; taken before `mutex`
  Stream* stream = nullptr;  // guarded by write_mutex

  mutable std::mutex mutex;
  std::condition_variable wake;
  LinkIdentityPtr identity;  // guarded by mutex, as all below
  std::shared_ptr<grpc::ClientContext> context;
  bool stopping = false;
  bool hurry = false;
  bool is_welcomed = false;
  base::MonoTime welcome_due;
  std::chrono::seconds interval{0};

  Health sent_health;  // guarded by write_mutex
  bool health_sent = false;

  std::thread thread;
};

agent::v1::AgentMessage Link::Impl::Hello() const {
  const auto view = gate.view();
  agent::v1::AgentMessage message;
  auto& hello = *message.mutable_hello();
  hello.set_site(options.site);
  hello.set_node(options.node);
  hello.set_agent_version(options.agent_version);
  hello.set_applied_version(view.applied_version);
  control::ToProto(view.applied_order, *hello.mutable_applied_order());
  control::ToProto(view.fence, *hello.mutable_seen_order());
  return message;
}

bool Link::Impl::Send(const agent::v1::AgentMessage& message) {
  const std::lock_guard lock(write_mutex);
  return stream != nullptr && stream->Write(message);
}

void Link::Impl::Handle(const agent::v1::ControllerMessage& message) {
  switch (message.kind_case()) {
    case agent::v1::ControllerMessage::kWelcome: {
      {
        const std::lock_guard lock(mutex);
        is_welcomed = true;
        interval = std::chrono::seconds(std::max(1u, message.welcome().health_seconds()));
      }
      backoff.Reset();
      events.welcomed();
      return;
    }
    case agent::v1::ControllerMessage::kConfiguration: {
      const auto& configuration = message.configuration();
      const base::Status status = gate.Take(configuration);
      agent::v1::AgentMessage answer;
      if (status.ok()) {
        answer.mutable_ack()->set_version(configuration.version());
        *answer.mutable_ack()->mutable_order() = configuration.order();
      } else {
        answer.mutable_nack()->set_version(configuration.version());
        *answer.mutable_nack()->mutable_order() = configuration.order();
        answer.mutable_nack()->set_reason(Sendable(status.ToString(), kMaxReasonBytes));
      }
      Send(answer);
      return;
    }
    case agent::v1::ControllerMessage::kDrain: {
      const base::Status status = gate.Judge(message.drain().order());
      if (!status.ok()) {
        base::log::Warn("drain refused", {{"error", status}});
        return;
      }
      events.drain(std::chrono::seconds(message.drain().grace_seconds()));
      return;
    }
    default:
      return;  // of a newer controller: nothing we know how to do
  }
}

// One connection, from dialling to its end. Always returns why it ended.
base::Status Link::Impl::RunStream(const LinkIdentityPtr& with) {
  const auto channel =
      Dial(target, options.server_name, with->roots_pem, with->key_pem, with->certificate_pem);
  const auto call = std::make_shared<grpc::ClientContext>();
  {
    const std::lock_guard lock(mutex);
    if (stopping || identity != with) return base::Cancelled("superseded");
    context = call;
    welcome_due = clock.Mono() + kConnectDeadline + kWelcomeDeadline;
  }
  const auto stub = agent::v1::AgentControl::NewStub(channel);
  const auto open = stub->Connect(call.get());
  {
    const std::lock_guard lock(write_mutex);
    stream = open.get();
    health_sent = false;
  }
  Send(Hello());
  agent::v1::ControllerMessage message;
  while (open->Read(&message)) Handle(message);
  {
    const std::lock_guard lock(write_mutex);
    stream = nullptr;
  }
  base::Status status = FromGrpc(open->Finish());
  const std::lock_guard lock(mutex);
  context.reset();
  is_welcomed = false;
  return status.ok() ? base::Unavailable("the controller closed the stream") : status;
}

void Link::Impl::Run() {
  while (true) {
    LinkIdentityPtr with;
    {
      const std::lock_guard lock(mutex);
      if (stopping) return;
      with = identity;
    }
    const base::Status ended = RunStream(with);
    std::unique_lock lock(mutex);
    if (stopping) return;
    if (identity != with) continue;  // renewed: at once, under the new one
    lock.unlock();
    events.failed(ended);
    lock.lock();
    const auto until = clock.Mono() + backoff.Next();
    clock.WaitUntil(lock, wake, until, [&] { return stopping || hurry || identity != with; });
    hurry = false;
  }
}

Link::Link(const StreamOptions& options, std::string target, LinkIdentityPtr identity,
           ConfigGate& gate, base::Clock& clock, LinkEvents events)
    : impl_(std::make_unique<Impl>(options, std::move(target), std::move(identity), gate, clock,
                                   std::move(events))) {
  impl_->thread = std::thread([this] { impl_->Run(); });
}

Link::~Link() { Stop(); }

void Link::SetIdentity(LinkIdentityPtr identity) {
  const std::lock_guard lock(impl_->mutex);
  impl_->identity = std::move(identity);
  impl_->CancelLocked();
  impl_->wake.notify_all();
}

void Link::Hurry() {
  const std::lock_guard lock(impl_->mutex);
  impl_->hurry = true;
  impl_->wake.notify_all();
}

void Link::Tick(const Health& health, bool due) {
  {
    const std::lock_guard lock(impl_->mutex);
    if (!impl_->is_welcomed) {
      if (impl_->context && impl_->clock.Mono() >= impl_->welcome_due) impl_->CancelLocked();
      return;
    }
  }
  const std::lock_guard lock(impl_->write_mutex);
  if (impl_->stream == nullptr) return;
  if (!due && impl_->health_sent && impl_->sent_health == health) return;
  impl_->health_sent = impl_->stream->Write(ToProto(health));
  impl_->sent_health = health;
}

bool Link::welcomed() const {
  const std::lock_guard lock(impl_->mutex);
  return impl_->is_welcomed;
}

std::chrono::seconds Link::health_interval() const {
  const std::lock_guard lock(impl_->mutex);
  return impl_->interval;
}

void Link::Cancel() {
  {
    const std::lock_guard lock(impl_->mutex);
    impl_->stopping = true;
    impl_->CancelLocked();
  }
  impl_->wake.notify_all();
}

void Link::Stop() {
  Cancel();
  if (impl_->thread.joinable()) impl_->thread.join();
}

}  // namespace sluice::control
