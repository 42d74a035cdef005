// The disk as the log needs it: files that only grow, synced by request, and removed whole.
//
// Thread rule: one caller at a time. Errors: those of the system call (Unavailable with its text;
// NotFound, AlreadyExists).
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "controller/base/status.h"

namespace sluice::audit {

class AppendFile {
 public:
  virtual ~AppendFile() = default;
  // May leave a part of `bytes` in the file when it fails.
  virtual base::Status Append(std::string_view bytes) = 0;
  virtual base::Status Sync() = 0;
  virtual base::Status Truncate(std::uint64_t bytes) = 0;
};

class Disk {
 public:
  virtual ~Disk() = default;
  // A new file, its name synced. AlreadyExists when it is there.
  virtual base::StatusOr<std::unique_ptr<AppendFile>> Create(const std::string& path) = 0;
  // Names in a folder, sorted; made when it is missing.
  virtual base::StatusOr<std::vector<std::string>> List(const std::string& directory) = 0;
  // The last `bytes` bytes, or all there are.
  virtual base::StatusOr<std::string> Tail(const std::string& path, std::size_t bytes) = 0;
  virtual base::StatusOr<std::uint64_t> Size(const std::string& path) = 0;
  // At most `bytes` bytes from `offset` on; empty behind the end.
  virtual base::StatusOr<std::string> Read(const std::string& path, std::uint64_t offset,
                                           std::size_t bytes) = 0;
  // The name is gone for good when this returns; OK when it was gone before.
  virtual base::Status Remove(const std::string& path) = 0;
};

std::unique_ptr<Disk> PosixDisk();

}  // namespace sluice::audit
