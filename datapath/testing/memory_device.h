// A disk in memory. The image outlives the Device, as a disk outlives a process.
//
// Faults: reads or writes that fail with a given status from now on, a page that cannot be read,
// single bytes that are flipped.
// With `journal` every write is kept, in order, so that a test can rebuild what the disk held at
// any point, whole writes or a part of the last one. Thread rule: any thread.
#pragma once

#include <atomic>
#include <cstring>
#include <memory>
#include <mutex>
#include <vector>

#include "datapath/store/device.h"

namespace sluice::testing {

struct DiskImage {
  explicit DiskImage(std::size_t size) : bytes(size, '\0') {}
  struct Write {
    std::uint64_t offset;
    std::string bytes;
  };
  std::mutex mutex;
  std::vector<char> bytes;  // guarded by mutex
  bool journal = false;
  std::vector<Write> writes;   // guarded by mutex
  base::Status fail_reads;     // guarded by mutex; OK: none
  base::Status fail_writes;    // guarded by mutex
  std::uint64_t bad_page = 0;  // its offset; reads over it fail; 0: none. Guarded by mutex

  void Apply(const Write& write, std::size_t take) {
    std::memcpy(bytes.data() + write.offset, write.bytes.data(), take);
  }
};

class MemoryDevice final : public store::Device {
 public:
  explicit MemoryDevice(std::shared_ptr<DiskImage> image) : image_(std::move(image)) {}
  std::uint64_t size_bytes() const override { return image_->bytes.size(); }

  base::Status Read(std::uint64_t offset, std::span<char> into) override {
    std::lock_guard lock(image_->mutex);
    if (!image_->fail_reads.ok()) return image_->fail_reads;
    if (offset + into.size() > image_->bytes.size()) return base::DataLoss("past the end");
    if (image_->bad_page >= offset && image_->bad_page < offset + into.size() && offset > 0)
      return base::DataLoss("EIO");
    std::memcpy(into.data(), image_->bytes.data() + offset, into.size());
    return base::OkStatus();
  }

  base::Status Write(std::uint64_t offset, std::span<const iovec> pieces) override {
    std::lock_guard lock(image_->mutex);
    if (!image_->fail_writes.ok()) return image_->fail_writes;
    DiskImage::Write write{offset, {}};
    for (const iovec& piece : pieces)
      write.bytes.append(static_cast<const char*>(piece.iov_base), piece.iov_len);
    if (offset + write.bytes.size() > image_->bytes.size()) return base::DataLoss("past the end");
    image_->Apply(write, write.bytes.size());
    if (image_->journal) image_->writes.push_back(std::move(write));
    return base::OkStatus();
  }
  base::Status Sync() override { return base::OkStatus(); }

 private:
  const std::shared_ptr<DiskImage> image_;
};

}  // namespace sluice::testing
