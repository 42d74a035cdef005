#include "datapath/origin/connection.h"

#include <algorithm>
#include <cstring>

#include "datapath/http1/limits.h"

namespace sluice::origin {

using net::IoResult;

Connection::Connection(net::EventLoop& loop, net::Resolver& resolver, const ClientOptions& options,
                       ClientStats& stats, ConnectionOwner& owner)
    : loop_(loop),
      resolver_(resolver),
      options_(options),
      stats_(stats),
      owner_(owner),
      resolve_deadline_(loop, [this] {
        Fail(base::DeadlineExceeded("resolving " + options_.endpoint.host + " took too long"));
      }) {}

Connection::~Connection() { *alive_ = false; }

void Connection::Open() {
  ++stats_.connects;
  resolve_deadline_.Arm(options_.deadlines.connect);
  resolver_.Resolve(loop_, options_.endpoint.host, options_.endpoint.port,
                    [this, alive = alive_](base::StatusOr<std::vector<net::Address>> addresses) {
                      if (*alive && state_ == State::kConnecting) Dial(std::move(addresses));
                    });
}

void Connection::Dial(base::StatusOr<std::vector<net::Address>> addresses) {
  resolve_deadline_.Cancel();
  if (!addresses.ok()) return Fail(addresses.status());
  if (addresses->empty()) return Fail(base::NotFound("no address: " + options_.endpoint.host));
  // Each connection takes the next address, so that one bad address of several is passed over.
  const net::Address& peer = (*addresses)[stats_.connects % addresses->size()];
  auto raw = net::Connect(loop_, peer, net::OptionsTowards(peer), this);
  if (!raw.ok()) return Fail(raw.status());
  if (options_.endpoint.tls) {
    SLUICE_CHECK(options_.tls != nullptr);
    auto wrapped = options_.tls->Wrap(std::move(raw).value(), options_.endpoint.host, this);
    if (!wrapped.ok()) return Fail(wrapped.status());
    stream_ = std::move(wrapped).value();
  } else {
    stream_ = std::move(raw).value();
  }
  stream_->SetDeadline(options_.deadlines.connect);
}

void Connection::OnConnected() {
  state_ = State::kIdle;
  stream_->SetDeadline(options_.deadlines.kept);
  owner_.OnUsable(this);
}

void Connection::Begin(Job job) {
  SLUICE_CHECK(state_ == State::kIdle);
  state_ = State::kBusy;
  job_ = std::move(job);
  user_ = job_.user;
  written_ = 0;
  streamed_ = 0;
  write_blocked_ = false;
  answered_ = false;
  paused_ = false;
  reusable_ = false;
  drained_ = 0;
  parser_.Reset();
  if (head_ == nullptr) head_ = std::make_unique_for_overwrite<char[]>(http1::kMaxHeadBytes);
  head_size_ = 0;
  head_used_ = 0;
  ArmDeadline();
  // Written from the loop, so that no callback comes from inside Start().
  loop_.Post([this, alive = alive_, user = user_] {
    if (*alive && state_ == State::kBusy && user_ == user && user != nullptr) WriteMore();
  });
}

void Connection::OnWritable() {
  if (state_ != State::kBusy) return;
  write_blocked_ = false;
  WriteMore();
}

void Connection::WriteMore() {
  const std::size_t whole = job_.head.size() + job_.body.size();
  while (written_ < whole) {
    iovec pieces[2];
    std::size_t count = 0;
    if (written_ < job_.head.size())
      pieces[count++] = {job_.head.data() + written_, job_.head.size() - written_};
    const std::size_t body_at = written_ > job_.head.size() ? written_ - job_.head.size() : 0;
    if (body_at < job_.body.size())
      pieces[count++] = {const_cast<char*>(job_.body.data()) + body_at, job_.body.size() - body_at};
    const IoResult result =
        stream_->Write(std::span<const iovec>(pieces, count), job_.stream_bytes > 0);
    if (result.blocked()) {
      write_blocked_ = true;
      return ArmDeadline();
    }
    // What the origin said before it closed may still be there to read.
    if (!result.ok()) return PostRead();
    written_ += result.bytes;
    if (written_ == whole) ArmDeadline();
  }
  if (IsStreaming() && user_ != nullptr) user_->OnSendable();
}

std::size_t Connection::Send(std::span<const char> bytes) {
  if (state_ != State::kBusy || write_blocked_ || written_ < job_.head.size() + job_.body.size())
    return 0;
  bytes = bytes.first(std::min<std::uint64_t>(bytes.size(), job_.stream_bytes - streamed_));
  std::size_t taken = 0;
  while (taken < bytes.size()) {
    const IoResult result = stream_->Write(bytes.subspan(taken), false);
    if (!result.ok()) {
      write_blocked_ = true;  // broken too: reading tells why
      if (!result.blocked()) PostRead();
      break;
    }
    taken += result.bytes;
  }
  streamed_ += taken;
  stats_.bytes_sent += taken;
  ArmDeadline();
  return taken;
}

void Connection::SetPaused(bool paused) {
  if (paused_ == paused || state_ != State::kBusy) return;
  paused_ = paused;
  ArmDeadline();
  if (!paused) PostRead();
}

void Connection::PostRead() {
  if (read_posted_) return;
  read_posted_ = true;
  loop_.Post([this, alive = alive_] {
    if (!*alive) return;
    read_posted_ = false;
    if (state_ == State::kBusy) ReadMore();
  });
}

void Connection::OnReadable() {
  if (state_ == State::kBusy) return ReadMore();
  if (state_ != State::kIdle) return;
  // Nothing may come while nothing was asked: the end, or a peer that is out of step.
  char byte;
  if (!stream_->Read({&byte, 1}).blocked()) Close(base::OkStatus());
}

void Connection::ReadMore() {
  if (in_read_) return;
  in_read_ = true;
  const std::uint64_t before = stats_.bytes_received;
  while (state_ == State::kBusy && !paused_) {
    if (stats_.bytes_received - before > kReadBudgetBytes) {
      PostRead();  // let the loop's other connections have their turn
      break;
    }
    if (!(answered_ ? ReadBody() : ReadHead())) break;
  }
  in_read_ = false;
}

bool Connection::ReadHead() {
  const IoResult result =
      stream_->Read({head_.get() + head_size_, http1::kMaxHeadBytes - head_size_});
  if (result.blocked()) return false;
  if (!result.ok()) {
    Fail(base::Unavailable("the origin closed the connection before it answered"));
    return false;
  }
  head_size_ += result.bytes;
  for (;;) {
    const http1::ParseResult parsed =
        parser_.Parse({head_.get() + head_used_, head_size_ - head_used_}, job_.method);
    if (parsed.state == http1::ParseState::kNeedMore) {
      // An interim answer made way: give the rest the whole buffer.
      if (head_used_ > 0) {
        std::memmove(head_.get(), head_.get() + head_used_, head_size_ - head_used_);
        head_size_ -= head_used_;
        head_used_ = 0;
      }
      return true;
    }
    if (parsed.state == http1::ParseState::kError) {
      Fail(base::Unavailable(std::string("the origin's answer is not HTTP: ") + parsed.error.why));
      return false;
    }
    head_used_ += parsed.consumed;
    if (parser_.response().status >= 200) break;
    parser_.Reset();
  }
  const http1::Response& response = parser_.response();
  answered_ = true;
  body_kind_ = response.body;
  body_left_ = response.body == http1::BodyKind::kLength ? response.content_length : 0;
  body_.Start(response.body, response.content_length);
  reusable_ = response.keep_alive;
  ArmDeadline();
  if (user_ != nullptr) user_->OnHead(response);
  return state_ == State::kBusy;
}

bool Connection::ReadBody() {
  if (body_kind_ == http1::BodyKind::kNone) {
    Finish();
    return false;
  }
  if (head_used_ < head_size_) {  // came with the head
    const std::string_view rest(head_.get() + head_used_, head_size_ - head_used_);
    head_used_ = head_size_;
    return Feed(rest);
  }
  std::span<char> into;
  if (body_left_ > 0 && user_ != nullptr) {
    into = user_->BodyBuffer(body_left_);
    if (state_ != State::kBusy) return false;
    if (into.size() > body_left_) into = into.first(body_left_);
  }
  if (into.empty()) into = owner_.Scratch();
  const IoResult result = stream_->Read(into);
  if (result.blocked()) return false;
  if (!result.ok()) {
    if (result.state == IoResult::State::kEof && body_.EndsWithConnection()) {
      Finish();
    } else {
      Fail(base::DataLoss("the origin closed the connection inside a body"));
    }
    return false;
  }
  ArmDeadline();
  return Feed({into.data(), result.bytes});
}

bool Connection::Feed(std::string_view bytes) {
  while (state_ == State::kBusy) {
    const http1::BodyReader::Step step = body_.Next(bytes);
    bytes.remove_prefix(step.consumed);
    switch (step.state) {
      case http1::BodyReader::State::kNeedMore:
        return true;
      case http1::BodyReader::State::kDone:
        if (!bytes.empty()) reusable_ = false;  // more than was asked for
        Finish();
        return false;
      case http1::BodyReader::State::kError:
        Fail(base::DataLoss(std::string("the origin's body: ") + step.why));
        return false;
      case http1::BodyReader::State::kData:
        break;
    }
    stats_.bytes_received += step.data.size();
    if (body_left_ > 0) body_left_ -= step.data.size();
    if (user_ != nullptr) {
      user_->OnData(step.data);
    } else if ((drained_ += step.data.size()) > kMaxDrainBytes) {
      Close(base::OkStatus());
    }
  }
  return false;
}

void Connection::Finish() {
  ConnectionUser* const user = std::exchange(user_, nullptr);
  job_.user = nullptr;
  // An origin that answered before it had the whole request cannot be asked again here.
  const bool sent = IsSent();
  job_ = Job{};
  if (!reusable_ || !sent) {
    Close(base::OkStatus());
  } else {
    state_ = State::kIdle;
    fresh_ = false;
    paused_ = false;
    stream_->SetDeadline(options_.deadlines.kept);
  }
  // Usable first: what the user starts next may travel on it.
  if (state_ == State::kIdle) owner_.OnUsable(this);
  if (user != nullptr) user->OnFinished();
}

void Connection::Detach() {
  user_ = nullptr;
  if (state_ != State::kBusy) return;
  const bool sent = IsSent();
  // Draining makes sense for a short rest only; anything else would keep the line for long.
  if (answered_ && sent && reusable_ && body_kind_ != http1::BodyKind::kUntilClose &&
      body_left_ <= kMaxDrainBytes) {
    job_.body = {};
    job_.head.clear();
    written_ = 0;
    paused_ = false;
    ArmDeadline();
    PostRead();
    return;
  }
  if (stream_ != nullptr) stream_->Abort();
  Close(base::OkStatus());
}

void Connection::Fail(const base::Status& why) {
  const bool came_up = state_ != State::kConnecting;
  ConnectionUser* const user = std::exchange(user_, nullptr);
  const bool answered = answered_;
  Close(came_up ? base::OkStatus() : why);
  if (user != nullptr) user->OnFailed(why, fresh_, answered);
}

void Connection::Close(const base::Status& why) {
  if (state_ == State::kClosed) return;
  state_ = State::kClosed;
  resolve_deadline_.Cancel();
  if (stream_ != nullptr) {
    stream_->SetHandler(nullptr);
    stream_->ClearDeadline();
  }
  owner_.OnClosed(this, why);
}

void Connection::ArmDeadline() {
  if (paused_) return stream_->ClearDeadline();
  const Deadlines& limits = options_.deadlines;
  base::Duration limit = limits.idle;
  if (!answered_ && IsSent()) limit = limits.first_byte;
  if (WaitsForUser()) limit = limits.upload;
  stream_->SetDeadline(limit);
}

void Connection::OnDeadline() {
  switch (state_) {
    case State::kConnecting:
      return Fail(base::DeadlineExceeded("connecting to " + options_.endpoint.authority +
                                         " took too long"));
    case State::kIdle:
      return Close(base::OkStatus());
    case State::kBusy:
      if (WaitsForUser()) return Fail(base::Aborted("the upload stalled"));
      ++stats_.timeouts;
      return Fail(base::DeadlineExceeded(answered_ ? "the origin fell silent inside a body"
                                                   : "the origin did not answer"));
    case State::kClosed:
      return;
  }
}

void Connection::OnBroken(const base::Status& why) {
  if (state_ == State::kBusy && paused_) return;  // seen again when reading goes on
  if (state_ == State::kBusy) ReadMore();         // what arrived before
  if (state_ == State::kIdle) return Close(base::OkStatus());
  if (state_ == State::kClosed) return;
  Fail(state_ == State::kBusy && answered_
           ? base::DataLoss("the origin's connection broke inside a body: " + why.message())
           : why);
}

}  // namespace sluice::origin
