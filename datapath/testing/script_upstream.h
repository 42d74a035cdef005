// Origins by script: objects in memory, answered over the loop as a real origin's would be, with
// faults on request.
//
// Thread rule: ScriptOrigin from any thread; its exchanges belong to their loops.
#pragma once

#include <fmt/format.h>

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "datapath/net/event_loop.h"
#include "datapath/s3/range.h"
#include "datapath/serve/upstream.h"

namespace sluice::testing {

class ScriptOrigin {
 public:
  struct Object {
    std::string etag;
    std::string body;
  };
  struct Reply {
    int status = 200;
    std::vector<std::pair<std::string, std::string>> headers;
    std::string body;
    std::uint64_t content_length = 0;
    std::size_t stop_after = ~std::size_t{0};  // body bytes, then DataLoss
    base::Status instead;                      // not OK: no head at all
    std::function<bool()> wait;  // while true the answer, though decided, is kept back
  };
  // Changes an answer before it is given; called with the mutex held.
  using Tamper = std::function<void(const origin::Request&, Reply&)>;

  void Put(const std::string& key, std::string etag, std::string body) {
    std::lock_guard lock(mutex_);
    objects_[key] = {std::move(etag), std::move(body)};
  }
  void SetTamper(Tamper tamper) {
    std::lock_guard lock(mutex_);
    tamper_ = std::move(tamper);
  }
  // Answers wait while held.
  void Hold(bool held) {
    std::lock_guard lock(mutex_);
    held_ = held;
  }
  bool held() const {
    std::lock_guard lock(mutex_);
    return held_;
  }
  int gets() const {
    std::lock_guard lock(mutex_);
    return gets_;
  }
  int heads() const {
    std::lock_guard lock(mutex_);
    return heads_;
  }
  std::uint64_t bytes_sent() const {
    std::lock_guard lock(mutex_);
    return bytes_sent_;
  }
  void CountSent(std::size_t bytes) {
    std::lock_guard lock(mutex_);
    bytes_sent_ += bytes;
  }
  void StoreUpload(const origin::Request& request, std::string body) {
    std::lock_guard lock(mutex_);
    objects_[request.key] = {fmt::format("\"put-{}\"", ++uploads_), std::move(body)};
    upload_headers_ = request.headers;
    upload_query_ = request.query;
  }
  // Of the last upload, as the origin got them.
  std::vector<std::pair<std::string, std::string>> upload_headers() const {
    std::lock_guard lock(mutex_);
    return upload_headers_;
  }
  std::string upload_query() const {
    std::lock_guard lock(mutex_);
    return upload_query_;
  }

  Reply Answer(const origin::Request& request) {
    std::lock_guard lock(mutex_);
    Reply reply = Decide(request);
    if (reply.content_length == 0) reply.content_length = reply.body.size();
    if (tamper_) tamper_(request, reply);
    return reply;
  }

 private:
  static std::string HeaderOf(const origin::Request& request, std::string_view name) {
    for (const auto& [key, value] : request.headers)
      if (key == name) return value;
    return {};
  }

  Reply Decide(const origin::Request& request) {
    Reply reply;
    if (request.method == http1::Method::kDelete) {
      objects_.erase(request.key);
      reply.status = 204;
      return reply;
    }
    const auto found = objects_.find(request.key);
    const bool head = request.method == http1::Method::kHead;
    (head ? heads_ : gets_) += 1;
    if (found == objects_.end()) {
      reply.status = 404;
      reply.body = head ? "" : "<Error><Code>NoSuchKey</Code></Error>";
      return reply;
    }
    const Object& object = found->second;
    const std::string if_match = HeaderOf(request, "if-match");
    if (!if_match.empty() && if_match != object.etag) {
      reply.status = 412;
      return reply;
    }
    reply.headers = {{"ETag", object.etag},
                     {"Last-Modified", "Sun, 22 Nov 2026 00:00:00 GMT"},
                     {"Content-Type", "application/octet-stream"}};
    reply.content_length = object.body.size();
    if (head) return reply;
    const std::string range = HeaderOf(request, "range");
    const s3::RangeAnswer part = s3::EvaluateRange(range, object.body.size());
    if (part.kind == s3::RangeKind::kUnsatisfiable) {
      reply.status = 416;
      reply.headers.clear();
      reply.content_length = 0;
      return reply;
    }
    reply.body = object.body.substr(part.first, part.length);
    reply.content_length = reply.body.size();
    if (part.kind == s3::RangeKind::kPart) {
      reply.status = 206;
      std::array<char, 80> text;
      reply.headers.emplace_back("Content-Range",
                                 s3::WriteContentRange(part, object.body.size(), text));
    }
    return reply;
  }

