#include "controller/testing/command.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <thread>

extern char** environ;

namespace sluice::testing_kit {

namespace {

struct Pipe {
  Pipe() {
    if (pipe2(ends, O_CLOEXEC) != 0) std::abort();
  }
  ~Pipe() {
    Close(0);
    Close(1);
  }
  void Close(int end) {
    if (ends[end] >= 0) close(ends[end]);
    ends[end] = -1;
  }
  int ends[2] = {-1, -1};
};

// Reads both pipes to their ends; false when the deadline came first.
bool Drain(Pipe& out, Pipe& err, std::string& out_text, std::string& err_text,
           std::chrono::steady_clock::time_point deadline) {
  while (out.ends[0] >= 0 || err.ends[0] >= 0) {
    pollfd fds[2] = {{out.ends[0], POLLIN, 0}, {err.ends[0], POLLIN, 0}};
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
        deadline - std::chrono::steady_clock::now());
    if (left.count() <= 0) return false;
    if (poll(fds, 2, static_cast<int>(left.count())) < 0) continue;
    for (int i = 0; i < 2; ++i) {
      if (fds[i].fd < 0 || fds[i].revents == 0) continue;
      char buffer[4096];
      const ssize_t got = read(fds[i].fd, buffer, sizeof buffer);
      if (got > 0) {
        (i == 0 ? out_text : err_text).append(buffer, static_cast<std::size_t>(got));
      } else {
        (i == 0 ? out : err).Close(0);
      }
    }
  }
  return true;
}

}  // namespace

base::StatusOr<std::string> RunCommand(const std::vector<std::string>& argv,
                                       const std::string& input, std::chrono::seconds limit) {
  const auto deadline = std::chrono::steady_clock::now() + limit;
  Pipe in, out, err;
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, in.ends[0], 0);
  posix_spawn_file_actions_adddup2(&actions, out.ends[1], 1);
  posix_spawn_file_actions_adddup2(&actions, err.ends[1], 2);
  std::vector<char*> args;
  for (const auto& arg : argv) args.push_back(const_cast<char*>(arg.c_str()));
  args.push_back(nullptr);
  pid_t pid = 0;
  const int failed = posix_spawnp(&pid, args[0], &actions, nullptr, args.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  if (failed != 0) return base::FromErrno(failed, argv[0]);
  in.Close(0);
  out.Close(1);
  err.Close(1);
  signal(SIGPIPE, SIG_IGN);
  std::thread feeder([&] {
    std::size_t done = 0;
    while (done < input.size()) {
      const ssize_t wrote = write(in.ends[1], input.data() + done, input.size() - done);
      if (wrote <= 0) break;
      done += static_cast<std::size_t>(wrote);
    }
    in.Close(1);
  });
  std::string out_text, err_text;
  const bool whole = Drain(out, err, out_text, err_text, deadline);
  if (!whole) kill(pid, SIGKILL);
  int status = 0;
  waitpid(pid, &status, 0);
  feeder.join();
  if (!whole) return base::DeadlineExceeded(argv[0] + " did not end in time");
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return out_text;
  const std::size_t keep = std::min<std::size_t>(err_text.size(), 2000);
  return base::Internal(argv[0] + " failed: " + err_text.substr(err_text.size() - keep));
}

}  // namespace sluice::testing_kit
