// Numbered rules:
//  1. An exchange is in exactly one place: the waiting list, a connection, its backoff timer, or
//  done.
//  2. The circuit is asked once an attempt, and told the outcome of that attempt exactly once.
//  3. A handler's callback is the last thing a method does: the exchange may be gone after it.
//  4. Connections are destroyed from a posted task, never inside their own methods.
#include "datapath/origin/client.h"

#include <algorithm>
#include <array>
#include <list>
#include <vector>

#include "controller/base/log.h"
#include "datapath/origin/connection.h"
#include "datapath/s3/sign.h"
#include "datapath/s3/uri.h"

namespace sluice::origin {
namespace {

class ExchangeImpl;

std::string_view MethodName(http1::Method method) {
  switch (method) {
    case http1::Method::kGet:
      return "GET";
    case http1::Method::kHead:
      return "HEAD";
    case http1::Method::kPut:
      return "PUT";
    case http1::Method::kPost:
      return "POST";
    case http1::Method::kDelete:
      return "DELETE";
    case http1::Method::kOptions:
    case http1::Method::kOther:
      break;
  }
  return "";
}

bool IsRetryStatus(int status) {
  return status == 429 || status == 500 || status == 502 || status == 503 || status == 504;
}

base::Duration RetryAfter(const http1::Response& response) {
  const std::string_view text = response.headers.Get(http1::HeaderId::kRetryAfter);
  int seconds = 0;
  for (const char c : text) {
    if (c < '0' || c > '9' || seconds > 3600) return {};
    seconds = seconds * 10 + (c - '0');
  }
  return std::chrono::seconds(seconds);
}

class ClientImpl final : public Client, public ConnectionOwner {
 public:
  ClientImpl(net::EventLoop& loop, net::Resolver& resolver, ClientOptions options,
             std::shared_ptr<Circuit> circuit)
      : loop_(loop),
        resolver_(resolver),
        options_(std::move(options)),
        circuit_(std::move(circuit)),
        random_(options_.seed | 1) {}
  ~ClientImpl() override { *alive_ = false; }

  std::size_t exchanges() const { return exchanges_; }

  std::unique_ptr<Exchange> Start(Request request, ResponseHandler* handler) override;
  void SetCredentials(std::string id, std::string secret, std::string token) override {
    options_.access_key_id = std::move(id);
    options_.secret_access_key = std::move(secret);
    options_.session_token = std::move(token);
  }
  const ClientStats& stats() const override { return stats_; }

  void OnUsable(Connection* connection) override;
  void OnClosed(Connection* connection, const base::Status& why) override;
  std::span<char> Scratch() override {
    if (scratch_ == nullptr) scratch_ = std::make_unique_for_overwrite<char[]>(kScratchBytes);
    return {scratch_.get(), kScratchBytes};
  }

 private:
  friend class ExchangeImpl;
  using Place = std::list<ExchangeImpl*>::iterator;

  void Pump();
  std::string SignedHead(const Request& request);
  std::uint64_t Random() {  // xorshift64: spreads retries, decides nothing else
    random_ ^= random_ << 13;
    random_ ^= random_ >> 7;
    random_ ^= random_ << 17;
    return random_;
  }

  net::EventLoop& loop_;
  net::Resolver& resolver_;
  ClientOptions options_;
  const std::shared_ptr<Circuit> circuit_;
  const std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
  ClientStats stats_;
  RetryBudget budget_;
  std::uint64_t random_;
  std::size_t exchanges_ = 0;
  std::size_t connecting_ = 0;
  std::list<ExchangeImpl*> waiting_;
  std::vector<std::unique_ptr<Connection>> connections_;
  std::vector<Connection*> idle_;  // last used at the back
  std::unique_ptr<char[]> scratch_;
  std::array<char, kOutgoingHeadBytes> head_;
  s3::SigningKeyCache keys_;
  bool bury_posted_ = false;
};

class ExchangeImpl final : public Exchange, public ConnectionUser {
 public:
  ExchangeImpl(ClientImpl& client, Request request, ResponseHandler* handler)
      : client_(client),
        request_(std::move(request)),
        handler_(handler),
        backoff_(client.loop_, [this] { Wait(); }),
        deadline_(client.loop_, [this] {
          if (in_line_) return GiveUpWaiting();
          ++client_.stats_.timeouts;
          FailAttempt(base::DeadlineExceeded("no answer from the origin in time"), true);
        }) {
    ++client_.exchanges_;
    ++client_.stats_.requests;
    client_.budget_.Earn();
    const base::Duration limit = request_.head_deadline > base::Duration::zero()
                                     ? request_.head_deadline
                                     : client_.options_.deadlines.head;
    deadline_.Arm(limit);
    Wait();
  }
  ~ExchangeImpl() override {
    Leave();
    --client_.exchanges_;
  }