  mutable std::mutex mutex_;
  // Guarded by mutex_:
  std::map<std::string, Object> objects_;
  std::vector<std::pair<std::string, std::string>> upload_headers_;
  std::string upload_query_;
  Tamper tamper_;
  bool held_ = false;
  int gets_ = 0;
  int heads_ = 0;
  int uploads_ = 0;
  std::uint64_t bytes_sent_ = 0;
};

class ScriptUpstream final : public serve::Upstream {
 public:
  ScriptUpstream(net::EventLoop& loop, ScriptOrigin& origin) : loop_(loop), origin_(origin) {}
  base::Status Configure(const control::ConfigPtr&) override { return base::OkStatus(); }
  std::unique_ptr<origin::Exchange> Start(const std::string&, origin::Request request,
                                          origin::ResponseHandler* handler) override {
    return std::make_unique<Exchange>(loop_, origin_, std::move(request), handler);
  }

 private:
  static constexpr std::size_t kPieceBytes = 64 << 10;

  // One step a turn: [upload] → head → pieces of the body → done.
  class Exchange final : public origin::Exchange {
   public:
    Exchange(net::EventLoop& loop, ScriptOrigin& origin, origin::Request request,
             origin::ResponseHandler* handler)
        : origin_(origin),
          request_(std::move(request)),
          handler_(handler),
          step_(loop, [this] { Step(); }) {
      step_.Arm(base::Duration::zero());
    }
    void Pause() override { paused_ = true; }
    void Resume() override {
      paused_ = false;
      if (!step_.armed()) step_.Arm(base::Duration::zero());
    }
    std::size_t Send(std::span<const char> bytes) override {
      uploaded_.append(bytes.data(), bytes.size());
      if (!step_.armed()) step_.Arm(base::Duration::zero());
      return bytes.size();
    }

   private:
    void Step() {
      if (origin_.held()) return step_.Arm(std::chrono::milliseconds(1));
      if (request_.stream_bytes.has_value() && uploaded_.size() < *request_.stream_bytes) {
        if (!asked_for_body_) {
          asked_for_body_ = true;
          handler_->OnSendable();
        }
        return;
      }
      if (!started_) return Begin();
      if (paused_) return;
      if (sent_ == reply_.stop_after) return handler_->OnDone(base::DataLoss("the script ends it"));
      if (sent_ == reply_.body.size()) return handler_->OnDone(base::OkStatus());
      step_.Arm(base::Duration::zero());
      GivePiece();
    }

    void Begin() {
      if (!decided_ && request_.stream_bytes.has_value()) {
        origin_.StoreUpload(request_, uploaded_);
      } else if (!decided_) {
        reply_ = origin_.Answer(request_);
      }
      decided_ = true;
      if (reply_.wait && reply_.wait()) return step_.Arm(std::chrono::milliseconds(1));
      started_ = true;
      if (!reply_.instead.ok()) return handler_->OnDone(reply_.instead);
      http1::Response response;
      response.status = reply_.status;
      response.body = http1::BodyKind::kLength;
      response.content_length = reply_.content_length;
      response.has_content_length = true;
      for (const auto& [name, value] : reply_.headers) response.headers.Add(name, value);
      step_.Arm(base::Duration::zero());
      handler_->OnHead(response);
    }

    void GivePiece() {
      const std::size_t left = std::min(reply_.body.size(), reply_.stop_after) - sent_;
      const std::span<char> room = handler_->BodyBuffer(reply_.body.size() - sent_);
      const std::size_t take =
          std::min({left, kPieceBytes, room.empty() ? kPieceBytes : room.size()});
      const char* from = reply_.body.data() + sent_;
      sent_ += take;
      origin_.CountSent(take);
      if (room.empty()) return handler_->OnData({from, take});
      std::copy(from, from + take, room.data());
      handler_->OnData({room.data(), take});
    }

    ScriptOrigin& origin_;
    origin::Request request_;
    origin::ResponseHandler* const handler_;
    ScriptOrigin::Reply reply_;
    std::string uploaded_;
    bool asked_for_body_ = false;
    bool decided_ = false;
    bool started_ = false;
    bool paused_ = false;
    std::size_t sent_ = 0;
    net::Timer step_;
  };

  net::EventLoop& loop_;
  ScriptOrigin& origin_;
};

}  // namespace sluice::testing
