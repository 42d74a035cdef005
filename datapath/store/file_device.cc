#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <vector>

#include "datapath/store/device.h"

namespace sluice::store {
namespace {

base::Status DeviceError(int error, const std::string& what) {
  if (error == EIO) return base::DataLoss(what + ": input/output error");
  if (error == EROFS) return base::FailedPrecondition(what + ": the file system is read-only");
  return base::FromErrno(error, what);
}

class FileDevice final : public Device {
 public:
  FileDevice(int fd, std::uint64_t bytes, std::string path)
      : fd_(fd), bytes_(bytes), path_(std::move(path)) {}
  ~FileDevice() override { ::close(fd_); }
  FileDevice(const FileDevice&) = delete;
  FileDevice& operator=(const FileDevice&) = delete;

  std::uint64_t size_bytes() const override { return bytes_; }

  base::Status Read(std::uint64_t offset, std::span<char> into) override {
    while (!into.empty()) {
      const ssize_t got = ::pread(fd_, into.data(), into.size(), static_cast<off_t>(offset));
      if (got < 0 && errno == EINTR) continue;
      if (got < 0) return DeviceError(errno, "read " + path_);
      if (got == 0) return base::DataLoss("read " + path_ + ": the file is too short");
      into = into.subspan(static_cast<std::size_t>(got));
      offset += static_cast<std::uint64_t>(got);
    }
    return base::OkStatus();
  }

  base::Status Write(std::uint64_t offset, std::span<const iovec> pieces) override {
    std::vector<iovec> left(pieces.begin(), pieces.end());
    std::size_t first = 0;
    while (first < left.size()) {
      const ssize_t sent =
          ::pwritev(fd_, left.data() + first, static_cast<int>(left.size() - first),
                    static_cast<off_t>(offset));
      if (sent < 0 && errno == EINTR) continue;
      if (sent < 0) return DeviceError(errno, "write " + path_);
      if (sent == 0) return base::ResourceExhausted("write " + path_ + ": nothing was taken");
      offset += static_cast<std::uint64_t>(sent);
      auto taken = static_cast<std::size_t>(sent);
      while (first < left.size() && taken >= left[first].iov_len) taken -= left[first++].iov_len;
      if (taken > 0) {
        left[first].iov_base = static_cast<char*>(left[first].iov_base) + taken;
        left[first].iov_len -= taken;
      }
    }
    return base::OkStatus();
  }

  base::Status Sync() override {
    return ::fdatasync(fd_) == 0 ? base::OkStatus() : DeviceError(errno, "sync " + path_);
  }

 private:
  const int fd_;
  const std::uint64_t bytes_;
  const std::string path_;
};

}  // namespace

base::StatusOr<std::unique_ptr<Device>> OpenFileDevice(const std::string& folder,
                                                       std::uint64_t bytes) {
  const std::string path = folder + "/store.sluice";
  std::error_code made;
  std::filesystem::create_directories(folder, made);
  if (made) return DeviceError(made.value(), "make folder " + folder);
  // A file system without O_DIRECT (some overlays) gets buffered I/O: right, only slower.
  int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_DIRECT, 0600);
  if (fd < 0 && errno == EINVAL) fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (fd < 0) return DeviceError(errno, "open " + path);
  auto device = std::make_unique<FileDevice>(fd, bytes, path);
  if (::flock(fd, LOCK_EX | LOCK_NB) != 0)
    return base::AlreadyExists(path + " is in use by another process");
  struct stat info {};
  if (::fstat(fd, &info) != 0) return DeviceError(errno, "stat " + path);
  if (static_cast<std::uint64_t>(info.st_size) > bytes &&
      ::ftruncate(fd, static_cast<off_t>(bytes)) != 0)
    return DeviceError(errno, "shrink " + path);
  if (::fallocate(fd, 0, 0, static_cast<off_t>(bytes)) != 0) {
    const int error = errno;
    if (error != EOPNOTSUPP) {
      // What was allocated before the room ended goes back.
      [[maybe_unused]] const int undone = ::ftruncate(fd, info.st_size);
      return DeviceError(error, "allocate " + path);
    }
    if (::ftruncate(fd, static_cast<off_t>(bytes)) != 0) return DeviceError(errno, "size " + path);
  }
  return std::unique_ptr<Device>(std::move(device));
}

}  // namespace sluice::store
