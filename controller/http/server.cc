#include "controller/http/server.h"

#include <openssl/ssl.h>
#include <unistd.h>

#include <condition_variable>
#include <deque>
#include <map>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "controller/base/check.h"
#include "controller/base/listen.h"
#include "controller/base/log.h"
#include "controller/base/openssl.h"
#include "controller/http/limits.h"
#include "controller/http/server_answer.h"
#include "controller/http/server_intake.h"

namespace sluice::http {
namespace {

using ContextPtr = std::unique_ptr<SSL_CTX, base::openssl::Freer<SSL_CTX_free>>;

base::MonoTime Now() { return std::chrono::steady_clock::now(); }

class ServerImpl final : public Server {
 public:
  ServerImpl(base::ListenAddress address, ServerOptions options)
      : address_(std::move(address)), options_(std::move(options)) {
    if (options_.tls == nullptr) return;
    context_.reset(SSL_CTX_new(TLS_server_method()));
    SLUICE_CHECK(context_ != nullptr);
    options_.tls->Attach(context_.get());
  }
  ~ServerImpl() override { Stop(); }

  void Handle(std::string path, Handler handler) override {
    Handle(std::move(path), std::move(handler), {.max_body_bytes = options_.max_body_bytes});
  }
  void Handle(std::string path, Handler handler, PathLimit limit) override {
    SLUICE_CHECK(listener_ < 0 && limit.refused);
    routes_[std::move(path)] = {std::move(handler), std::move(limit)};
  }

  base::Status Start() override {
    SLUICE_CHECK(listener_ < 0);
    SLUICE_ASSIGN_OR_RETURN(listener_, base::Listen(address_));
    intake_.emplace(listener_, context_.get(),
                    [this](const RequestHead& head) { return Refusal(head); });
    threads_.emplace_back([this] {
      intake_->Run(stop_, [this](ServerIntake::Asked asked) { Queue(std::move(asked)); });
    });
    for (int i = 0; i < options_.threads; ++i) threads_.emplace_back([this] { Work(); });
    return base::OkStatus();
  }

  int port() const override { return address_.port; }

  void Stop() override {
    if (threads_.empty()) return;
    {
      const std::lock_guard lock(mutex_);
      stopping_ = true;
    }
    stop_.Trigger();
    changed_.notify_all();
    for (std::thread& thread : threads_) thread.join();
    threads_.clear();
    asked_.clear();
    intake_.reset();
    close(listener_);
  }

 private:
  struct Route {
    Handler handler;
    PathLimit limit;
  };
  void Queue(ServerIntake::Asked asked);
  void Work();
  void Serve(ServerIntake::Asked asked) const;
  // Errors: the connection's.
  static base::Status ReadBody(ServerIntake::Asked& asked, const CallScope& scope);
  // From a head alone: the answer of a request that no handler gets.
  std::optional<ServerResponse> Refusal(const RequestHead& head) const;
  ServerResponse Answer(const ServerRequest& request) const;
  const Route* Find(const std::string& path) const;

  base::ListenAddress address_;
  const ServerOptions options_;
  ContextPtr context_;  // nullptr: no TLS
  std::map<std::string, Route> routes_;
  int listener_ = -1;
  WakeFd stop_;
  const WakeFd never_;  // what was answered is still sent when the server stops

  std::mutex mutex_;
  std::condition_variable changed_;
  bool stopping_ = false;                  // guarded by mutex_
  std::deque<ServerIntake::Asked> asked_;  // guarded by mutex_: for the workers
  std::optional<ServerIntake> intake_;     // its thread's, while that runs
  std::vector<std::thread> threads_;
};

// Beyond the bound clients wait in the kernel's backlog.
void ServerImpl::Queue(ServerIntake::Asked asked) {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return stopping_ || asked_.size() < kMaxServerQueue; });
  asked_.push_back(std::move(asked));
  changed_.notify_all();
}

