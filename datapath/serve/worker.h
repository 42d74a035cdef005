// One loop's share of the server: its connections, its fetcher, its signing keys, its buffers.
//
// Thread rule: the loop's thread, but for PostWake(). Stop: Drain() ends connections as their
// exchanges end; Close() ends them now; then the loop may stop.
#pragma once

#include <array>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "datapath/net/event_loop.h"
#include "datapath/net/stream.h"
#include "datapath/net/tls_server.h"
#include "datapath/s3/operation.h"
#include "datapath/s3/signing_key.h"
#include "datapath/s3/sigv4.h"
#include "datapath/serve/agent_metrics.h"
#include "datapath/serve/directory.h"
#include "datapath/serve/fetcher.h"
#include "datapath/serve/limits.h"
#include "datapath/serve/signer_table.h"
#include "datapath/serve/tls_room.h"
#include "datapath/serve/upstream.h"
#include "datapath/store/cache.h"

namespace sluice::serve {

class Connection;
class ListCache;

// What one request needs while it is read and decided. Held by a connection from the first byte of
// a head until the answer's head is sent; pooled, so that a warm request allocates nothing and an
// idle connection holds nothing.
struct Scratch {
  std::array<char, kReadBufferBytes> in;
  std::size_t in_begin = 0;  // of the head being parsed
  std::size_t in_end = 0;
  std::array<char, kAnswerBufferBytes> out;
  http1::RequestParser parser;
  s3::Query query;
  s3::Auth auth;
  s3::Target target;
  std::string cache_name;
};

// What to shake hands with before a connection's first head, and the place for it.
struct TlsEntry {
  std::shared_ptr<const net::TlsServer> server;  // nullptr: plain, and without a place
  TlsRoom::Slot slot;
};

// Finds the worker that is a name's home, on any thread.
class Homes {
 public:
  virtual ~Homes() = default;
  virtual class Worker& HomeOf(std::string_view cache_name) = 0;
  virtual void ConnectionClosed(std::size_t worker) = 0;
};

class Worker {
 public:
  Worker(std::size_t index, net::EventLoop& loop, store::Cache& cache, ListCache& lists,
         AgentMetrics& metrics, std::unique_ptr<Upstream> upstream, Homes& homes);
  ~Worker();
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  base::Status Configure(DirectoryPtr directory);
  void Adopt(net::UniqueFd socket, const net::Address& peer, TlsEntry tls);
  // Finish what is in progress, take no further requests; idle connections close at once.
  void Drain();
  void Close();

  // Connections refer to each other's worker by number: a wake for one that is gone is nothing.
  void PostWake(std::uint64_t connection);
  Connection* Find(std::uint64_t connection);
  void Remove(std::uint64_t connection);  // from a posted task

  std::unique_ptr<Scratch> TakeScratch();  // nullptr: no memory
  void ReturnScratch(std::unique_ptr<Scratch> scratch);
  // "Date: ...\r\n" of this second.
  std::string_view DateLine();
  std::array<char, 16> NextRequestId();
  // The time of day when this turn of the loop began: what a check of minutes needs.
  base::WallTime TurnWall();

  net::EventLoop& loop() { return loop_; }
  store::Cache& cache() { return cache_; }
  ListCache& lists() { return lists_; }
  AgentMetrics& metrics() { return metrics_; }
  Fetcher& fetcher() { return fetcher_; }
  Upstream& upstream() { return *upstream_; }
  Homes& homes() { return homes_; }
  s3::SigningKeyCache& keys() { return keys_; }
  SignerTable& signers() { return signers_; }
  const DirectoryPtr& directory() const { return directory_; }
  LogLimit& proxy_log_limit() { return proxy_log_limit_; }
  bool draining() const { return draining_; }
  std::size_t connections() const { return connections_.size(); }
  std::size_t index() const { return index_; }

 private:
  const std::size_t index_;
  net::EventLoop& loop_;
  store::Cache& cache_;
  ListCache& lists_;
  AgentMetrics& metrics_;
  const std::unique_ptr<Upstream> upstream_;
  Homes& homes_;
  Fetcher fetcher_;
  s3::SigningKeyCache keys_;
  SignerTable signers_;  // of directory_
  DirectoryPtr directory_;
  bool draining_ = false;
  LogLimit proxy_log_limit_;
  std::uint64_t next_connection_ = 1;
  std::unordered_map<std::uint64_t, std::unique_ptr<Connection>> connections_;
  std::vector<std::unique_ptr<Scratch>> idle_scratches_;
  std::uint64_t request_prefix_;
  std::uint64_t next_request_ = 0;
  base::MonoTime turn_ = base::MonoTime::min();
  base::WallTime turn_wall_;
  std::int64_t date_second_ = -1;
  std::array<char, 48> date_line_;
};

}  // namespace sluice::serve
