#include "controller/rpc/session.h"

#include <nghttp2/nghttp2.h>

#include <algorithm>
#include <utility>

#include "controller/base/check.h"
#include "controller/base/text.h"
#include "controller/rpc/call.h"
#include "controller/rpc/frames.h"

namespace sluice::rpc {
namespace {

constexpr auto kNever = base::MonoTime::max();

base::Status Broken(int error) {
  return base::Unavailable(std::string("HTTP/2: ") + nghttp2_strerror(error));
}

}  // namespace

Session::Session(Host host, std::shared_ptr<const Peer> peer)
    : host_(std::move(host)),
      peer_(std::move(peer)),
      http2_(Frames::NewServer(*this, host_.budget)),
      begun_(host_.clock.Mono()),
      idle_since_(begun_),
      frames_at_(begun_) {}

Session::~Session() {
  while (!calls_.empty()) End(*calls_.back());
  nghttp2_session_del(http2_);
}

base::Status Session::Feed(std::string_view bytes) {
  if (http2_ == nullptr) return base::ResourceExhausted("no memory left for connections");
  const auto n = nghttp2_session_mem_recv(
      http2_, reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size());
  return n < 0 ? Broken(static_cast<int>(n)) : base::OkStatus();
}

base::Status Session::Take(std::string& out, std::size_t about) {
  if (http2_ == nullptr) return base::ResourceExhausted("no memory left for connections");
  out_ = &out;
  out_about_ = about;
  ssize_t n = 1;
  while (n > 0 && out.size() < about) {
    const std::uint8_t* data = nullptr;
    n = nghttp2_session_mem_send(http2_, &data);
    if (n > 0) out.append(reinterpret_cast<const char*>(data), static_cast<std::size_t>(n));
  }
  out_ = nullptr;
  return n < 0 ? Broken(static_cast<int>(n)) : base::OkStatus();
}

bool Session::over() const {
  return http2_ == nullptr ||
         (nghttp2_session_want_read(http2_) == 0 && nghttp2_session_want_write(http2_) == 0);
}

bool Session::message_waits() const {
  return std::ranges::any_of(calls_, [](const auto& call) { return call->sending != nullptr; });
}

void Session::Leave() {
  if (http2_ == nullptr || std::exchange(leaving_, true)) return;
  const auto last = nghttp2_session_get_last_proc_stream_id(http2_);
  nghttp2_submit_goaway(http2_, NGHTTP2_FLAG_NONE, last, NGHTTP2_NO_ERROR, nullptr, 0);
  host_.has_news();
}

// ---- what the peer says ----

SessionCall* Session::Find(std::int32_t id) const {
  const auto found =
      std::ranges::find_if(calls_, [id](const auto& call) { return call->id == id; });
  return found == calls_.end() ? nullptr : found->get();
}

bool Session::Calm() {
  const auto now = host_.clock.Mono();
  const auto per_frame = std::chrono::nanoseconds(std::chrono::seconds(1)) / kIdleFramesPerSecond;
  const auto earned = (now - frames_at_) / per_frame;
  if (earned > 0) {
    idle_frames_ = static_cast<int>(std::min<long>(kIdleFrames, idle_frames_ + earned));
    frames_at_ += earned * per_frame;
  }
  return --idle_frames_ >= 0;
}

bool Session::Begin(std::int32_t id) {
  if (leaving_) return false;
  calls_.push_back(std::make_shared<SessionCall>(this, id, peer_, host_.mailbox,
                                                 host_.service.most_request_bytes));
  calls_.back()->request_by = host_.clock.Mono() + kFirstMessage;
  return true;
}

void Session::Route(SessionCall& call) {
  const auto head = std::move(call.head);
  const char* http_status = nullptr;
  if (head->method != "POST") http_status = "405";
  if (!head->content_type.starts_with("application/grpc")) http_status = "415";
  if (http_status != nullptr) {
    call.answered = call.trailed = true;
    call.last_words = base::Unimplemented("not a call of gRPC");
    call.cut_at = host_.clock.Mono() + kLastWords;
    const nghttp2_nv field = Frames::Field(":status", http_status);
    nghttp2_submit_response(http2_, call.id, &field, 1, nullptr);
    return;
  }
  if (!head->timeout.empty()) {
    const auto timeout = ParseTimeout(head->timeout);
    if (!timeout) return Finish(call, base::Internal("grpc-timeout is not of its form"));
    const auto now = host_.clock.Mono();
    if (*timeout < kNever - now) call.answer_by = now + *timeout;
  }
  const auto method = host_.service.methods.find(head->path);
  if (method == host_.service.methods.end()) {
    return Finish(call, base::Unimplemented("no such method on this port"));
  }
  call.handler = method->second(call.shared_from_this());
  SLUICE_CHECK(call.handler != nullptr);
}

void Session::TakeData(SessionCall& call, std::string_view bytes) {
  if (call.handler == nullptr || call.last_words) return;  // refused: what it says is not kept
  const auto held = call.shared_from_this();
  const std::size_t before = call.reader.held_bytes();
  const base::Status taken = call.reader.Feed(bytes, [&](std::string_view message) {
    call.request_by = kNever;
    call.handler->OnMessage(message);
  });
  const std::size_t after = call.reader.held_bytes();
  if (after > before) {
    if (!host_.budget.Take(after - before)) {
      call.reader = MessageReader(host_.service.most_request_bytes);
      host_.budget.Give(before);
      return Finish(call, base::ResourceExhausted("no memory left for requests"));
    }
  } else {
    host_.budget.Give(before - after);
  }
  if (!taken.ok()) Finish(call, taken);
}

void Session::HalfClose(SessionCall& call) {
  if (std::exchange(call.half_closed, true) || call.handler == nullptr || call.last_words) return;
  if (call.reader.midway()) {
    return Finish(call, base::InvalidArgument("the stream ends within a message"));
  }
  call.handler->OnHalfClose();
}

void Session::End(SessionCall& ending) {
  const auto call = ending.shared_from_this();
  std::erase(calls_, call);
  if (calls_.empty()) idle_since_ = host_.clock.Mono();
  call->session = nullptr;
  call->sending.reset();
  host_.budget.Give(call->reader.held_bytes());
  if (const auto handler = std::move(call->handler)) handler->OnEnd();
}

// ---- what we say ----

void Session::Send(SessionCall& call, std::shared_ptr<const std::string> message) {
  if (call.last_words) return;
  SLUICE_CHECK(call.sending == nullptr);
  if (message->size() > host_.service.most_answer_bytes) {
    return Finish(call, base::ResourceExhausted("the answer is too long"));
  }
  call.prefix = PrefixOf(message->size());
  call.sending = std::move(message);
  if (std::exchange(call.answered, true)) {
    nghttp2_session_resume_data(http2_, call.id);
  } else {
    const nghttp2_nv head[] = {Frames::Field(":status", "200"),
                               Frames::Field("content-type", "application/grpc")};
    const nghttp2_data_provider source = Frames::Source(call);
    nghttp2_submit_response(http2_, call.id, head, std::size(head), &source);
  }
  host_.has_news();
}

void Session::Finish(SessionCall& call, base::Status status) {
  if (call.last_words || call.trailed) return;
  call.last_words = std::move(status);
  call.cut_at = host_.clock.Mono() + kLastWords;
  if (call.answered) {
    nghttp2_session_resume_data(http2_, call.id);  // Frames::Read has them follow
  } else {
    SubmitStatus(call, *call.last_words, false);
  }
  host_.has_news();
}

void Session::SubmitStatus(SessionCall& call, const base::Status& status, bool trailers) {
  call.answered = call.trailed = true;
  const std::string code = std::to_string(static_cast<int>(status.code()));
  const std::string message = PercentEncode(base::Cut(status.message(), kMaxStatusBytes));
  std::vector<nghttp2_nv> fields;
  if (!trailers) {
    fields.push_back(Frames::Field(":status", "200"));
    fields.push_back(Frames::Field("content-type", "application/grpc"));
  }
  fields.push_back(Frames::Field("grpc-status", code));
  if (!message.empty()) fields.push_back(Frames::Field("grpc-message", message));
  if (trailers) {
    nghttp2_submit_trailer(http2_, call.id, fields.data(), fields.size());
  } else {
    nghttp2_submit_response(http2_, call.id, fields.data(), fields.size(), nullptr);
  }
}

// ---- time ----

base::MonoTime Session::Due() const {
  base::MonoTime due = kNever;
  if (host_.service.most_age.count() > 0 && !leaving_) due = begun_ + host_.service.most_age;
  if (calls_.empty()) due = std::min(due, idle_since_ + kIdleConnection);
  for (const auto& call : calls_) {
    const auto by = call->last_words ? call->cut_at : std::min(call->request_by, call->answer_by);
    due = std::min(due, by);
  }
  return due;
}

void Session::Expire() {
  const auto now = host_.clock.Mono();
  const auto calls = calls_;
  for (const auto& call : calls) {
    if (call->session == nullptr) continue;
    if (call->last_words) {
      if (call->cut_at > now) continue;
      call->cut_at = kNever;
      nghttp2_submit_rst_stream(http2_, NGHTTP2_FLAG_NONE, call->id, NGHTTP2_CANCEL);
      host_.has_news();
    } else if (std::min(call->answer_by, call->request_by) <= now) {
      Finish(*call, base::DeadlineExceeded(call->answer_by <= now ? "the call's time is over"
                                                                  : "no request came"));
    }
  }
  if (calls_.empty() && idle_since_ + kIdleConnection <= now && http2_ != nullptr) {
    nghttp2_session_terminate_session(http2_, NGHTTP2_NO_ERROR);
    idle_since_ = now;  // it is over once that is sent, or cut for not taking it
    host_.has_news();
  }
  if (host_.service.most_age.count() > 0 && begun_ + host_.service.most_age <= now) Leave();
}

}  // namespace sluice::rpc
