// Running a credential plugin: credentials.h tells what of it others see.
#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <nlohmann/json.hpp>

#include "controller/base/digest.h"
#include "controller/client/credentials.h"
#include "controller/client/limits.h"

extern char** environ;

namespace sluice::client {
namespace {

using std::chrono::steady_clock;

// The child and our end of its output; the destructor leaves neither behind.
class Child {
 public:
  Child(pid_t pid, int fd) : pid_(pid), fd_(fd) {}
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;
  ~Child() {
    if (pid_ > 0) {
      kill(-pid_, SIGKILL);  // its own process group, helpers of the plugin included
      while (waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) {
      }
    }
    close(fd_);
  }
  int fd() const { return fd_; }

  // Waits for the end; OK when it exited with 0.
  base::Status Join(steady_clock::time_point deadline) {
    int status = 0;
    while (true) {
      const pid_t ended = waitpid(pid_, &status, WNOHANG);
      if (ended == pid_) break;
      if (ended < 0 && errno != EINTR) return base::FromErrno(errno, "waitpid");
      if (steady_clock::now() >= deadline) return base::DeadlineExceeded("did not exit in time");
      poll(nullptr, 0, 5);  // output is closed: it is about to exit
    }
    pid_ = -1;
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return base::OkStatus();
    return base::FailedPrecondition(WIFEXITED(status)
                                        ? fmt::format("exited with {}", WEXITSTATUS(status))
                                        : fmt::format("died of signal {}", WTERMSIG(status)));
  }

 private:
  pid_t pid_;
  int fd_;
};

std::vector<std::string> Environment(const Config& config) {
  const ExecPlugin& plugin = *config.exec;
  nlohmann::json info = {{"apiVersion", "client.authentication.k8s.io/v1"},
                         {"kind", "ExecCredential"},
                         {"spec", {{"interactive", false}}}};
  if (plugin.provide_cluster_info) {
    info["spec"]["cluster"] = {{"server", config.server}};
    if (!config.ca_pem.empty()) {
      info["spec"]["cluster"]["certificate-authority-data"] = base::Base64Encode(config.ca_pem);
    }
  }
  std::vector<std::string> out = {"KUBERNETES_EXEC_INFO=" + info.dump()};
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
  int fds[2];
  if (pipe2(fds, O_CLOEXEC) != 0) return base::FromErrno(errno, "pipe");
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_adddup2(&actions, fds[1], 1);
  posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0);
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP);
  pid_t pid = 0;
  const int error = posix_spawnp(&pid, config.exec->command.c_str(), &actions, &attributes,
                                 Pointers(args).data(), Pointers(env).data());
  posix_spawn_file_actions_destroy(&actions);
  posix_spawnattr_destroy(&attributes);
  close(fds[1]);
  if (error != 0) {
    close(fds[0]);
    return base::FromErrno(error, "start");
  }
  return std::make_unique<Child>(pid, fds[0]);
}

}  // namespace

base::StatusOr<ExecCredential> RunExecPlugin(const Config& config,
                                             std::chrono::milliseconds timeout) {
  const auto deadline = steady_clock::now() + timeout;
  SLUICE_ASSIGN_OR_RETURN(const std::unique_ptr<Child> child, Spawn(config));
  std::string output;
  while (true) {
    const auto left =
        std::chrono::ceil<std::chrono::milliseconds>(deadline - steady_clock::now()).count();
    if (left <= 0) return base::DeadlineExceeded("did not answer in time");
    pollfd fd{child->fd(), POLLIN, 0};
    if (poll(&fd, 1, static_cast<int>(left)) <= 0) continue;
    char buffer[4096];
    const ssize_t n = read(child->fd(), buffer, sizeof(buffer));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return base::FromErrno(errno, "read");
    if (n == 0) break;
    output.append(buffer, static_cast<std::size_t>(n));
    if (output.size() > kMaxExecOutputBytes) return base::ResourceExhausted("printed too much");
  }
  SLUICE_RETURN_IF_ERROR(child->Join(deadline));
  return ParseExecCredential(output);
}

}  // namespace sluice::client
