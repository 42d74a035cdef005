#include "datapath/cmd/preflight.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cstring>

#include "controller/base/file.h"
#include "controller/base/time_format.h"
#include "datapath/net/certificates.h"
#include "datapath/serve/limits.h"

namespace sluice::cmd {
namespace {

using Level = Finding::Level;

constexpr std::uint64_t kNoLimitBytes = std::uint64_t{1} << 60;
constexpr std::uint64_t kProcessBytes = 128 << 20;  // code, index and stacks beside the pool

Finding CheckDescriptors() {
  rlimit limit{};
  ::getrlimit(RLIMIT_NOFILE, &limit);
  const std::uint64_t wanted = serve::kMaxConnections + 4096;
  if (limit.rlim_max >= wanted)
    return {Level::kOk, fmt::format("file descriptors: {}", limit.rlim_max), ""};
  return {Level::kWarning,
          fmt::format("file descriptors: {}, enough for fewer than {} connections", limit.rlim_max,
                      serve::kMaxConnections),
          fmt::format("raise RLIMIT_NOFILE to {} (LimitNOFILE= or the runtime's default)", wanted)};
}

Finding CheckMemfd() {
  const int fd = ::memfd_create("sluice-check", MFD_CLOEXEC);
  if (fd < 0)
    return {Level::kError, fmt::format("memfd_create: {}", std::strerror(errno)),
            "allow memfd_create in the seccomp profile"};
  void* at = ::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  const bool punched = ::ftruncate(fd, 4096) == 0 && at != MAP_FAILED &&
                       ::madvise(at, 4096, MADV_POPULATE_WRITE) == 0 &&
                       ::fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4096) == 0;
  const int error = errno;
  if (at != MAP_FAILED) ::munmap(at, 4096);
  ::close(fd);
  if (punched) return {Level::kOk, "memory segments: memfd, populate and hole punching work", ""};
  return {Level::kError, fmt::format("memory segments: {}", std::strerror(error)),
          "a kernel of 5.14 or newer is needed"};
}

Finding CheckPoller(ring::PollerKind wanted) {
  const ring::PollerChoice choice = ring::ChoosePoller(wanted);
  const std::string what =
      fmt::format("poller: {} ({})", ring::PollerKindName(choice.kind), choice.why);
  if (wanted != ring::PollerKind::kIoUring || choice.kind == wanted) return {Level::kOk, what, ""};
  return {Level::kWarning, what,
          "allow io_uring_setup and io_uring_enter in the seccomp profile, set "
          "sysctl kernel.io_uring_disabled to 0, take a kernel of 6.1 or newer, or leave out "
          "--poller"};
}

// The DRAM tier is touched ahead, not locked: it holds as long as nobody takes idle pages away.
Finding CheckLockedMemory(const control::Config& config) {
  rlimit limit{};
  ::getrlimit(RLIMIT_MEMLOCK, &limit);
  if (limit.rlim_max == RLIM_INFINITY || limit.rlim_max >= config.cache.memory_bytes)
    return {Level::kOk, "locked memory: unlimited, or enough for the DRAM tier", ""};
  return {Level::kOk,
          fmt::format("locked memory: {} bytes; the DRAM tier is touched ahead, not locked",
                      limit.rlim_max),
          ""};
}

// A container's limit counts the DRAM tier, and kills where the machine has room.
Finding CheckContainer(const control::Config& config) {
  for (const char* file :
       {"/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"}) {
    const auto text = base::ReadFile(file, 64);
    if (!text.ok()) continue;
    std::uint64_t limit = 0;
    const auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), limit);
    if (error != std::errc() || limit >= kNoLimitBytes) break;  // "max", or version 1's word for it
    const std::uint64_t wanted = config.cache.memory_bytes + kProcessBytes;
    if (limit >= wanted) return {Level::kOk, fmt::format("container memory: {} bytes", limit), ""};
    return {Level::kError, fmt::format("container memory: {} bytes, {} wanted", limit, wanted),
            "raise the container's memory limit or lower cache.memoryBytes"};
  }
  return {Level::kOk, "container memory: no limit", ""};
}

Finding CheckCongestionControl() {
  const auto current = base::ReadFile("/proc/sys/net/ipv4/tcp_congestion_control", 64);
  const auto allowed = base::ReadFile("/proc/sys/net/ipv4/tcp_allowed_congestion_control", 256);
  if (!current.ok() || !allowed.ok() || !current->starts_with("bbr"))
    return {Level::kOk, "congestion control: not BBR", ""};
  if (allowed->find("cubic") != std::string::npos || allowed->find("reno") != std::string::npos)
    return {Level::kOk, "congestion control: BBR is the host's; local sockets choose another", ""};
  return {Level::kWarning, "congestion control: BBR, and nothing else is allowed",
          "allow cubic (sysctl net.ipv4.tcp_allowed_congestion_control): BBR is slow on loopback"};
}

