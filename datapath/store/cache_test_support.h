// What the tests of the cache share: objects, fills, bytes that tell which chunk they belong to.
#pragma once

#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>
#include <string>

#include "datapath/store/cache.h"

namespace sluice::store {

inline constexpr std::uint32_t kTestChunk = 64 << 10;

inline ObjectMeta MetaOf(std::string etag, std::uint64_t size) {
  ObjectMeta meta;
  meta.etag = std::move(etag);
  meta.size = size;
  meta.last_modified = "Sun, 22 Nov 2026 00:00:00 GMT";
  meta.headers = {{"Content-Type", "text/plain"}};
  meta.rendered = "x";
  return meta;
}

// The content of page `page` of version `version` of an object: its own name, then one byte over
// and over (made and compared by memset and memcmp: these tests move much data in slow builds).
inline void PageOf(int version, std::uint64_t page, char* out) {
  std::memset(out, static_cast<int>((page * 31 + static_cast<std::uint64_t>(version) * 101) & 0xff),
              kPageBytes);
  const std::uint64_t name = static_cast<std::uint64_t>(version) << 40 | page;
  std::memcpy(out, &name, sizeof name);
}
// Bytes [from, from + size) of a version; `from` is a multiple of a page.
inline bool SameBytes(int version, std::uint64_t from, const char* bytes, std::size_t size) {
  char page[kPageBytes];
  for (std::size_t at = 0; at < size; at += kPageBytes) {
    PageOf(version, (from + at) / kPageBytes, page);
    if (std::memcmp(bytes + at, page, std::min(kPageBytes, size - at)) != 0) return false;
  }
  return true;
}

class CacheFixture : public testing::Test {
 protected:
  void Open(std::uint64_t memory_bytes = kMinMemoryBytes, std::uint64_t disk_bytes = 0) {
    Cache::Options options{.memory_bytes = memory_bytes,
                           .chunk_bytes = kTestChunk,
                           .disks = {},
                           .load_behind = load_behind_};
    if (disk_bytes > 0) {
      if (folder_.empty()) {
        std::string pattern = (std::filesystem::temp_directory_path() / "sluice-store-XXXXXX");
        folder_ = ::mkdtemp(pattern.data());
      }
      options.disks.push_back({.path = folder_, .bytes = disk_bytes, .open = open_});
    }
    auto cache = Cache::Open(options, clock_);
    ASSERT_TRUE(cache.ok()) << cache.status().ToString();
    cache_ = std::move(cache).value();
  }
  void TearDown() override {
    // However each chunk's way into memory ended, it is no longer counted as coming.
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    while (cache_ && cache_->coming_bytes() != 0 && std::chrono::steady_clock::now() < deadline)
      std::this_thread::yield();
    if (cache_) {
      EXPECT_EQ(cache_->coming_bytes(), 0u);
    }
    cache_.reset();
    if (!folder_.empty()) std::filesystem::remove_all(folder_);
  }

  ObjectRef Publish(const std::string& name, int version, std::uint64_t size) {
    return cache_->Publish(name, MetaOf("\"v" + std::to_string(version) + "\"", size),
                           clock_.Mono(), cache_->InvalidationEpoch(name));
  }
  static void Bring(FillTicket& ticket, int version, std::size_t step = kTestChunk) {
    const std::uint64_t start = std::uint64_t{ticket.index()} * kTestChunk;
    while (ticket) {
      const std::span<char> room = ticket.Room();
      const std::size_t take = std::min(step, room.size());
      for (std::size_t at = 0; at < take; at += kPageBytes) {
        char page[kPageBytes];
        PageOf(version, (start + ticket.filled() + at) / kPageBytes, page);
        std::memcpy(room.data() + at, page, std::min(kPageBytes, take - at));
      }
      ticket.Advance(take);
    }
  }
  // Brings chunk `index` if it is absent; true when it is in memory afterwards.
  bool Ensure(Object& object, std::uint32_t index, int version) {
    Cache::Acquired got = cache_->Acquire(object, index, true);
    if (got.got == Cache::Got::kFill) Bring(got.ticket, version);
    return got.got == Cache::Got::kFill || got.got == Cache::Got::kReady;
  }
  static bool Matches(const ChunkPin& pin, int version) {
    const std::uint64_t start = std::uint64_t{pin.index()} * kTestChunk;
    return SameBytes(version, start, pin.data(), pin.length());
  }
  // Waits until a promotion settles; true when all bytes are in memory.
  bool WaitFor(const ChunkPin& pin) {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    while (pin.available() < pin.length() && !pin.failed()) {
      if (std::chrono::steady_clock::now() > deadline) return false;
      std::this_thread::yield();
    }
    return pin.available() == pin.length();
  }

  base::RealClock clock_;
  bool load_behind_ = true;
  std::string folder_;
  std::function<base::StatusOr<std::unique_ptr<Device>>()> open_;
  std::unique_ptr<Cache> cache_;
};

}  // namespace sluice::store
