// A cache on a disk in memory that is stopped in order or killed, and whose pages are looked at.
#pragma once

#include <algorithm>

#include "datapath/store/cache_test_support.h"
#include "datapath/testing/memory_device.h"

namespace sluice::store {

inline constexpr std::uint64_t kSummaryDisk = 17 << 20;  // four segments of 4 MiB
inline constexpr std::uint64_t kSummarySegment = kMinDiskSegmentBytes;

class SummaryTest : public CacheFixture {
 protected:
  void SetUp() override {
    image_ = std::make_shared<testing::DiskImage>(kSummaryDisk);
    open_ = [this]() -> base::StatusOr<std::unique_ptr<Device>> {
      return std::unique_ptr<Device>(std::make_unique<testing::MemoryDevice>(image_));
    };
  }
  void OpenDisk() { Open(kMinMemoryBytes, kSummaryDisk); }
  void Stop() {
    cache_->FlushDisk();
    cache_.reset();
  }
  // As kill -9 does: what a stop in order writes is not there.
  void Kill() {
    cache_->FlushDisk();
    const std::vector<char> bytes = image_->bytes;
    cache_.reset();
    image_->bytes = bytes;
  }
  void Put(const std::string& name, int version, std::uint32_t chunks) {
    ObjectRef object = Publish(name, version, std::uint64_t{chunks} * kTestChunk - 100);
    for (std::uint32_t i = 0; i < chunks; ++i) {
      ASSERT_TRUE(Ensure(*object, i, version));
      if (i % 8 == 7) cache_->FlushDisk();  // a full queue would leave some out
    }
    cache_->FlushDisk();
  }
  void Delete(const std::string& name) {
    cache_->Invalidate(name, [] {});
    cache_->FlushDisk();
  }
  // How many chunks of `name` come back from disk with the bytes of `version`.
  std::uint32_t Good(const std::string& name, int version) {
    ObjectRef object = cache_->Find(name);
    std::uint32_t good = 0;
    for (std::uint32_t i = 0; object && i < object->chunk_count(); ++i) {
      Cache::Acquired got = cache_->Acquire(*object, i, false);
      if (got.pin && WaitFor(got.pin) && Matches(got.pin, version)) ++good;
    }
    return good;
  }
  // Offsets of all pages that begin with `magic`.
  std::vector<std::uint64_t> PagesWith(std::string_view magic) const {
    std::vector<std::uint64_t> found;
    for (std::uint64_t at = 0; at + kPageBytes <= image_->bytes.size(); at += kPageBytes)
      if (std::string_view(image_->bytes.data() + at, 4) == magic) found.push_back(at);
    return found;
  }
  // A replay finds nothing there any more.
  void WipeRecords(std::uint64_t from, std::uint64_t to) {
    for (const std::uint64_t at : PagesWith("SLRC"))
      if (at >= from && at < to) std::memcpy(image_->bytes.data() + at, "none", 4);
  }
  void Flip(std::uint64_t at) { image_->bytes[at] = static_cast<char>(image_->bytes[at] ^ 4); }

  std::shared_ptr<testing::DiskImage> image_;
};

}  // namespace sluice::store
