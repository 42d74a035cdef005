#include "controller/http/server.h"

#include <fmt/format.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <condition_variable>
#include <deque>
#include <map>
#include <mutex>
#include <thread>
#include <vector>

#include "controller/base/check.h"
#include "controller/base/listen.h"
#include "controller/base/log.h"
#include "controller/base/openssl.h"
#include "controller/http/connection.h"
#include "controller/http/limits.h"
#include "controller/http/request_parser.h"
#include "controller/http/wait.h"

namespace sluice::http {
namespace {

using ContextPtr = std::unique_ptr<SSL_CTX, base::openssl::Freer<SSL_CTX_free>>;

std::string_view Phrase(int status) {
  switch (status / 100) {
    case 2:
      return "OK";
    case 4:
      return "Refused";
    default:
      return "Error";
  }
}

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
    SLUICE_CHECK(listener_ < 0);
    handlers_[std::move(path)] = std::move(handler);
  }

  base::Status Start() override {
    SLUICE_CHECK(listener_ < 0);
    SLUICE_ASSIGN_OR_RETURN(listener_, base::Listen(address_));
    threads_.emplace_back([this] { Accept(); });
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
    for (const int fd : accepted_) close(fd);
    accepted_.clear();
    close(listener_);
  }

 private:
  void Accept();
  void Work();
  void Serve(int fd) const;
  base::StatusOr<ServerRequest> Read(Connection& from, const CallScope& scope) const;
  ServerResponse Answer(const ServerRequest& request) const;
  const Handler* Find(const std::string& path) const;

  base::ListenAddress address_;
  const ServerOptions options_;
  ContextPtr context_;  // nullptr: no TLS
  std::map<std::string, Handler> handlers_;
  int listener_ = -1;
  WakeFd stop_;
  const WakeFd never_;  // what was answered is still sent when the server stops

  std::mutex mutex_;
  std::condition_variable changed_;
  bool stopping_ = false;     // guarded by mutex_
  std::deque<int> accepted_;  // guarded by mutex_: for the workers
  std::vector<std::thread> threads_;
};

void ServerImpl::Accept() {
  pollfd fds[2] = {{listener_, POLLIN, 0}, {stop_.fd(), POLLIN, 0}};
  while (true) {
    poll(fds, 2, -1);
    if (stop_.triggered()) return;
    const int fd = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd < 0) {
      if (errno != EAGAIN && errno != ECONNABORTED && errno != EINTR) {
        base::log::Warn("HTTP server could not accept",
                        {{"error", base::FromErrno(errno, "accept")}});
        poll(&fds[1], 1, static_cast<int>(kServerAcceptPause.count()));
      }
      continue;
    }
    std::unique_lock lock(mutex_);
    // Beyond the bound clients wait in the kernel's backlog.
    changed_.wait(lock, [this] { return stopping_ || accepted_.size() < kMaxServerQueue; });
    accepted_.push_back(fd);
    changed_.notify_all();
  }
}

void ServerImpl::Work() {
  while (true) {
    int fd = -1;
    {
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [this] { return stopping_ || !accepted_.empty(); });
      if (stopping_) return;
      fd = accepted_.front();
      accepted_.pop_front();
      if (accepted_.size() + 1 == kMaxServerQueue) changed_.notify_all();
    }
    Serve(fd);
  }
}

