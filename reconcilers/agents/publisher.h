// What each agent is to be sent, in every replica, so that a lagging one rolls nothing back.
//
// Every replica derives a site's configuration from its own cache and hands it to Publish(). Only
// the leader then writes the digest of it into the record (epoch.h), which gives it an order. What
// agents are offered is decided by one rule, in the leader as in a follower:
//
//  1. A configuration is offered only while its digest is the one the record names for its site,
//  and
//     then under the order the record gives it.
//  2. A replica whose cache is ahead of the record goes on offering the configuration the record
//     names, if it has it; one whose cache is behind offers nothing (agents keep what they run).
//  3. A replica's own copy of the record never goes back (Follows()).
//  4. A record that was deleted by hand is written back by the leader from its own copy, with the
//     epoch raised: agents refuse whatever is lower than what they have seen.
//
// So one (lineage, epoch, revision) names the same content everywhere, and a follower that serves
// late serves something old under its old order, which agents refuse. docs/adr/0040.
//
// Secrets: credentials are hashed with a key derived from the CA, so a version tells nothing of
// them.
//
// Thread rule: any thread. Publish, Retire and TakeOver do I/O through the EpochStore and are
// serialised; the rest does none.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "controller/base/status.h"
#include "reconcilers/agents/epoch.h"

namespace sluice::agent::v1 {
class AgentConfig;
class Credentials;
}  // namespace sluice::agent::v1

namespace sluice::agents {

struct Order {
  std::string lineage;
  std::int64_t epoch = 0;
  std::int64_t revision = 0;
  friend auto operator<=>(const Order&, const Order&) = default;
};

// Pointers are read during the call only.
struct SiteContent {
  const agent::v1::AgentConfig* config = nullptr;
  const agent::v1::Credentials* credentials = nullptr;
  // Nodes whose configuration differs; it replaces `config` there.
  std::map<std::string, const agent::v1::AgentConfig*> per_node;
};

// One message, shared by all streams it goes to: a serialised agent.v1.ControllerMessage.
struct Offer {
  std::string version;
  Order order;
  std::shared_ptr<const std::string> bytes;
};

struct PublishedState {
  std::string version;     // of what was just derived, for nodes without their own
  bool published = false;  // the record names it: agents are being offered it
  Order order;             // when published
  bool wrote = false;      // this call wrote the record
};

class ConfigPublisher {
 public:
  // `hash_key`: CertificateAuthority::DeriveKey("configuration version"); equal in all replicas.
  ConfigPublisher(EpochStore& store, std::string hash_key);
  ~ConfigPublisher();
  ConfigPublisher(const ConfigPublisher&) = delete;
  ConfigPublisher& operator=(const ConfigPublisher&) = delete;

  // The elected leader, before its first write: raises the epoch and returns it. When the record is
  // not there, above the last that this replica saw, if it saw any.
  // Errors: the store's; Aborted after kMaxCompareAndSwapTries lost races.
  base::StatusOr<std::int64_t> TakeOver(const std::string& cluster_uid, const std::string& holder);
  // Leadership is lost or given up; Publish only derives from here on.
  void StepDown();
  bool leading() const;

  // Derives, and publishes when this replica leads and the digest is not the published one already
  // (no write otherwise). Errors: InvalidArgument (message over its bound); Aborted with reason
  // "Fenced" (another took over: this replica has stepped down); the store's.
  base::StatusOr<PublishedState> Publish(const std::string& site, const SiteContent& content);
  // The site is gone: nothing is offered, and the leader removes it from the record.
  base::Status Retire(const std::string& site);

  // The record as a watch of its object shows it; older ones than the known are ignored.
  void Observe(const EpochRecord& record);
  // The watch says that the object is gone: the leader writes it back. Errors: the store's.
  base::Status Restore();
  // `fenced` runs once when this replica, leading, finds that somebody raised the epoch above it or
  // started a new lineage: it publishes no more until it takes over anew. Set it before use.
  void OnFenced(std::function<void()> fenced);
  EpochRecord record() const;

  // What to send to a node; nullopt: nothing (not derived, or not published).
  std::optional<Offer> OfferFor(const std::string& site, const std::string& node) const;
  // The version nodes without their own configuration should run; empty when none is offered.
  std::string OfferedVersion(const std::string& site) const;

  // `changed(site)` runs on the thread that changed the offer, with no lock held. One listener; set
  // it before use, and to nothing only when no other method can run.
  void SetListener(std::function<void(const std::string& site)> changed);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace sluice::agents
