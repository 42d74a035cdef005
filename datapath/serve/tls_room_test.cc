#include "datapath/serve/tls_room.h"

#include <gtest/gtest.h>

#include <vector>

#include "datapath/serve/limits.h"

namespace sluice::serve {
namespace {

TEST(TlsRoom, ConnectionsTakeTheirShareOfTheBuffersAndGiveItBack) {
  store::MemoryPool pool(64 << 20);  // 8 MiB of buffers, half of it for TLS
  TlsRoom room(pool);
  const std::uint64_t limit = (4 << 20) / kTlsConnectionBytes;
  ASSERT_EQ(room.connection_limit(), limit);
  std::vector<TlsRoom::Slot> slots;
  for (std::uint64_t i = 0; i < limit; ++i) {
    slots.push_back(room.Take());
    ASSERT_TRUE(slots.back());
  }
  EXPECT_FALSE(room.Take());
  EXPECT_EQ(pool.buffers_used(), limit * kTlsConnectionBytes);
  EXPECT_TRUE(pool.TryReserve(store::MemoryPool::Use::kBuffer, 4 << 20));  // is left to others
  pool.Release(store::MemoryPool::Use::kBuffer, 4 << 20);
  slots.pop_back();
  EXPECT_TRUE(room.Take());
  slots.clear();
  EXPECT_EQ(pool.used() + room.connections() + room.handshakes(), 0u);
}

TEST(TlsRoom, HandshakesAreFewerThanConnections) {
  store::MemoryPool pool(std::uint64_t{4} << 30);
  TlsRoom room(pool);
  ASSERT_GT(room.connection_limit(), kMaxHandshakes);
  std::vector<TlsRoom::Slot> slots;
  for (std::uint64_t i = 0; i < kMaxHandshakes; ++i) slots.push_back(room.Take());
  EXPECT_EQ(room.handshakes(), kMaxHandshakes);
  EXPECT_FALSE(room.Take());
  EXPECT_EQ(room.connections(), kMaxHandshakes);
  slots.front().HandshakeIsOver();
  slots.front().HandshakeIsOver();  // counted once
  EXPECT_EQ(room.handshakes(), kMaxHandshakes - 1);
  EXPECT_TRUE(room.Take());
  TlsRoom::Slot moved = std::move(slots.front());
  EXPECT_FALSE(moved.shaking());
  moved = std::move(slots.back());
  EXPECT_TRUE(moved.shaking());
  EXPECT_EQ(room.connections(), kMaxHandshakes - 1);
}

}  // namespace
}  // namespace sluice::serve
