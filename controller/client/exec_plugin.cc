// Running a credential plugin: credentials.h tells what of it others see.
#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <spawn.h>
#include <sys/eventfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <nlohmann/json.hpp>
#include <optional>
#include <stop_token>

#include "controller/base/digest.h"
#include "controller/base/file.h"
#include "controller/base/text.h"
#include "controller/client/credentials.h"
#include "controller/client/limits.h"

extern char** environ;

namespace sluice::client {
namespace {

using std::chrono::steady_clock;

constexpr auto kReplace = nlohmann::json::error_handler_t::replace;

// The child and our ends of its two outputs; the destructor leaves nothing behind.
class Child {
 public:
  // `err` may be negative: it is not ours to read. `group`: it has a process group of its own.
  Child(pid_t pid, bool group, int out, int err) : pid_(pid), group_(group), fds_{out, err} {}
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;
  ~Child() {
    if (pid_ > 0) {
      kill(group_ ? -pid_ : pid_, SIGKILL);  // of the group: helpers of the plugin included
      while (waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) {
      }
    }
    for (const int fd : fds_) {
      if (fd >= 0) close(fd);
    }
  }

  // Reads both outputs until the child has closed its standard output. `stop` turns readable when
  // it is not wanted further.
  base::Status ReadAll(steady_clock::time_point deadline, int stop) {
    while (fds_[0] >= 0)
      SLUICE_RETURN_IF_ERROR(ReadWithin(std::chrono::milliseconds::max(), deadline, stop));
    return base::OkStatus();
  }

  // Waits for the end; OK when it exited with 0. What it started may hold its standard error open
  // for longer (an agent that caches credentials does), and lives on.
  base::Status Join(steady_clock::time_point deadline, int stop) {
    constexpr std::chrono::milliseconds kLook{5};  // it is about to exit
    int status = 0;
    while (true) {
      const pid_t ended = waitpid(pid_, &status, WNOHANG);
      if (ended == pid_) break;
      if (ended < 0 && errno != EINTR) return base::FromErrno(errno, "waitpid");
      SLUICE_RETURN_IF_ERROR(ReadWithin(kLook, deadline, stop));
    }
    pid_ = -1;
    SLUICE_RETURN_IF_ERROR(ReadComplaint());
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return base::OkStatus();
    return base::FailedPrecondition(WIFEXITED(status)
                                        ? fmt::format("exited with {}", WEXITSTATUS(status))
                                        : fmt::format("died of signal {}", WTERMSIG(status)));
  }

  const std::string& output() const { return texts_[0]; }  // secret
  // The end of what it complained of, as one line for people.
  std::string complaint() const {
    std::string out;
    for (const char c : texts_[1]) out += static_cast<unsigned char>(c) < ' ' ? ' ' : c;
    while (!out.empty() && out.back() == ' ') out.pop_back();
    return base::ValidUtf8(out);
  }

 private:
  // Reads some of what comes within `longest`.
  base::Status ReadWithin(std::chrono::milliseconds longest, steady_clock::time_point deadline,
                          int stop) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - steady_clock::now());
    if (left.count() <= 0) return base::DeadlineExceeded("did not answer in time");
    // A negative one is left out.
    pollfd wait[3] = {{fds_[0], POLLIN, 0}, {fds_[1], POLLIN, 0}, {stop, POLLIN, 0}};
    if (poll(wait, 3, static_cast<int>(std::min(left, longest).count())) <= 0) {
      return base::OkStatus();
    }
    if (wait[2].revents != 0) return base::Cancelled("was not waited for");
    for (int i = 0; i < 2; ++i) {
      if (wait[i].revents != 0) SLUICE_RETURN_IF_ERROR(ReadSome(i));
    }
    return base::OkStatus();
  }

  // What lies in standard error after the end: at most what a pipe holds, because whoever still has
  // it may go on complaining.
  base::Status ReadComplaint() {
    constexpr std::size_t kPipeBytes = 64 << 10;
    for (std::size_t read = 0; fds_[1] >= 0 && read < kPipeBytes; read += kPieceBytes) {
      pollfd wait{fds_[1], POLLIN, 0};
      if (poll(&wait, 1, 0) <= 0) break;
      SLUICE_RETURN_IF_ERROR(ReadSome(1));
    }
    return base::OkStatus();
  }

  base::Status ReadSome(int i) {
    char buffer[kPieceBytes];
    const ssize_t n = read(fds_[i], buffer, sizeof(buffer));
    if (n < 0) return errno == EINTR ? base::OkStatus() : base::FromErrno(errno, "read");
    if (n == 0) {
      close(fds_[i]);
      fds_[i] = -1;
      return base::OkStatus();
    }
    texts_[i].append(buffer, static_cast<std::size_t>(n));
    if (texts_[0].size() > kMaxExecOutputBytes) return base::ResourceExhausted("printed too much");
    if (texts_[1].size() > kMaxExecErrorBytes) {
      texts_[1].erase(0, texts_[1].size() - kMaxExecErrorBytes);
    }
    return base::OkStatus();
  }

  static constexpr std::size_t kPieceBytes = 4096;
  pid_t pid_;
  const bool group_;
  int fds_[2];  // standard output and error; negative once closed
  std::string texts_[2];
};

