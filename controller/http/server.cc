#include "controller/http/server.h"

#include <fmt/format.h>
#include <httplib.h>

#include <atomic>
#include <charconv>
#include <condition_variable>
#include <deque>
#include <map>
#include <mutex>
#include <thread>
#include <vector>

#include "controller/base/log.h"
#include "controller/http/limits.h"

namespace sluice::http {
namespace {

// httplib's own pool queues without a bound; here the accepting thread serves what does not fit.
class BoundedPool final : public httplib::TaskQueue {
 public:
  explicit BoundedPool(int threads) {
    for (int i = 0; i < threads; ++i) threads_.emplace_back([this] { Loop(); });
  }
  void enqueue(std::function<void()> task) override {
    {
      std::lock_guard lock(mutex_);
      // Only running a task closes its socket, so none can be dropped; while the accepting thread
      // runs the oldest, new connections wait in the kernel's backlog.
      if (tasks_.size() >= kMaxServerQueue) {
        overflow_ = std::move(tasks_.front());
        tasks_.pop_front();
      }
      tasks_.push_back(std::move(task));
    }
    work_.notify_one();
    if (overflow_) std::exchange(overflow_, nullptr)();  // on the accepting thread: back pressure
  }
  void shutdown() override {
    {
      std::lock_guard lock(mutex_);
      stopping_ = true;
    }
    work_.notify_all();
    for (std::thread& thread : threads_) thread.join();
    threads_.clear();
  }

 private:
  void Loop() {
    while (true) {
      std::function<void()> task;
      {
        std::unique_lock lock(mutex_);
        work_.wait(lock, [this] { return stopping_ || !tasks_.empty(); });
        if (tasks_.empty()) return;
        task = std::move(tasks_.front());
        tasks_.pop_front();
      }
      task();
    }
  }

  std::mutex mutex_;
  std::condition_variable work_;
  bool stopping_ = false;
  std::deque<std::function<void()>> tasks_;
  std::function<void()> overflow_;  // the accepting thread's own
  std::vector<std::thread> threads_;
};

class ServerImpl final : public Server {
 public:
  ServerImpl(std::string host, int port, const ServerOptions& options)
      : host_(std::move(host)), port_(port), tls_(options.tls), server_(NewServer(tls_.get())) {
    server_->new_task_queue = [threads = options.threads] { return new BoundedPool(threads); };
    server_->set_keep_alive_max_count(1);  // a kept connection would hold one of few threads
    server_->set_payload_max_length(options.max_body_bytes);
    server_->set_read_timeout(kServerReadTimeout);
    server_->set_write_timeout(kServerWriteTimeout);
    // Without this httplib shares the port with any other process that asks for it.
    server_->set_socket_options([](socket_t socket) {
      const int one = 1;
      setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    });
    const auto serve = [this](const httplib::Request& request, httplib::Response& response) {
      Serve(request, response);
    };
    server_->Get(".*", serve);
    server_->Post(".*", serve);
  }
  ~ServerImpl() override { Stop(); }

  void Handle(std::string path, Handler handler) override {
    SLUICE_CHECK(!thread_.joinable());
    handlers_[std::move(path)] = std::move(handler);
  }

  base::Status Start() override {
    SLUICE_CHECK(!thread_.joinable());
    if (port_ == 0) {
      port_ = server_->bind_to_any_port(host_);
      if (port_ <= 0) return base::Unavailable(fmt::format("cannot bind a port of {}", host_));
    } else if (!server_->bind_to_port(host_, port_)) {
      return base::Unavailable(fmt::format("cannot bind {}:{}", host_, port_));
    }
    thread_ = std::thread([this] {
      if (!server_->listen_after_bind()) base::log::Error("HTTP server ended", {{"port", port_}});
      ended_ = true;
    });
    // The socket listens: who connects before the accept loop runs waits in its backlog. Nor is the
    // loop waited for here, which on a busy core costs a start tens of milliseconds.
    return base::OkStatus();
  }

  int port() const override { return port_; }

  void Stop() override {
    if (!thread_.joinable()) return;
    // stop() before the accept loop runs would be lost.
    while (!server_->is_running() && !ended_) std::this_thread::yield();
    server_->stop();
    thread_.join();
  }

 private:
  const Handler* Find(const std::string& path) const {
    if (const auto exact = handlers_.find(path); exact != handlers_.end()) return &exact->second;
    for (std::size_t slash = path.rfind('/'); slash != std::string::npos && slash > 0;
         slash = path.rfind('/', slash - 1)) {
      const auto prefix = handlers_.find(path.substr(0, slash + 1));
      if (prefix != handlers_.end()) return &prefix->second;
    }
    return nullptr;
  }

  void Serve(const httplib::Request& request, httplib::Response& response) const {
    const Handler* handler = Find(request.path);
    if (handler == nullptr) {
      response.status = 404;
      response.set_content("not found\n", "text/plain");
      return;
    }
    ServerRequest in{request.method, request.path, {}, {}, request.body};
    for (const auto& [name, value] : request.params) in.query.push_back({name, value});
    for (const auto& [name, value] : request.headers) in.headers.push_back({name, value});
    ServerResponse out;
    try {
      out = (*handler)(in);
    } catch (const std::exception& error) {
      base::log::Error("HTTP handler threw", {{"path", in.path}, {"error", error.what()}});
      out = {500, "text/plain", "internal error\n"};
    } catch (...) {
      base::log::Error("HTTP handler threw", {{"path", in.path}, {"error", "of no known type"}});
      out = {500, "text/plain", "internal error\n"};
    }
    response.status = out.status;
    response.set_content(std::move(out.body), out.content_type);
  }

  static std::unique_ptr<httplib::Server> NewServer(ServerTls* tls) {
    if (tls == nullptr) return std::make_unique<httplib::Server>();
    return std::make_unique<httplib::SSLServer>([tls](SSL_CTX& context) {
      tls->Attach(&context);
      return true;
    });
  }

  const std::string host_;
  int port_;
  const std::shared_ptr<ServerTls> tls_;
  std::map<std::string, Handler> handlers_;
  const std::unique_ptr<httplib::Server> server_;
  std::thread thread_;
  std::atomic<bool> ended_{false};  // the accept loop, by itself or by Stop
};

}  // namespace

base::StatusOr<std::unique_ptr<Server>> Server::New(const ServerOptions& options) {
  const std::string& address = options.address;
  const std::size_t colon = address.rfind(':');
  std::string host = colon == std::string::npos ? "" : address.substr(0, colon);
  if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
  int port = -1;
  if (colon != std::string::npos) {
    const char* end = address.data() + address.size();
    const auto [stop, error] = std::from_chars(address.data() + colon + 1, end, port);
    if (error != std::errc() || stop != end) port = -1;
  }
  if (colon == std::string::npos || port < 0 || port > 65535 || options.threads < 1) {
    return base::InvalidArgument(fmt::format("\"{}\" is not host:port", address));
  }
  if (host.empty()) host = "0.0.0.0";
  return std::unique_ptr<Server>(new ServerImpl(std::move(host), port, options));
}

}  // namespace sluice::http
