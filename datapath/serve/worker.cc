#include "datapath/serve/worker.h"

#include <sys/random.h>

#include <cstring>

#include "controller/base/check.h"
#include "controller/base/log.h"
#include "datapath/http1/date.h"
#include "datapath/serve/connection.h"

namespace sluice::serve {

Worker::Worker(std::size_t index, net::EventLoop& loop, store::Cache& cache, ListCache& lists,
               AgentMetrics& metrics, std::unique_ptr<Upstream> upstream, Homes& homes)
    : index_(index),
      loop_(loop),
      cache_(cache),
      lists_(lists),
      metrics_(metrics),
      upstream_(std::move(upstream)),
      homes_(homes),
      fetcher_(loop, cache, *upstream_) {
  SLUICE_CHECK(::getrandom(&request_prefix_, sizeof request_prefix_, 0) == sizeof request_prefix_);
}

Worker::~Worker() {
  SLUICE_CHECK(connections_.empty());
  while (!idle_scratches_.empty()) {
    idle_scratches_.pop_back();
    cache_.pool().Release(store::MemoryPool::Use::kBuffer, sizeof(Scratch));
  }
}

base::Status Worker::Configure(DirectoryPtr directory) {
  SLUICE_RETURN_IF_ERROR(upstream_->Configure(directory->config_ptr()));
  directory_ = std::move(directory);
  signers_.Clear();  // its keys are the old configuration's
  return base::OkStatus();
}

void Worker::Adopt(net::UniqueFd socket, const net::Address& peer, TlsEntry tls) {
  const std::uint64_t id = next_connection_++;
  auto connection = std::make_unique<Connection>(*this, id, std::move(tls.slot));
  // Under TLS the socket's events are the TLS stream's.
  net::StreamHandler* const handler = tls.server == nullptr ? connection.get() : nullptr;
  auto stream = net::AdoptSocket(loop_, std::move(socket), peer,
                                 net::SocketOptions{.congestion = ""}, handler);
  if (stream.ok() && tls.server != nullptr)
    stream = tls.server->Accept(std::move(stream).value(), connection.get());
  if (!stream.ok() || draining_) {
    if (!stream.ok()) {
      metrics_.accept_errors.Add();
      base::log::Warn("connection was not taken over", {{"error", stream.status()}});
    }
    homes_.ConnectionClosed(index_);
    return;
  }
  connection->Begin(std::move(stream).value());
  connections_.emplace(id, std::move(connection));
}

void Worker::Drain() {
  draining_ = true;
  for (auto& [id, connection] : connections_) connection->CloseWhenDone();
}

void Worker::Close() {
  draining_ = true;
  for (auto& [id, connection] : connections_) connection->Close();
  fetcher_.Stop();
}

void Worker::PostWake(std::uint64_t connection) {
  loop_.Post([this, connection] {
    if (Connection* found = Find(connection)) found->OnWake();
  });
}

Connection* Worker::Find(std::uint64_t connection) {
  const auto found = connections_.find(connection);
  return found == connections_.end() || found->second->closed() ? nullptr : found->second.get();
}

void Worker::Remove(std::uint64_t connection) {
  if (connections_.erase(connection) > 0) homes_.ConnectionClosed(index_);
}

std::unique_ptr<Scratch> Worker::TakeScratch() {
  if (!idle_scratches_.empty()) {
    std::unique_ptr<Scratch> scratch = std::move(idle_scratches_.back());
    idle_scratches_.pop_back();
    return scratch;
  }
  if (!cache_.pool().TryReserve(store::MemoryPool::Use::kBuffer, sizeof(Scratch))) return nullptr;
  return std::make_unique_for_overwrite<Scratch>();
}

void Worker::ReturnScratch(std::unique_ptr<Scratch> scratch) {
  scratch->in_begin = scratch->in_end = 0;
  scratch->parser.Reset();
  if (idle_scratches_.size() < kMaxIdleScratches) {
    idle_scratches_.push_back(std::move(scratch));
    return;
  }
  cache_.pool().Release(store::MemoryPool::Use::kBuffer, sizeof(Scratch));
}

base::WallTime Worker::TurnWall() {
  if (turn_ != loop_.Now()) {
    turn_ = loop_.Now();
    turn_wall_ = loop_.clock().Wall();
  }
  return turn_wall_;
}

std::string_view Worker::DateLine() {
  constexpr std::size_t kName = 6;  // "Date: "
  constexpr std::size_t kLine = kName + http1::kHttpDateBytes + 2;
  const base::WallTime now = TurnWall();
  const std::int64_t second =
      std::chrono::duration_cast<std::chrono::seconds>(now.time_since_epoch()).count();
  if (second != date_second_) {
    date_second_ = second;
    std::memcpy(date_line_.data(), "Date: ", kName);
    http1::FormatHttpDate(now, std::span<char, http1::kHttpDateBytes>(date_line_.data() + kName,
                                                                      http1::kHttpDateBytes));
    std::memcpy(date_line_.data() + kLine - 2, "\r\n", 2);
  }
  return {date_line_.data(), kLine};
}

std::array<char, 16> Worker::NextRequestId() {
  // Not a secret, only unlikely to be seen twice: a random start, stepped by an odd constant.
  const std::uint64_t value = request_prefix_ + ++next_request_ * 0x9e3779b97f4a7c15ull;
  // The nibbles are spread to a byte each; beyond 9 the letters follow 7 places on.
  std::array<char, 16> text;
  for (std::size_t half = 0; half < 2; ++half) {
    std::uint64_t n = value >> (32 * half) & 0xffffffff;
    n = (n | n << 16) & 0x0000ffff0000ffff;
    n = (n | n << 8) & 0x00ff00ff00ff00ff;
    n = (n | n << 4) & 0x0f0f0f0f0f0f0f0f;
    const std::uint64_t letters = (n + 0x0606060606060606) >> 4 & 0x0101010101010101;
    n += 0x3030303030303030 + letters * 7;
    std::memcpy(text.data() + 8 * half, &n, 8);
  }
  return text;
}

}  // namespace sluice::serve