  void Pause() override {
    paused_ = true;
    if (connection_ != nullptr) connection_->SetPaused(true);
  }
  void Resume() override {
    paused_ = false;
    if (connection_ != nullptr) connection_->SetPaused(false);
  }
  std::size_t Send(std::span<const char> bytes) override {
    if (connection_ == nullptr) return 0;
    const std::size_t taken = connection_->Send(bytes);
    if (taken > 0 && !std::exchange(sent_any_, true)) deadline_.Cancel();
    return taken;
  }

  // From the client:
  Job TakeJob(Connection* connection) {
    in_line_ = false;
    connection_ = connection;
    return {this, request_.method, client_.SignedHead(request_), request_.body,
            request_.stream_bytes.value_or(0)};
  }
  void Refuse() {
    connection_ = nullptr;
    Report(Outcome::kUnknown);
    DoneLater(base::InvalidArgument("the request's headers do not fit"));
  }
  // The connection made for whoever waits did not come up.
  void OnConnectFailed(const base::Status& why) { FailAttempt(why, false); }

  // From the connection:
  void OnHead(const http1::Response& response) override {
    const bool gateway = response.status == 502 || response.status == 504;
    Report(gateway ? Outcome::kFailed : Outcome::kSucceeded);
    if (IsRetryStatus(response.status) && MayRetry()) {
      const base::Duration asked = RetryAfter(response);
      std::exchange(connection_, nullptr)->Detach();
      return Retry(asked);
    }
    deadline_.Cancel();
    if (paused_) connection_->SetPaused(true);
    handler_->OnHead(response);
  }
  std::span<char> BodyBuffer(std::uint64_t left) override { return handler_->BodyBuffer(left); }
  void OnData(std::span<const char> bytes) override { handler_->OnData(bytes); }
  void OnSendable() override { handler_->OnSendable(); }
  void OnFinished() override {
    connection_ = nullptr;
    Done(base::OkStatus());
  }
  void OnFailed(const base::Status& why, bool fresh, bool answered) override {
    connection_ = nullptr;
    if (answered) {
      ++client_.stats_.transport_failures;
      return Done(why);
    }
    // A kept connection that died in the meantime says nothing about the origin: ask at once again.
    if (!fresh && !stale_retried_ && !sent_any_ && IsReplayable() &&
        why.code() != base::Code::kDeadlineExceeded) {
      stale_retried_ = true;
      Report(Outcome::kUnknown);
      return Wait();
    }
    if (why.code() == base::Code::kAborted) {  // the user's fault, not the origin's
      Report(Outcome::kUnknown);
      return Done(why);
    }
    ++client_.stats_.transport_failures;
    FailAttempt(why, false);
  }

 private:
  enum class Outcome : std::uint8_t { kSucceeded, kFailed, kUnknown };

  bool IsReplayable() const { return request_.method != http1::Method::kPost; }
  bool MayRetry() {
    return IsReplayable() && !sent_any_ && attempt_ + 1 < kMaxAttempts && client_.budget_.Spend();
  }

  void Report(Outcome outcome) {
    if (!asked_) return;
    asked_ = false;
    if (outcome == Outcome::kSucceeded) client_.circuit_->Succeeded(pass_epoch_);
    if (outcome == Outcome::kFailed) client_.circuit_->Failed(pass_epoch_, client_.loop_.Now());
    if (outcome == Outcome::kUnknown) client_.circuit_->Unknown(pass_epoch_);
  }

