#include "datapath/serve/tls_room.h"

#include "datapath/serve/limits.h"

namespace sluice::serve {
namespace {

bool TakeOne(std::atomic<std::uint64_t>& count, std::uint64_t limit) {
  if (count.fetch_add(1) < limit) return true;
  count.fetch_sub(1);
  return false;
}

}  // namespace

TlsRoom::TlsRoom(store::MemoryPool& pool)
    : pool_(pool),
      connection_limit_((pool.limit() - pool.cache_limit()) / kTlsShareDivisor /
                        kTlsConnectionBytes) {}

TlsRoom::Slot TlsRoom::Take() {
  if (!TakeOne(connections_, connection_limit_)) return {};
  if (TakeOne(handshakes_, kMaxHandshakes)) {
    if (pool_.TryReserve(store::MemoryPool::Use::kBuffer, kTlsConnectionBytes)) return Slot(this);
    handshakes_.fetch_sub(1);
  }
  connections_.fetch_sub(1);
  return {};
}

TlsRoom::Slot& TlsRoom::Slot::operator=(Slot&& other) noexcept {
  if (this == &other) return *this;
  Leave();
  room_ = std::exchange(other.room_, nullptr);
  shaking_ = other.shaking_;
  return *this;
}

void TlsRoom::Slot::HandshakeIsOver() {
  if (shaking()) room_->handshakes_.fetch_sub(1);
  shaking_ = false;
}

void TlsRoom::Slot::Leave() {
  if (room_ == nullptr) return;
  HandshakeIsOver();
  room_->pool_.Release(store::MemoryPool::Use::kBuffer, kTlsConnectionBytes);
  room_->connections_.fetch_sub(1);
  room_ = nullptr;
}

}  // namespace sluice::serve
