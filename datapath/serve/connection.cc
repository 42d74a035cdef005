#include "datapath/serve/connection.h"

#include <algorithm>
#include <cstring>

#include "controller/base/check.h"
#include "datapath/http1/writer.h"
#include "datapath/net/tls_stream.h"
#include "datapath/serve/job.h"

namespace sluice::serve {
namespace {

// For when there is no memory even for a buffer.
constexpr std::string_view kNoRoomAnswer =
    "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nRetry-After: 1\r\n"
    "Connection: close\r\n\r\n";

}  // namespace

Connection::Connection(Worker& worker, std::uint64_t id, TlsRoom::Slot tls)
    : worker_(worker),
      id_(id),
      tls_(std::move(tls)),
      sender_(worker.cache(), worker.fetcher(), *this),
      retry_(worker.loop(), [this] { OnWake(); }) {}

Connection::~Connection() {
  if (scratch_ != nullptr) worker_.ReturnScratch(std::move(scratch_));
}

void Connection::Begin(std::unique_ptr<net::Stream> stream) {
  stream_ = std::move(stream);
  stream_->SetDeadline(tls_.shaking() ? kHandshakeDeadline : kIdleDeadline);
}

bool Connection::idle() const { return state_ == State::kHead && !reading_head_; }

void Connection::CloseWhenDone() {
  close_when_done_ = true;
  if (idle()) Close();
}

void Connection::Close() {
  if (state_ == State::kClosed) return;
  if (state_ != State::kHead && state_ != State::kLinger) {
    if (state_ == State::kBody || state_ == State::kJob) stream_->Abort();
    EndRequest(Outcome::kAborted);
  }
  state_ = State::kClosed;
  RetireJob();
  sender_.Reset();
  retry_.Cancel();
  stream_.reset();
  object_ = stale_ = store::ObjectRef();
  worker_.loop().Post([worker = &worker_, id = id_] { worker->Remove(id); });
}

// ---- input ----

void Connection::OnConnected() {
  tls_.HandshakeIsOver();
  worker_.metrics().tls_handshakes_done.Add();
  if (net::IsEncryptedByKernel(*stream_)) worker_.metrics().tls_by_kernel.Add();
  stream_->SetDeadline(kIdleDeadline);
}

void Connection::OnReadable() {
  input_drained_ = false;
  if (state_ == State::kHead) {
    ReadSome();
  } else if (state_ == State::kJob) {
    job_->OnClientReadable();
  } else if (state_ == State::kLinger) {
    DrainInput();
  }
  // Otherwise a pipelined request waits in the socket until this one is answered.
}

void Connection::ReadSome() {
  while (state_ == State::kHead && FillInput()) ProcessInput();
}

bool Connection::FillInput() {
  if (scratch_ == nullptr) {
    if (input_drained_) return false;
    scratch_ = worker_.TakeScratch();
    if (scratch_ == nullptr) {
      worker_.metrics().throttled_memory.Add();
      stream_->Write(kNoRoomAnswer, false);
      Close();
      return false;
    }
  }
  Scratch& s = *scratch_;
  if (s.in_begin > 0 && s.in_end == s.in.size()) {
    std::memmove(s.in.data(), s.in.data() + s.in_begin, s.in_end - s.in_begin);
    s.in_end -= s.in_begin;
    s.in_begin = 0;
  }
  if (input_drained_ || s.in_end == s.in.size()) return false;
  const std::size_t room = s.in.size() - s.in_end;
  const net::IoResult got = stream_->Read(std::span<char>(s.in.data() + s.in_end, room));
  if (got.ok()) {
    // Less than asked for: the socket is empty, and the next arrival is a new edge.
    input_drained_ = got.bytes < room;
    s.in_end += got.bytes;
    return true;
  }
  input_drained_ = true;
  if (got.blocked()) {
    if (idle()) ReleaseScratch();
    return false;
  }
  if (got.state == net::IoResult::State::kEof) peer_ended_ = true;
  Close();  // nothing is in progress here (kHead): a half head is of no use
  return false;
}

void Connection::ProcessInput() {
  processing_ = true;
  int answered = 0;
  while (state_ == State::kHead && answered < kMaxRequestsPerTurn && ProcessHead()) ++answered;
  processing_ = false;
  if (state_ == State::kHead && answered == kMaxRequestsPerTurn)
    worker_.PostWake(id_);  // others first
}

// One head, if it is whole. False: more bytes are needed, or the connection cannot go on.
bool Connection::ProcessHead() {
  if (scratch_ == nullptr) return false;  // given back while a long body was sent
  Scratch& s = *scratch_;
  const std::string_view bytes(s.in.data() + s.in_begin, s.in_end - s.in_begin);
  if (bytes.empty()) {
    reading_head_ = false;
    ReleaseScratch();
    return false;
  }
  const http1::ParseResult parsed = s.parser.Parse(bytes);
  if (parsed.state == http1::ParseState::kDone) {
    BeginRequest(parsed.consumed);
    return true;
  }
  if (parsed.state == http1::ParseState::kError) {
    SendBadRequest(parsed.error);
    return false;
  }
  if (!reading_head_) {
    reading_head_ = true;
    stream_->SetDeadline(kHeadDeadline);
  }
  return false;
}

void Connection::BeginRequest(std::size_t head_bytes) {
  const http1::Request& request = scratch_->parser.request();
  ++request_number_;
  head_bytes_ = head_bytes;
  reading_head_ = false;
  keep_alive_ = request.keep_alive && !close_when_done_ && !worker_.draining();
  head_only_ = request.method == http1::Method::kHead;
  verb_ = Verb::kOther;
  directory_ = worker_.directory();
  tenant_ = nullptr;
  mount_ = nullptr;
  outcome_ = Outcome::kOk;
  cache_word_ = CacheWord::kHit;
  restarts_ = 0;
  body_was_read_ = false;
  started_ = worker_.loop().Now();  // when its turn began: what it waited for others counts
  request_id_ = worker_.NextRequestId();
  Dispatch();
}

bool Connection::HasBody() const {
  const http1::Request& request = scratch_->parser.request();
  return request.body == http1::BodyKind::kChunked ||
         (request.body == http1::BodyKind::kLength && request.content_length > 0);
}

// The request is answered, or never will be. Counted here, once.
void Connection::EndRequest(Outcome outcome) {
  WaitEnds();
  const TenantMetrics& metrics =
      tenant_ != nullptr ? *tenant_->metrics : worker_.metrics().nobody();
  metrics.Count(verb_, outcome);
  metrics.duration[static_cast<std::size_t>(verb_)]->Observe(worker_.loop().clock().Mono() -
                                                             started_);
  if (outcome == Outcome::kAborted) worker_.metrics().aborted_bodies.Add();
  tenant_ = nullptr;
  sender_.Reset();
  object_ = stale_ = store::ObjectRef();
  body_ = std::string();
  head_left_ = {};
  RetireJob();
}

// It may be up the stack: it is silenced now and destroyed in a posted task.
void Connection::RetireJob() {
  if (job_ == nullptr) return;
  job_->Detach();
  worker_.loop().Post([job = std::move(job_)] {});
}

std::function<void()> Connection::JobPoster() {
  return [worker = &worker_, id = id_, number = request_number_] {
    worker->loop().Post([worker, id, number] {
      Connection* found = worker->Find(id);
      if (found != nullptr && found->request_number_ == number && found->job_ != nullptr)
        found->job_->OnContinue();
    });
  };
}

void Connection::BodyWasRead(std::size_t end) {
  head_bytes_ = end - scratch_->in_begin;
  body_was_read_ = true;
}

void Connection::NextRequest() {
  EndRequest(outcome_);
  if (!keep_alive_ || close_when_done_) return Linger();
  state_ = State::kHead;
  stream_->SetDeadline(kIdleDeadline);
  if (scratch_ != nullptr) {
    scratch_->parser.Reset();
    scratch_->in_begin += head_bytes_;
    if (scratch_->in_begin == scratch_->in_end) scratch_->in_begin = scratch_->in_end = 0;
  }
  head_bytes_ = 0;
  if (!processing_) worker_.PostWake(id_);  // what was pipelined, or arrived meanwhile
}

void Connection::ReleaseScratch() {
  if (scratch_ != nullptr && scratch_->in_begin == scratch_->in_end)
    worker_.ReturnScratch(std::move(scratch_));
}

// A reset must not overtake the answer: what the client still sends is read before the end.
void Connection::Linger() {
  state_ = State::kLinger;
  stream_->ShutdownWrite();
  stream_->SetDeadline(kLingerDeadline);
  if (scratch_ == nullptr) return Close();  // nothing unread is known of
  DrainInput();
}

void Connection::DrainInput() {
  for (;;) {
    const net::IoResult got = stream_->Read(std::span<char>(scratch_->in));
    if (got.blocked()) return;
    if (!got.ok() || (lingered_ += got.bytes) > kMaxLingerBytes) return Close();
  }
}

// ---- events ----

void Connection::OnWritable() {
  if (state_ == State::kBody) {
    PumpBody();
  } else if (state_ == State::kAnswer) {
    PumpAnswer();
  } else if (state_ == State::kJob) {
    job_->OnClientWritable();
  }
}

void Connection::OnWake() {
  if (state_ == State::kFirstBytes) {
    PrepareBody();
  } else if (state_ == State::kBody) {
    PumpBody();
  }
  if (state_ != State::kHead) return;
  if (scratch_ != nullptr && scratch_->in_begin < scratch_->in_end) ProcessInput();
  ReadSome();
}

void Connection::OnDeadline() {
  switch (state_) {
    case State::kHead:
      if (tls_.shaking()) worker_.metrics().tls_handshakes_too_slow.Add();
      if (!reading_head_) return Close();
      return SendBadRequest({408, "the request's head did not arrive in time"});
    case State::kLoading:
    case State::kFirstBytes:
      ++request_number_;  // what still comes for it is too late
      sender_.Reset();
      return SendError({s3::ErrorCode::kServiceUnavailable, "The origin did not answer in time."});
    case State::kJob:
      return job_->OnDeadline();
    default:
      Close();
  }
}

void Connection::OnBroken(const base::Status&) {
  if (tls_.shaking()) worker_.metrics().tls_handshakes_failed.Add();
  Close();
}

// ---- short answers ----

void Connection::SendError(const s3::Error& error, std::string_view region) {
  const http1::Request& request = scratch_->parser.request();
  s3::ErrorContext context{.resource = request.path,
                           .request_id = {request_id_.data(), request_id_.size()},
                           .host_id = {},
                           .region = region};
  const int status = error.http_status();
  if (object_ && status == 416) {
    context.range = request.headers.Get(http1::HeaderId::kRange);
    context.object_bytes = object_->meta().size;
  }
  const bool bodiless = error.code == s3::ErrorCode::kNotModified;
  std::string body;
  if (!bodiless) {
    body.resize(2048 + 6 * (request.path.size() + context.range.size()));
    body.resize(s3::WriteErrorXml(error, context, std::span<char>(body)).size());
  }
  http1::HeadWriter head(scratch_->out);
  head.StatusLine(status);
  if (!bodiless) head.Header("Content-Type", "application/xml");
  if (error.code == s3::ErrorCode::kSlowDown)
    head.Header("Retry-After", static_cast<std::uint64_t>(kSlowDownRetryAfter.count()));
  if (object_ && (status == 304 || status == 412)) head.Header("ETag", object_->meta().etag);
  if (object_ && status == 416) {
    std::array<char, 80> range;
    head.Header("Content-Range", s3::WriteContentRange({.kind = s3::RangeKind::kUnsatisfiable},
                                                       object_->meta().size, range));
  }
  outcome_ = error.code == s3::ErrorCode::kSlowDown ? Outcome::kThrottled : OutcomeOf(status);
  SendAnswer(head, std::move(body), !bodiless);
}

void Connection::SendBadRequest(const http1::HeadError& error) {
  worker_.metrics().bad_requests.Add();
  if (state_ == State::kHead) {  // no request was begun; its answer is counted as nobody's
    ++request_number_;
    started_ = worker_.loop().clock().Mono();
    request_id_ = worker_.NextRequestId();
    verb_ = Verb::kOther;
    tenant_ = nullptr;
  }
  keep_alive_ = false;
  head_only_ = false;
  outcome_ = OutcomeOf(error.http_status);
  http1::HeadWriter head(scratch_->out);
  head.StatusLine(error.http_status).Header("Content-Type", "text/plain");
  state_ = State::kAnswer;
  SendAnswer(head, std::string(error.why) + "\n", true);
}

void Connection::SendAnswer(http1::HeadWriter& head, std::string body, bool with_length) {
  head.Header("x-amz-request-id", std::string_view(request_id_.data(), request_id_.size()))
      .Raw(worker_.DateLine());
  if (with_length) head.Header("Content-Length", static_cast<std::uint64_t>(body.size()));
  // The body of a request that was refused is not read: what follows it cannot be found.
  if (state_ != State::kAnswer && !body_was_read_ && HasBody()) keep_alive_ = false;
  if (!keep_alive_) head.Header("Connection", "close");
  head_left_ = head.Finish();
  SLUICE_CHECK(!head_left_.empty());  // short by construction
  if (head_only_) body.clear();
  body_ = std::move(body);
  body_sent_ = 0;
  state_ = State::kAnswer;
  stream_->SetDeadline(kSendDeadline);
  PumpAnswer();
}

void Connection::PumpAnswer() {
  while (!head_left_.empty() || body_sent_ < body_.size()) {
    const iovec pieces[2] = {{const_cast<char*>(head_left_.data()), head_left_.size()},
                             {body_.data() + body_sent_, body_.size() - body_sent_}};
    const net::IoResult sent = stream_->Write(pieces, false);
    if (sent.blocked()) return;
    if (!sent.ok()) return Close();
    const std::size_t of_head = std::min(sent.bytes, head_left_.size());
    head_left_.remove_prefix(of_head);
    body_sent_ += sent.bytes - of_head;
    stream_->SetDeadline(kSendDeadline);
  }
  NextRequest();
}

void Connection::WaitStarts() {
  if (waiting_) return;
  waiting_ = true;
  waiting_since_ = worker_.loop().clock().Mono();
}

void Connection::WaitEnds() {
  if (!waiting_) return;
  waiting_ = false;
  const auto waited = worker_.loop().clock().Mono() - waiting_since_;
  if (tenant_ != nullptr)
    tenant_->metrics->wait_ns->Add(static_cast<std::uint64_t>(base::Duration(waited).count()));
}

}  // namespace sluice::serve
