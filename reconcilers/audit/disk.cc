#include "reconcilers/audit/disk.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "reconcilers/audit/limits.h"

namespace sluice::audit {
namespace {

using base::Status;

Status Failed(const std::string& what, const std::string& path, int error) {
  const std::string text = what + " " + path + ": " + std::strerror(error);
  if (error == ENOENT) return base::NotFound(text);
  if (error == EEXIST) return base::AlreadyExists(text);
  return base::Unavailable(text);
}

class Fd {
 public:
  explicit Fd(int fd) : fd_(fd) {}
  ~Fd() {
    if (fd_ >= 0) ::close(fd_);
  }
  Fd(const Fd&) = delete;
  Fd& operator=(const Fd&) = delete;
  int get() const { return fd_; }

 private:
  const int fd_;
};

class PosixFile final : public AppendFile {
 public:
  PosixFile(std::string path, int fd) : path_(std::move(path)), fd_(fd) {}
  Status Append(std::string_view bytes) override {
    while (!bytes.empty()) {
      const ssize_t done = ::write(fd_.get(), bytes.data(), bytes.size());
      if (done < 0 && errno == EINTR) continue;
      if (done <= 0) return Failed("write", path_, done == 0 ? EIO : errno);
      bytes.remove_prefix(static_cast<std::size_t>(done));
    }
    return base::OkStatus();
  }
  Status Sync() override {
    return ::fdatasync(fd_.get()) == 0 ? base::OkStatus() : Failed("sync", path_, errno);
  }
  Status Truncate(std::uint64_t bytes) override {
    return ::ftruncate(fd_.get(), static_cast<off_t>(bytes)) == 0
               ? base::OkStatus()
               : Failed("truncate", path_, errno);
  }

 private:
  const std::string path_;
  Fd fd_;
};

Status SyncFolderOf(const std::string& path) {
  const std::string folder = path.substr(0, path.rfind('/'));
  const Fd parent(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (parent.get() < 0 || ::fsync(parent.get()) != 0) return Failed("sync", folder, errno);
  return base::OkStatus();
}

// Fewer bytes than asked for only at the file's end.
base::StatusOr<std::string> ReadAt(const Fd& fd, const std::string& path, std::uint64_t offset,
                                   std::size_t bytes) {
  std::string out(bytes, '\0');
  std::size_t have = 0;
  while (have < bytes) {
    const auto at = static_cast<off_t>(offset + have);
    const ssize_t done = ::pread(fd.get(), out.data() + have, bytes - have, at);
    if (done < 0 && errno == EINTR) continue;
    if (done < 0) return Failed("read", path, errno);
    if (done == 0) break;
    have += static_cast<std::size_t>(done);
  }
  out.resize(have);
  return out;
}

class Posix final : public Disk {
 public:
  base::StatusOr<std::unique_ptr<AppendFile>> Create(const std::string& path) override {
    const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC, 0640);
    if (fd < 0) return Failed("create", path, errno);
    auto file = std::make_unique<PosixFile>(path, fd);
    if (Status synced = SyncFolderOf(path); !synced.ok()) {
      ::unlink(path.c_str());  // else the next try would find it there
      return synced;
    }
    return std::unique_ptr<AppendFile>(std::move(file));
  }

  base::Status Remove(const std::string& path) override {
    if (::unlink(path.c_str()) != 0 && errno != ENOENT) return Failed("remove", path, errno);
    return SyncFolderOf(path);
  }

  base::StatusOr<std::uint64_t> Size(const std::string& path) override {
    struct stat about = {};
    if (::stat(path.c_str(), &about) != 0) return Failed("look at", path, errno);
    return static_cast<std::uint64_t>(about.st_size);
  }

  base::StatusOr<std::vector<std::string>> List(const std::string& directory) override {
    if (::mkdir(directory.c_str(), 0750) != 0 && errno != EEXIST) {
      return Failed("make", directory, errno);
    }
    DIR* open = ::opendir(directory.c_str());
    if (open == nullptr) return Failed("list", directory, errno);
    std::vector<std::string> names;
    while (const dirent* each = ::readdir(open)) {
      if (names.size() == kMaxFiles) break;
      names.emplace_back(each->d_name);
    }
    ::closedir(open);
    std::sort(names.begin(), names.end());
    return names;
  }

  base::StatusOr<std::string> Tail(const std::string& path, std::size_t bytes) override {
    const Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    struct stat about = {};
    if (fd.get() < 0 || ::fstat(fd.get(), &about) != 0) return Failed("open", path, errno);
    const auto size = static_cast<std::size_t>(about.st_size);
    const std::size_t wanted = std::min(bytes, size);
    SLUICE_ASSIGN_OR_RETURN(std::string out, ReadAt(fd, path, size - wanted, wanted));
    if (out.size() < wanted) return Failed("read", path, EIO);
    return out;
  }

  base::StatusOr<std::string> Read(const std::string& path, std::uint64_t offset,
                                   std::size_t bytes) override {
    const Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (fd.get() < 0) return Failed("open", path, errno);
    return ReadAt(fd, path, offset, bytes);
  }
};

}  // namespace

std::unique_ptr<Disk> PosixDisk() { return std::make_unique<Posix>(); }

}  // namespace sluice::audit