  // Joins the line for a connection, if the circuit lets it.
  void Wait() {
    const Circuit::Pass pass = client_.circuit_->Ask(client_.loop_.Now());
    if (!pass.allowed) {
      ++client_.stats_.refused_by_circuit;
      return DoneLater(base::Unavailable("origin " + client_.options_.name +
                                         " failed before and is not asked for now")
                           .WithReason("CircuitOpen")
                           .WithRetryAfter(std::chrono::duration_cast<std::chrono::milliseconds>(
                               pass.retry_after)));
    }
    asked_ = true;
    pass_epoch_ = pass.epoch;
    if (client_.waiting_.size() >= kMaxWaiting) {
      Report(Outcome::kUnknown);
      return DoneLater(base::ResourceExhausted("too many requests wait for the origin"));
    }
    place_ = client_.waiting_.insert(client_.waiting_.end(), this);
    in_line_ = true;
    client_.stats_.waiting = client_.waiting_.size();
    client_.Pump();
  }

  void Retry(base::Duration server_asked) {
    ++client_.stats_.retries;
    backoff_.Arm(BackoffFor(attempt_++, client_.Random(), server_asked));
  }

  void FailAttempt(const base::Status& why, bool final) {
    Leave(Outcome::kFailed);
    if (!final && why.code() != base::Code::kUnauthenticated && MayRetry())
      return Retry(why.retry_after());
    Done(why);
  }

  // Nobody was asked, so this says nothing about the origin: connections were all busy, or the one
  // being made was not up yet (its own deadline judges the origin).
  void GiveUpWaiting() {
    const bool connecting = client_.connecting_ > 0;
    client_.stats_.timeouts += connecting;
    Leave(Outcome::kUnknown);
    Done(connecting ? base::DeadlineExceeded("connecting to the origin took too long")
                    : base::ResourceExhausted("no connection to the origin became free in time"));
  }

  // Out of wherever it is (rule 1).
  void Leave(Outcome outcome = Outcome::kUnknown) {
    Report(outcome);
    backoff_.Cancel();
    if (std::exchange(in_line_, false)) client_.waiting_.erase(place_);
    client_.stats_.waiting = client_.waiting_.size();
    if (Connection* connection = std::exchange(connection_, nullptr)) connection->Detach();
  }

  void Done(const base::Status& status) {
    deadline_.Cancel();
    handler_->OnDone(status);
  }
  void DoneLater(base::Status status) {
    deadline_.Cancel();
    later_ = std::move(status);
    later_timer_.Arm(base::Duration::zero());
  }