void ServerImpl::Work() {
  while (true) {
    std::optional<ServerIntake::Asked> next;
    {
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [this] { return stopping_ || !asked_.empty(); });
      if (stopping_) return;
      next = std::move(asked_.front());
      asked_.pop_front();
      if (asked_.size() + 1 == kMaxServerQueue) changed_.notify_all();
    }
    Serve(std::move(*next));
  }
}

void ServerImpl::Serve(ServerIntake::Asked asked) const {
  const CallScope reading(stop_, {}, Now() + kServerBodyTimeout);
  Connection& connection = *asked.connection;
  if (!ReadBody(asked, reading).ok()) return;  // it went, or said nothing in time
  const ServerRequest request{std::move(asked.head.method), std::move(asked.head.path),
                              std::move(asked.head.query), std::move(asked.head.headers),
                              std::move(asked.body)};
  const ServerResponse response = Answer(request);
  const CallScope writing(never_, {}, Now() + kServerWriteTimeout);
  if (!connection.WriteAll(AnswerHead(response), writing, writing.deadline()).ok()) return;
  if (request.method == "HEAD") return;
  static_cast<void>(connection.WriteAll(response.body, writing, writing.deadline()));
}

base::Status ServerImpl::ReadBody(ServerIntake::Asked& asked, const CallScope& scope) {
  Connection& from = *asked.connection;
  const std::size_t length = asked.head.content_length;
  if (asked.head.expects_continue && asked.body.size() < length) {
    SLUICE_RETURN_IF_ERROR(
        from.WriteAll("HTTP/1.1 100 Continue\r\n\r\n", scope, Now() + kServerWriteTimeout));
  }
  char buffer[kReadBufferBytes];
  while (asked.body.size() < length) {
    SLUICE_ASSIGN_OR_RETURN(const std::size_t n,
                            from.Read(buffer, sizeof(buffer), scope, Now() + kServerReadTimeout));
    if (n == 0) return base::Unavailable("the client closed the connection");
    asked.body.append(buffer, n);
  }
  asked.body.resize(length);
  return base::OkStatus();
}

std::optional<ServerResponse> ServerImpl::Refusal(const RequestHead& head) const {
  if (head.method != "GET" && head.method != "HEAD" && head.method != "POST") {
    return ServerResponse{405, "text/plain", "only GET, HEAD and POST are served\n"};
  }
  const Route* const route = Find(head.path);
  if (route == nullptr) return ServerResponse{404, "text/plain", "not found\n"};
  if (head.content_length <= route->limit.max_body_bytes) return std::nullopt;
  route->limit.refused();
  return ServerResponse{413, "text/plain", "the request's body is too long\n"};
}

ServerResponse ServerImpl::Answer(const ServerRequest& request) const {
  const Route* const route = Find(request.path);
  SLUICE_CHECK(route != nullptr);  // others were refused
  try {
    return route->handler(request);
  } catch (const std::exception& error) {
    base::log::Error("HTTP handler threw", {{"path", request.path}, {"error", error.what()}});
  } catch (...) {
    base::log::Error("HTTP handler threw", {{"path", request.path}, {"error", "of no known type"}});
  }
  return {500, "text/plain", "internal error\n"};
}

const ServerImpl::Route* ServerImpl::Find(const std::string& path) const {
  if (const auto exact = routes_.find(path); exact != routes_.end()) return &exact->second;
  for (std::size_t slash = path.rfind('/'); slash != std::string::npos && slash > 0;
       slash = path.rfind('/', slash - 1)) {
    const auto prefix = routes_.find(path.substr(0, slash + 1));
    if (prefix != routes_.end()) return &prefix->second;
  }
  return nullptr;
}

}  // namespace

base::StatusOr<std::unique_ptr<Server>> Server::New(const ServerOptions& options) {
  SLUICE_CHECK(options.threads >= 1);
  SLUICE_ASSIGN_OR_RETURN(auto address, base::ParseListenAddress(options.address));
  return std::unique_ptr<Server>(new ServerImpl(std::move(address), options));
}

}  // namespace sluice::http