void ServerImpl::Serve(int fd) const {
  const CallScope reading(stop_, {}, Now() + kServerRequestTimeout);
  SSL* const session = context_ == nullptr ? nullptr : SSL_new(context_.get());
  SLUICE_CHECK((session == nullptr) == (context_ == nullptr));  // out of memory
  const auto connection = Connection::Accepted(fd, session, reading, Now() + kServerReadTimeout);
  if (!connection.ok()) return;
  const auto request = Read(**connection, reading);
  ServerResponse response;
  switch (request.status().code()) {
    case base::Code::kOk:
      response = Answer(*request);
      break;
    case base::Code::kInvalidArgument:
      response.status = 400;
      break;
    case base::Code::kFailedPrecondition:
      response.status = 411;
      break;
    case base::Code::kResourceExhausted:
      response.status = request.status().reason() == "Body" ? 413 : 431;
      break;
    default:
      return;  // it went, or said nothing in time
  }
  if (!request.ok()) response.body = request.status().message() + "\n";
  const bool head_only = request.ok() && request->method == "HEAD";
  const std::string head = fmt::format(
      "HTTP/1.1 {} {}\r\nContent-Type: {}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
      response.status, Phrase(response.status), response.content_type, response.body.size());
  const CallScope writing(never_, {}, Now() + kServerWriteTimeout);
  const bool sent =
      (*connection)->WriteAll(head, writing, writing.deadline()).ok() &&
      (head_only || (*connection)->WriteAll(response.body, writing, writing.deadline()).ok());
  if (!sent || request.ok()) return;
  // Cut now, the client might never see why: it is still sending.
  const CallScope draining(stop_, {}, Now() + kServerDrainTimeout);
  char buffer[kReadBufferBytes];
  for (std::size_t drained = 0; drained < kMaxServerDrainBytes;) {
    const auto got = (*connection)->Read(buffer, sizeof(buffer), draining, draining.deadline());
    if (!got.ok() || *got == 0) return;
    drained += *got;
  }
}

// Errors besides ParseRequestHead's: ResourceExhausted ("Head", "Body"); the connection's.
base::StatusOr<ServerRequest> ServerImpl::Read(Connection& from, const CallScope& scope) const {
  std::string bytes;
  char buffer[kReadBufferBytes];
  const auto more = [&]() -> base::Status {
    SLUICE_ASSIGN_OR_RETURN(const std::size_t n,
                            from.Read(buffer, sizeof(buffer), scope, Now() + kServerReadTimeout));
    if (n == 0) return base::Unavailable("the client closed the connection");
    bytes.append(buffer, n);
    return base::OkStatus();
  };
  std::size_t end = std::string::npos;
  while ((end = bytes.find("\r\n\r\n")) == std::string::npos) {
    if (bytes.size() > kMaxServerHeadBytes) {
      return base::ResourceExhausted("the request's head is too long").WithReason("Head");
    }
    SLUICE_RETURN_IF_ERROR(more());
  }
  SLUICE_ASSIGN_OR_RETURN(RequestHead head,
                          ParseRequestHead(std::string_view(bytes).substr(0, end)));
  if (head.content_length > options_.max_body_bytes) {
    return base::ResourceExhausted("the request's body is too long").WithReason("Body");
  }
  bytes.erase(0, end + 4);
  if (head.expects_continue && bytes.size() < head.content_length) {
    SLUICE_RETURN_IF_ERROR(
        from.WriteAll("HTTP/1.1 100 Continue\r\n\r\n", scope, Now() + kServerWriteTimeout));
  }
  while (bytes.size() < head.content_length) SLUICE_RETURN_IF_ERROR(more());
  bytes.resize(head.content_length);
  return ServerRequest{std::move(head.method), std::move(head.path), std::move(head.query),
                       std::move(head.headers), std::move(bytes)};
}

ServerResponse ServerImpl::Answer(const ServerRequest& request) const {
  if (request.method != "GET" && request.method != "HEAD" && request.method != "POST") {
    return {405, "text/plain", "only GET, HEAD and POST are served\n"};
  }
  const Handler* const handler = Find(request.path);
  if (handler == nullptr) return {404, "text/plain", "not found\n"};
  try {
    return (*handler)(request);
  } catch (const std::exception& error) {
    base::log::Error("HTTP handler threw", {{"path", request.path}, {"error", error.what()}});
  } catch (...) {
    base::log::Error("HTTP handler threw", {{"path", request.path}, {"error", "of no known type"}});
  }
  return {500, "text/plain", "internal error\n"};
}

const Handler* ServerImpl::Find(const std::string& path) const {
  if (const auto exact = handlers_.find(path); exact != handlers_.end()) return &exact->second;
  for (std::size_t slash = path.rfind('/'); slash != std::string::npos && slash > 0;
       slash = path.rfind('/', slash - 1)) {
    const auto prefix = handlers_.find(path.substr(0, slash + 1));
    if (prefix != handlers_.end()) return &prefix->second;
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
