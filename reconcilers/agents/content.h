// Internal to this folder: what the cache says of a site as content with a digest, and a content
// with its order as the messages that agents are sent. Pure.
//
// Digests and messages are the same in every replica of one build: serialisation is deterministic.
// A version is 128 bits of SHA-256 over the configuration and an HMAC of the credentials.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "api/agent/v1/agent.pb.h"
#include "controller/base/status.h"
#include "reconcilers/agents/epoch.h"
#include "reconcilers/agents/publisher.h"

namespace sluice::agents {

// A content before it has an order.
struct Derived {
  std::string digest;  // of everything below
  std::string version;
  agent::v1::AgentConfig config;
  agent::v1::Credentials credentials;
  struct Own {
    std::string version;
    agent::v1::AgentConfig config;
  };
  std::map<std::string, Own> per_node;
};

// A content with its order: the messages, made once and shared by every stream.
struct Served {
  Order order;
  std::string digest;
  Offer common;
  std::map<std::string, Offer> per_node;
};

// Errors: InvalidArgument (a message over its bound).
base::StatusOr<std::shared_ptr<const Derived>> Derive(const std::string& site,
                                                      const SiteContent& content,
                                                      const std::string& hash_key);
// The messages of `derived` under `order`, which the record gives it.
std::shared_ptr<const Served> Serve(const EpochRecord& record, const Order& order,
                                    const Derived& derived);

}  // namespace sluice::agents
