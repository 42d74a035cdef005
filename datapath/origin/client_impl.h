// What client.cc and exchange.cc share: one origin's client and its exchanges. Private.
//
// Numbered rules:
//  1. An exchange is in exactly one place: the waiting list, a connection, its backoff timer, or
//  done.
//  2. The circuit is asked once an attempt, and told the outcome of that attempt exactly once.
//  3. A handler's callback is the last thing a method does: the exchange may be gone after it.
//  4. Connections are destroyed from a posted task, never inside their own methods.
#pragma once

#include <array>
#include <list>
#include <memory>
#include <string>
#include <vector>

#include "datapath/origin/client.h"
#include "datapath/origin/connection.h"
#include "datapath/s3/signing_key.h"

namespace sluice::origin {

class ExchangeImpl;

class ClientImpl final : public Client, public ConnectionOwner {
 public:
  ClientImpl(net::EventLoop& loop, net::Resolver& resolver, ClientOptions options,
             std::shared_ptr<Circuit> circuit)
      : loop_(loop),
        resolver_(resolver),
        options_(std::move(options)),
        circuit_(std::move(circuit)),
        random_(options_.seed | 1) {}
  ~ClientImpl() override { *alive_ = false; }

  std::size_t exchanges() const { return exchanges_; }

  std::unique_ptr<Exchange> Start(Request request, ResponseHandler* handler) override;
  void SetCredentials(std::string id, std::string secret, std::string token) override {
    options_.access_key_id = std::move(id);
    options_.secret_access_key = std::move(secret);
    options_.session_token = std::move(token);
  }
  const ClientStats& stats() const override { return stats_; }

  void OnUsable(Connection* connection) override;
  void OnClosed(Connection* connection, const base::Status& why) override;
  std::span<char> Scratch() override {
    if (scratch_ == nullptr) scratch_ = std::make_unique_for_overwrite<char[]>(kScratchBytes);
    return {scratch_.get(), kScratchBytes};
  }

 private:
  friend class ExchangeImpl;
  using Place = std::list<ExchangeImpl*>::iterator;

  void Pump();
  std::string SignedHead(const Request& request);
  std::uint64_t Random() {  // xorshift64: spreads retries, decides nothing else
    random_ ^= random_ << 13;
    random_ ^= random_ >> 7;
    random_ ^= random_ << 17;
    return random_;
  }

  net::EventLoop& loop_;
  net::Resolver& resolver_;
  ClientOptions options_;
  const std::shared_ptr<Circuit> circuit_;
  const std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
  ClientStats stats_;
  RetryBudget budget_;
  std::uint64_t random_;
  std::size_t exchanges_ = 0;
  std::size_t connecting_ = 0;
  std::list<ExchangeImpl*> waiting_;
  std::vector<std::unique_ptr<Connection>> connections_;
  std::vector<Connection*> idle_;  // last used at the back
  std::unique_ptr<char[]> scratch_;
  std::array<char, kOutgoingHeadBytes> head_;
  s3::SigningKeyCache keys_;
  bool bury_posted_ = false;
};

class ExchangeImpl final : public Exchange, public ConnectionUser {
 public:
  ExchangeImpl(ClientImpl& client, Request request, ResponseHandler* handler);
  ~ExchangeImpl() override;

  void Pause() override;
  void Resume() override;
  std::size_t Send(std::span<const char> bytes) override;

  // From the client:
  Job TakeJob(Connection* connection);
  void Refuse();
  // The connection made for whoever waits did not come up.
  void OnConnectFailed(const base::Status& why) { FailAttempt(why, false); }

  // From the connection:
  void OnHead(const http1::Response& response) override;
  std::span<char> BodyBuffer(std::uint64_t left) override { return handler_->BodyBuffer(left); }
  void OnData(std::span<const char> bytes) override { handler_->OnData(bytes); }
  void OnSendable() override { handler_->OnSendable(); }
  void OnFinished() override;
  void OnFailed(const base::Status& why, bool fresh, bool answered) override;

 private:
  enum class Outcome : std::uint8_t { kSucceeded, kFailed, kUnknown };

  bool IsReplayable() const { return request_.method != http1::Method::kPost; }
  bool MayRetry();
  void Report(Outcome outcome);

  // Joins the line for a connection, if the circuit lets it.
  void Wait();
  void Retry(base::Duration server_asked);
  void FailAttempt(const base::Status& why, bool final);
  // Nobody was asked, so this says nothing about the origin: connections were all busy, or the one
  // being made was not up yet (its own deadline judges the origin).
  void GiveUpWaiting();
  // Out of wherever it is (rule 1).
  void Leave(Outcome outcome = Outcome::kUnknown);
  void Done(const base::Status& status);
  void DoneLater(base::Status status);

  ClientImpl& client_;
  const Request request_;
  ResponseHandler* const handler_;
  net::Timer backoff_;
  net::Timer deadline_;  // until the head
  base::Status later_;
  net::Timer later_timer_{client_.loop_, [this] { Done(later_); }};
  Connection* connection_ = nullptr;
  ClientImpl::Place place_;
  bool in_line_ = false;
  bool asked_ = false;
  std::uint64_t pass_epoch_ = 0;
  int attempt_ = 0;
  bool stale_retried_ = false;
  bool sent_any_ = false;
  bool paused_ = false;
};

}  // namespace sluice::origin