Finding CheckMemory(const control::Config& config) {
  const std::uint64_t total = static_cast<std::uint64_t>(::sysconf(_SC_PHYS_PAGES)) *
                              static_cast<std::uint64_t>(::sysconf(_SC_PAGE_SIZE));
  const std::string what =
      fmt::format("cache.memoryBytes: {} of {} bytes", config.cache.memory_bytes, total);
  if (config.cache.memory_bytes <= total / 10 * 9) return {Level::kOk, what, ""};
  return {Level::kError, what, "leave a tenth of the machine to others"};
}

Finding CheckDisk(const std::string& path, std::uint64_t bytes) {
  const std::string probe = path + "/.sluice-check";
  const int fd = ::open(probe.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_DIRECT, 0600);
  if (fd < 0) {
    return {errno == EINVAL ? Level::kWarning : Level::kError,
            fmt::format("disk {}: {}", path, std::strerror(errno)),
            errno == EINVAL
                ? "a file system with O_DIRECT (ext4, xfs) keeps reads off the page cache"
                : "make the folder and give it to the agent's user"};
  }
  ::close(fd);
  ::unlink(probe.c_str());
  struct statvfs space {};
  if (::statvfs(path.c_str(), &space) == 0) {
    const std::uint64_t free = space.f_bavail * space.f_frsize;
    if (free < bytes && ::access((path + "/store.sluice").c_str(), F_OK) != 0)
      return {Level::kError, fmt::format("disk {}: {} bytes free, {} wanted", path, free, bytes),
              "free space or lower cache.diskBytes"};
  }
  return {Level::kOk, fmt::format("disk {}: O_DIRECT, room", path), ""};
}

Finding CheckCertificate(const control::CertificateFiles& files, base::WallTime now) {
  const std::string what = "certificate " + files.certificate_file;
  const auto loaded = net::LoadCertificate({files.certificate_file, files.key_file});
  if (!loaded.ok()) {
    const bool access = loaded.status().code() == base::Code::kPermissionDenied;
    const bool absent = loaded.status().code() == base::Code::kNotFound;
    return {Level::kError, fmt::format("{}: {}", what, loaded.status().message()),
            access ? "let the agent's user read it"
            : absent
                ? "put the file there, or correct its path"
                : "put PEM there: the leaf, its chain behind it, and the key that belongs to it, "
                  "without a pass phrase"};
  }
  const std::string end = base::FormatRfc3339(loaded->validity.not_after);
  if (loaded->validity.not_after <= now)
    return {Level::kError, fmt::format("{}: it has ended at {}", what, end),
            "renew it; the agent takes the new files without a restart"};
  if (loaded->validity.not_before > now)
    return {
        Level::kError,
        fmt::format("{}: it begins at {}", what, base::FormatRfc3339(loaded->validity.not_before)),
        "set the clocks right, or wait"};
  if (loaded->validity.not_after - now < serve::kCertificateWarning)
    return {Level::kWarning, fmt::format("{}: it ends at {}", what, end),
            "renew it; the agent takes the new files without a restart"};
  struct stat key {};
  if (::stat(files.key_file.c_str(), &key) == 0 && (key.st_mode & S_IROTH) != 0)
    return {Level::kWarning,
            fmt::format("key {}: everybody on this machine may read it", files.key_file),
            "chmod o-r, and give it to the agent's user"};
  return {Level::kOk, fmt::format("{}: good until {}", what, end), ""};
}

}  // namespace

std::vector<Finding> CheckCertificates(const control::Listen& listener, base::WallTime now) {
  std::vector<Finding> findings;
  for (const control::CertificateFiles& files : listener.certificates)
    findings.push_back(CheckCertificate(files, now));
  return findings;
}

std::vector<Finding> Preflight(const control::Config* config, ring::PollerKind poller,
                               base::WallTime now) {
  std::vector<Finding> findings = {CheckDescriptors(), CheckMemfd(), CheckPoller(poller),
                                   CheckCongestionControl()};
  if (config == nullptr) return findings;
  findings.push_back(CheckMemory(*config));
  findings.push_back(CheckContainer(*config));
  findings.push_back(CheckLockedMemory(*config));
  for (const control::Listen& listener : config->listeners)
    for (Finding& finding : CheckCertificates(listener, now))
      findings.push_back(std::move(finding));
  for (const std::string& path : config->cache.disk_paths)
    findings.push_back(CheckDisk(path, config->cache.disk_bytes / config->cache.disk_paths.size()));
  return findings;
}

std::string Render(const std::vector<Finding>& findings, int* errors) {
  *errors = 0;
  std::string text;
  for (const Finding& finding : findings) {
    const char* word = finding.level == Level::kOk        ? "ok     "
                       : finding.level == Level::kWarning ? "warning"
                                                          : "ERROR  ";
    *errors += finding.level == Level::kError ? 1 : 0;
    text += fmt::format("{} {}\n", word, finding.what);
    if (!finding.cure.empty()) text += fmt::format("        cure: {}\n", finding.cure);
  }
  return text;
}

}  // namespace sluice::cmd