// A stop token for poll(2).
class StopFd {
 public:
  explicit StopFd(std::stop_token stop)
      : fd_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)),
        wake_(std::in_place, std::move(stop), Wake{fd_}) {}
  StopFd(const StopFd&) = delete;
  StopFd& operator=(const StopFd&) = delete;
  ~StopFd() {
    wake_.reset();  // before its descriptor can be another's
    if (fd_ >= 0) close(fd_);
  }
  int fd() const { return fd_; }

 private:
  struct Wake {
    int fd;
    void operator()() const { eventfd_write(fd, 1); }
  };
  const int fd_;
  std::optional<std::stop_callback<Wake>> wake_;
};

nlohmann::json ClusterInfo(const Config& config) {
  nlohmann::json cluster = {{"server", config.server}};
  if (!config.tls_server_name.empty()) cluster["tls-server-name"] = config.tls_server_name;
  if (config.insecure_skip_verify) cluster["insecure-skip-tls-verify"] = true;
  if (!config.proxy_url.empty()) cluster["proxy-url"] = config.proxy_url;
  std::string ca = config.ca_pem;
  if (ca.empty() && !config.ca_file.empty()) {
    if (auto file = base::ReadFile(config.ca_file, kMaxCredentialFileBytes); file.ok()) ca = *file;
  }
  if (!ca.empty()) cluster["certificate-authority-data"] = base::Base64Encode(ca);
  if (!config.exec->cluster_config_json.empty()) {
    cluster["config"] = nlohmann::json::parse(config.exec->cluster_config_json, nullptr, false);
  }
  return cluster;
}

std::vector<std::string> Environment(const Config& config) {
  const ExecPlugin& plugin = *config.exec;
  nlohmann::json info = {{"apiVersion", plugin.api_version},
                         {"kind", "ExecCredential"},
                         {"spec", {{"interactive", plugin.interactive}}}};
  if (plugin.provide_cluster_info) info["spec"]["cluster"] = ClusterInfo(config);
  std::vector<std::string> out = {"KUBERNETES_EXEC_INFO=" + info.dump(-1, ' ', false, kReplace)};
  for (const auto& [name, value] : plugin.env) out.push_back(name + "=" + value);
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string_view text(*entry);
    const std::string name(text.substr(0, text.find('=')));
    if (name != "KUBERNETES_EXEC_INFO" && !plugin.env.contains(name)) out.emplace_back(text);
  }
  return out;
}

std::vector<char*> Pointers(std::vector<std::string>& texts) {
  std::vector<char*> out;
  for (std::string& text : texts) out.push_back(text.data());
  out.push_back(nullptr);
  return out;
}

base::StatusOr<std::unique_ptr<Child>> Spawn(const Config& config) {
  std::vector<std::string> args = {config.exec->command};
  args.insert(args.end(), config.exec->args.begin(), config.exec->args.end());
  std::vector<std::string> env = Environment(config);
  // With a person, the plugin shares our terminal: its input and errors are ours, and it stays in
  // our process group, because a group in the background may not read from a terminal.
  const bool alone = !config.exec->interactive;
  int out[2];
  int err[2] = {-1, -1};
  if (pipe2(out, O_CLOEXEC) != 0) return base::FromErrno(errno, "pipe");
  if (alone && pipe2(err, O_CLOEXEC) != 0) {
    const int error = errno;
    close(out[0]);
    close(out[1]);
    return base::FromErrno(error, "pipe");
  }
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  if (alone) posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_adddup2(&actions, out[1], 1);
  if (alone) posix_spawn_file_actions_adddup2(&actions, err[1], 2);
  // Signals as a program expects them, whatever we block or ignore.
  sigset_t none;
  sigset_t ignored;
  sigemptyset(&none);
  sigemptyset(&ignored);
  sigaddset(&ignored, SIGPIPE);
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawnattr_setsigdefault(&attributes, &ignored);
  const int flags = POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF;
  posix_spawnattr_setflags(&attributes,
                           static_cast<short>(alone ? flags | POSIX_SPAWN_SETPGROUP : flags));
  pid_t pid = 0;
  const int error = posix_spawnp(&pid, config.exec->command.c_str(), &actions, &attributes,
                                 Pointers(args).data(), Pointers(env).data());
  posix_spawn_file_actions_destroy(&actions);
  posix_spawnattr_destroy(&attributes);
  close(out[1]);
  if (alone) close(err[1]);
  if (error != 0) {
    close(out[0]);
    if (alone) close(err[0]);
    const base::Status status = base::FromErrno(error, "start");
    const std::string& hint = config.exec->install_hint;
    if (hint.empty()) return status;
    return base::Status(status.code(), status.message() + "; " + hint);
  }
  return std::make_unique<Child>(pid, alone, out[0], err[0]);
}

}  // namespace

base::StatusOr<ExecCredential> RunExecPlugin(const Config& config,
                                             std::chrono::milliseconds timeout,
                                             std::stop_token stop) {
  const auto deadline = steady_clock::now() + timeout;
  const StopFd stopped(std::move(stop));
  if (stopped.fd() < 0) return base::FromErrno(errno, "eventfd");
  SLUICE_ASSIGN_OR_RETURN(const std::unique_ptr<Child> child, Spawn(config));
  base::Status status = child->ReadAll(deadline, stopped.fd());
  if (status.ok()) status = child->Join(deadline, stopped.fd());
  if (status.ok()) return ParseExecCredential(child->output(), config.exec->api_version);
  const std::string complaint = child->complaint();
  if (complaint.empty()) return status;
  return base::Status(status.code(), status.message() + ": " + complaint);
}

}  // namespace sluice::client
