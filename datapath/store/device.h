// The disk as the tier sees it: one preallocated range of bytes, read and written at page-aligned
// positions without passing the page cache where the file system allows (O_DIRECT).
//
// Thread rule: any thread; calls block. Stop: the destructor closes; nothing is lost that a Write()
// reported done (to the device's own cache; Sync() reaches the medium).
// Errors: DataLoss (EIO), ResourceExhausted (ENOSPC), PermissionDenied, FailedPrecondition
// (read-only).
#pragma once

#include <sys/uio.h>

#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "controller/base/status.h"

namespace sluice::store {

class Device {
 public:
  virtual ~Device() = default;
  virtual std::uint64_t size_bytes() const = 0;
  // Offsets, lengths and addresses are multiples of kPageBytes. All or an error.
  virtual base::Status Read(std::uint64_t offset, std::span<char> into) = 0;
  virtual base::Status Write(std::uint64_t offset, std::span<const iovec> pieces) = 0;
  virtual base::Status Sync() = 0;
};

// FOLDER/store.sluice, made and allocated to its full size here, locked against a second process.
// An existing file of another size is resized (its content is then judged by recovery).
// Errors: as above, and AlreadyExists when another process holds it.
base::StatusOr<std::unique_ptr<Device>> OpenFileDevice(const std::string& folder,
                                                       std::uint64_t bytes);

}  // namespace sluice::store