  ClientImpl& client_;
  const Request request_;
  ResponseHandler* const handler_;
  net::Timer backoff_;
  net::Timer deadline_;  // until the head
  base::Status later_;
  net::Timer later_timer_{client_.loop_, [this] { Done(later_); }};
  Connection* connection_ = nullptr;
  ClientImpl::Place place_;
  bool in_line_ = false;
  bool asked_ = false;
  std::uint64_t pass_epoch_ = 0;
  int attempt_ = 0;
  bool stale_retried_ = false;
  bool sent_any_ = false;
  bool paused_ = false;
};

std::unique_ptr<Exchange> ClientImpl::Start(Request request, ResponseHandler* handler) {
  SLUICE_CHECK(!MethodName(request.method).empty());
  SLUICE_CHECK(request.body.empty() || !request.stream_bytes);
  return std::make_unique<ExchangeImpl>(*this, std::move(request), handler);
}

// Gives waiting exchanges to idle connections, and opens as many more as are wanted and allowed.
void ClientImpl::Pump() {
  while (!waiting_.empty() && !idle_.empty()) {
    Connection* const connection = idle_.back();
    idle_.pop_back();
    ExchangeImpl* const exchange = waiting_.front();
    waiting_.pop_front();
    Job job = exchange->TakeJob(connection);
    if (job.head.empty()) {
      idle_.push_back(connection);
      exchange->Refuse();
      continue;
    }
    connection->Begin(std::move(job));
  }
  stats_.waiting = waiting_.size();
  while (connecting_ < waiting_.size() && stats_.connections < options_.max_connections) {
    ++connecting_;
    ++stats_.connections;
    connections_.push_back(std::make_unique<Connection>(loop_, resolver_, options_, stats_, *this));
    connections_.back()->Open();
  }
}

void ClientImpl::OnUsable(Connection* connection) {
  if (connection->first_use()) --connecting_;
  idle_.push_back(connection);
  Pump();
}

void ClientImpl::OnClosed(Connection* connection, const base::Status& why) {
  --stats_.connections;
  std::erase(idle_, connection);
  if (!bury_posted_) {
    bury_posted_ = true;
    loop_.Post([this, alive = alive_] {
      if (!*alive) return;
      bury_posted_ = false;
      std::erase_if(connections_, [](const auto& each) { return each->closed(); });
      Pump();
    });
  }
  if (why.ok()) return;
  --connecting_;
  ++stats_.connect_failures;
  base::log::Debug("origin connection failed",
                   {{"origin", options_.name}, {"error", why.message()}});
  if (waiting_.empty()) return;
  ExchangeImpl* const unlucky = waiting_.front();
  unlucky->OnConnectFailed(why);
}

std::string ClientImpl::SignedHead(const Request& request) {
  if (request.headers.size() > s3::kMaxOutgoingHeaders) return {};
  std::string path = "/";
  std::string host = options_.endpoint.authority;
  if (!request.bucket.empty()) {
    if (options_.path_style) {
      path += request.bucket;
      if (!request.key.empty()) path += "/";
    } else {
      host = request.bucket + "." + host;
    }
  }
  std::string room(request.key.size() * 3, '\0');
  path += s3::Encode(request.key, s3::UriPart::kPath, room).value_or(std::string_view());

  std::array<s3::OutgoingHeader, s3::kMaxOutgoingHeaders> headers;
  std::size_t count = 0;
  for (const auto& [name, value] : request.headers) {
    headers[count++] = {name, value};
  }
  const bool has_body = request.stream_bytes || !request.body.empty();
  const bool tells_length =
      has_body || request.method == http1::Method::kPut || request.method == http1::Method::kPost;
  s3::OutgoingRequest outgoing{
      MethodName(request.method), host, path, request.query, {headers.data(), count}};
  if (!request.payload_sha256.empty()) {
    outgoing.payload_hash = request.payload_sha256;
  } else if (!has_body) {
    outgoing.payload_hash = s3::kEmptySha256;
  }
  if (tells_length) outgoing.content_length = request.stream_bytes.value_or(request.body.size());
  return std::string(s3::WriteSignedHead(
      outgoing,
      {options_.access_key_id, options_.secret_access_key, options_.session_token, options_.region},
      loop_.clock().Wall(), &keys_, head_));
}

// What the user holds. It may let go inside a callback, with a connection's methods on the stack,
// so the rest goes by a task (rule 4).
class ClientHandle final : public Client {
 public:
  ClientHandle(net::EventLoop& loop, std::unique_ptr<ClientImpl> impl)
      : loop_(loop), impl_(std::move(impl)) {}
  ~ClientHandle() override {
    SLUICE_CHECK(impl_->exchanges() == 0);
    loop_.Post([impl = std::move(impl_)] {});
  }
  std::unique_ptr<Exchange> Start(Request request, ResponseHandler* handler) override {
    return impl_->Start(std::move(request), handler);
  }
  void SetCredentials(std::string id, std::string secret, std::string token) override {
    impl_->SetCredentials(std::move(id), std::move(secret), std::move(token));
  }
  const ClientStats& stats() const override { return impl_->stats(); }

 private:
  net::EventLoop& loop_;
  std::unique_ptr<ClientImpl> impl_;
};

}  // namespace

std::unique_ptr<Client> Client::Create(net::EventLoop& loop, net::Resolver& resolver,
                                       ClientOptions options, std::shared_ptr<Circuit> circuit) {
  SLUICE_CHECK(!options.endpoint.tls || options.tls != nullptr);
  return std::make_unique<ClientHandle>(
      loop, std::make_unique<ClientImpl>(loop, resolver, std::move(options), std::move(circuit)));
}

}  // namespace sluice::origin
