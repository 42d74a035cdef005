#include "controller/base/file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>

namespace sluice::base {
namespace {

class Fd {
 public:
  explicit Fd(int fd) : fd_(fd) {}
  Fd(const Fd&) = delete;
  Fd& operator=(const Fd&) = delete;
  ~Fd() {
    if (fd_ >= 0) close(fd_);
  }
  int get() const { return fd_; }

 private:
  int fd_;
};

Status WriteAll(int fd, std::string_view bytes, const std::string& path) {
  while (!bytes.empty()) {
    const ssize_t n = write(fd, bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return FromErrno(errno, fmt::format("write {}", path));
    bytes.remove_prefix(static_cast<std::size_t>(n));
  }
  return OkStatus();
}

}  // namespace

StatusOr<std::string> ReadFile(const std::string& path, std::size_t limit_bytes) {
  const Fd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (fd.get() < 0) return FromErrno(errno, fmt::format("open {}", path));
  std::string out;
  char buffer[16384];
  while (true) {
    const ssize_t n = read(fd.get(), buffer, sizeof(buffer));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return FromErrno(errno, fmt::format("read {}", path));
    if (n == 0) return out;
    out.append(buffer, static_cast<std::size_t>(n));
    if (out.size() > limit_bytes) {
      return ResourceExhausted(fmt::format("{} is longer than {} bytes", path, limit_bytes));
    }
  }
}

Status WriteFileAtomic(const std::string& path, std::string_view bytes, mode_t mode) {
  std::string temporary = path + ".XXXXXX";
  const Fd fd(mkostemp(temporary.data(), O_CLOEXEC));
  if (fd.get() < 0) return FromErrno(errno, fmt::format("create {}", temporary));
  Status status = WriteAll(fd.get(), bytes, temporary);
  if (status.ok() && fchmod(fd.get(), mode) != 0) status = FromErrno(errno, "chmod " + temporary);
  if (status.ok() && fsync(fd.get()) != 0) status = FromErrno(errno, "fsync " + temporary);
  if (status.ok() && rename(temporary.c_str(), path.c_str()) != 0) {
    status = FromErrno(errno, "rename " + temporary);
  }
  if (!status.ok()) {
    unlink(temporary.c_str());
    return status;
  }
  const std::size_t slash = path.rfind('/');
  const std::string folder = slash == std::string::npos ? "." : path.substr(0, slash + 1);
  const Fd directory(open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (directory.get() < 0 || fsync(directory.get()) != 0) {
    return FromErrno(errno, "fsync " + folder);
  }
  return OkStatus();
}

}  // namespace sluice::base
