#include "datapath/serve/origin_upstream.h"

#include <random>

#include "datapath/origin/client.h"

namespace sluice::serve {
namespace {

// An exchange with an origin that is not configured (any more).
class NoOrigin final : public origin::Exchange {
 public:
  NoOrigin(net::EventLoop& loop, origin::ResponseHandler* handler)
      : timer_(loop,
               [handler] { handler->OnDone(base::Unavailable("the origin is not configured")); }) {
    timer_.Arm(base::Duration::zero());
  }
  void Pause() override {}
  void Resume() override {}
  std::size_t Send(std::span<const char>) override { return 0; }

 private:
  net::Timer timer_;
};

class OriginUpstream final : public Upstream {
 public:
  OriginUpstream(net::EventLoop& loop, net::Resolver& resolver, Circuits& circuits)
      : loop_(loop), resolver_(resolver), circuits_(circuits) {}

  base::Status Configure(const control::ConfigPtr& config) override {
    std::map<std::string, Entry> next;
    for (const control::Origin& origin : config->origins) {
      const auto known = clients_.find(origin.name);
      if (known != clients_.end() && SamePlace(known->second.from, origin)) {
        next[origin.name] = {origin, known->second.client};
        continue;
      }
      SLUICE_ASSIGN_OR_RETURN(auto client, Make(origin));
      next[origin.name] = {origin, std::move(client)};
    }
    for (auto& [name, entry] : next) {
      const control::Credentials& key = entry.from.credentials;
      entry.client->SetCredentials(key.access_key_id, key.secret_access_key, key.session_token);
    }
    // Clients that left live on until their last exchange is gone: an exchange holds its client.
    clients_.swap(next);
    return base::OkStatus();
  }

  std::unique_ptr<origin::Exchange> Start(const std::string& origin, origin::Request request,
                                          origin::ResponseHandler* handler) override {
    const auto found = clients_.find(origin);
    if (found == clients_.end()) return std::make_unique<NoOrigin>(loop_, handler);
    return std::make_unique<Held>(found->second.client,
                                  found->second.client->Start(std::move(request), handler));
  }

 private:
  struct Entry {
    control::Origin from;
    std::shared_ptr<origin::Client> client;
  };

  // Keeps the client while the exchange lives.
  class Held final : public origin::Exchange {
   public:
    Held(std::shared_ptr<origin::Client> client, std::unique_ptr<origin::Exchange> exchange)
        : client_(std::move(client)), exchange_(std::move(exchange)) {}
    void Pause() override { exchange_->Pause(); }
    void Resume() override { exchange_->Resume(); }
    std::size_t Send(std::span<const char> bytes) override { return exchange_->Send(bytes); }

   private:
    std::shared_ptr<origin::Client> client_;  // destroyed after the exchange
    std::unique_ptr<origin::Exchange> exchange_;
  };

  static bool SamePlace(const control::Origin& a, const control::Origin& b) {
    return a.endpoint == b.endpoint && a.region == b.region && a.path_style == b.path_style &&
           a.ca_pem == b.ca_pem;
  }

  base::StatusOr<std::shared_ptr<origin::Client>> Make(const control::Origin& from) {
    origin::ClientOptions options;
    options.name = from.name;
    SLUICE_ASSIGN_OR_RETURN(options.endpoint, origin::Endpoint::Parse(from.endpoint));
    options.region = from.region;
    options.path_style = from.path_style;
    if (options.endpoint.tls) {
      SLUICE_ASSIGN_OR_RETURN(options.tls, origin::TlsContext::Create(from.ca_pem));
    }
    options.seed = std::random_device{}();
    return std::shared_ptr<origin::Client>(origin::Client::Create(
        loop_, resolver_, std::move(options), circuits_.Get(from.name, from.endpoint)));
  }

  net::EventLoop& loop_;
  net::Resolver& resolver_;
  Circuits& circuits_;
  std::map<std::string, Entry> clients_;
};

}  // namespace

std::shared_ptr<origin::Circuit> Circuits::Get(const std::string& origin,
                                               const std::string& endpoint) {
  std::lock_guard lock(mutex_);
  std::erase_if(circuits_, [](const auto& entry) { return entry.second.expired(); });
  std::weak_ptr<origin::Circuit>& slot = circuits_[origin + " " + endpoint];
  std::shared_ptr<origin::Circuit> circuit = slot.lock();
  if (circuit == nullptr) slot = circuit = std::make_shared<origin::Circuit>();
  return circuit;
}

std::unique_ptr<Upstream> MakeOriginUpstream(net::EventLoop& loop, net::Resolver& resolver,
                                             Circuits& circuits) {
  return std::make_unique<OriginUpstream>(loop, resolver, circuits);
}

}  // namespace sluice::serve
