// One request: its place in line, its attempts, its retries. The rules are in client_impl.h.
#include "datapath/origin/client_impl.h"

namespace sluice::origin {
namespace {

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

}  // namespace

ExchangeImpl::ExchangeImpl(ClientImpl& client, Request request, ResponseHandler* handler)
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

ExchangeImpl::~ExchangeImpl() {
  Leave();
  --client_.exchanges_;
}

void ExchangeImpl::Pause() {
  paused_ = true;
  if (connection_ != nullptr) connection_->SetPaused(true);
}

void ExchangeImpl::Resume() {
  paused_ = false;
  if (connection_ != nullptr) connection_->SetPaused(false);
}

std::size_t ExchangeImpl::Send(std::span<const char> bytes) {
  if (connection_ == nullptr) return 0;
  const std::size_t taken = connection_->Send(bytes);
  if (taken > 0 && !std::exchange(sent_any_, true)) deadline_.Cancel();
  return taken;
}

Job ExchangeImpl::TakeJob(Connection* connection) {
  in_line_ = false;
  connection_ = connection;
  return {this, request_.method, client_.SignedHead(request_), request_.body,
          request_.stream_bytes.value_or(0)};
}

void ExchangeImpl::Refuse() {
  connection_ = nullptr;
  Report(Outcome::kUnknown);
  DoneLater(base::InvalidArgument("the request's headers do not fit"));
}

void ExchangeImpl::OnHead(const http1::Response& response) {
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

void ExchangeImpl::OnFinished() {
  connection_ = nullptr;
  Done(base::OkStatus());
}

void ExchangeImpl::OnFailed(const base::Status& why, bool fresh, bool answered) {
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

bool ExchangeImpl::MayRetry() {
  return IsReplayable() && !sent_any_ && attempt_ + 1 < kMaxAttempts && client_.budget_.Spend();
}

void ExchangeImpl::Report(Outcome outcome) {
  if (!asked_) return;
  asked_ = false;
  if (outcome == Outcome::kSucceeded) client_.circuit_->Succeeded(pass_epoch_);
  if (outcome == Outcome::kFailed) client_.circuit_->Failed(pass_epoch_, client_.loop_.Now());
  if (outcome == Outcome::kUnknown) client_.circuit_->Unknown(pass_epoch_);
}

void ExchangeImpl::Wait() {
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

void ExchangeImpl::Retry(base::Duration server_asked) {
  ++client_.stats_.retries;
  backoff_.Arm(BackoffFor(attempt_++, client_.Random(), server_asked));
}

void ExchangeImpl::FailAttempt(const base::Status& why, bool final) {
  Leave(Outcome::kFailed);
  if (!final && why.code() != base::Code::kUnauthenticated && MayRetry())
    return Retry(why.retry_after());
  Done(why);
}

void ExchangeImpl::GiveUpWaiting() {
  const bool connecting = client_.connecting_ > 0;
  client_.stats_.timeouts += connecting;
  Leave(Outcome::kUnknown);
  Done(connecting ? base::DeadlineExceeded("connecting to the origin took too long")
                  : base::ResourceExhausted("no connection to the origin became free in time"));
}

void ExchangeImpl::Leave(Outcome outcome) {
  Report(outcome);
  backoff_.Cancel();
  if (std::exchange(in_line_, false)) client_.waiting_.erase(place_);
  client_.stats_.waiting = client_.waiting_.size();
  if (Connection* connection = std::exchange(connection_, nullptr)) connection->Detach();
}

void ExchangeImpl::Done(const base::Status& status) {
  deadline_.Cancel();
  handler_->OnDone(status);
}

void ExchangeImpl::DoneLater(base::Status status) {
  deadline_.Cancel();
  later_ = std::move(status);
  later_timer_.Arm(base::Duration::zero());
}

}  // namespace sluice::origin
