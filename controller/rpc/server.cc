#include "controller/rpc/server.h"

#include <unistd.h>

#include <utility>

#include "controller/base/check.h"
#include "controller/base/listen.h"
#include "controller/rpc/loop.h"
#include "controller/rpc/tls.h"

namespace sluice::rpc {
namespace {

class ServerImpl final : public Server {
 public:
  ServerImpl(base::ListenAddress address, ServerOptions options)
      : address_(std::move(address)), shared_(std::move(options)) {
    shared_.service.most_request_bytes = shared_.options.most_request_bytes;
    shared_.service.most_answer_bytes = shared_.options.most_answer_bytes;
    shared_.service.most_age = shared_.options.most_age;
  }
  ~ServerImpl() override { Stop(std::chrono::milliseconds(0)); }

  void Handle(std::string path, Method method) override {
    SLUICE_CHECK(loops_.empty() && method != nullptr);
    shared_.service.methods[std::move(path)] = std::move(method);
  }

  base::Status SetCertificate(const base::KeyPair& pair, const std::string& roots_pem) override {
    const bool ask = shared_.options.client_certificates;
    if (ask && roots_pem.empty()) {
      return base::InvalidArgument("no roots to verify client certificates by");
    }
    SLUICE_ASSIGN_OR_RETURN(auto context, MakeServerContext(pair, ask ? roots_pem : ""));
    const std::lock_guard lock(shared_.mutex);
    shared_.tls = std::move(context);
    return base::OkStatus();
  }

  base::Status Start() override {
    SLUICE_CHECK(loops_.empty());
    {
      const std::lock_guard lock(shared_.mutex);
      SLUICE_CHECK(shared_.tls != nullptr);
    }
    SLUICE_ASSIGN_OR_RETURN(listener_, base::Listen(address_));
    for (int i = 0; i < shared_.options.threads; ++i) {
      loops_.push_back(std::make_unique<Loop>(shared_, listener_));
      loops_.back()->Start();
    }
    return base::OkStatus();
  }

  int port() const override { return address_.port; }
  std::size_t connections() const override { return shared_.connections; }

  void Stop(std::chrono::milliseconds grace) override {
    if (loops_.empty()) return;
    const auto by = shared_.clock.Mono() + grace;
    for (const auto& loop : loops_) loop->Stop(by);
    for (const auto& loop : loops_) loop->Join();
    loops_.clear();
    close(listener_);
  }

 private:
  base::ListenAddress address_;
  Shared shared_;
  int listener_ = -1;
  std::vector<std::unique_ptr<Loop>> loops_;
};

}  // namespace

base::StatusOr<std::unique_ptr<Server>> Server::New(const ServerOptions& options) {
  SLUICE_CHECK(options.threads >= 1);
  SLUICE_ASSIGN_OR_RETURN(auto address, base::ParseListenAddress(options.address));
  return std::unique_ptr<Server>(new ServerImpl(std::move(address), options));
}

}  // namespace sluice::rpc
