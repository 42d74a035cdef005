#include "datapath/ring/poller.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstddef>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "datapath/ring/limits.h"
#include "datapath/ring/one_poller_for_test.h"

namespace sluice::ring {
namespace {

class PollerTest : public OnePoller {
 protected:
  // How many waits it takes for 20 ms to pass when nothing happens.
  int WaitsUntilTimeout() {
    const auto end = std::chrono::steady_clock::now() + milliseconds(20);
    int waits = 0;
    for (std::array<Event, 4> events; std::chrono::steady_clock::now() < end; ++waits)
      EXPECT_EQ(poller_->Wait(milliseconds(20), events), 0u);
    return waits;
  }
};

TEST_P(PollerTest, ReportsRoomToWriteOnceAndThenOnlyChanges) {
  ASSERT_TRUE(poller_->Add(fds_[0], 7).ok());
  const Event first = WaitOnce(seconds(5));
  EXPECT_EQ(first.token, 7u);
  EXPECT_TRUE(first.writable);
  EXPECT_FALSE(first.readable);
  EXPECT_EQ(WaitOnce(milliseconds(0)).token, 0u);  // an edge, not a level
}

TEST_P(PollerTest, ReportsEachArrivalOfBytes) {
  ASSERT_TRUE(poller_->Add(fds_[0], 7).ok());
  WaitOnce(seconds(5));
  for (int i = 0; i < 3; ++i) {
    ASSERT_EQ(::write(fds_[1], "x", 1), 1);
    EXPECT_TRUE(WaitOnce(seconds(5)).readable);
  }
}

TEST_P(PollerTest, ReportsAPeerThatClosed) {
  ASSERT_TRUE(poller_->Add(fds_[0], 7).ok());
  WaitOnce(seconds(5));
  ::close(fds_[1]);
  fds_[1] = -1;
  const Event event = WaitOnce(seconds(5));
  EXPECT_TRUE(event.readable);
  EXPECT_TRUE(event.broken);
}

TEST_P(PollerTest, ReportsNothingAfterRemove) {
  ASSERT_TRUE(poller_->Add(fds_[0], 7).ok());
  poller_->Remove(fds_[0]);
  ASSERT_EQ(::write(fds_[1], "x", 1), 1);
  EXPECT_EQ(WaitOnce(milliseconds(0)).token, 0u);
}

TEST_P(PollerTest, WakeFromAnotherThreadEndsAWaitWithoutTimeout) {
  std::thread waker([this] { poller_->Wake(); });
  std::array<Event, 4> events;
  EXPECT_EQ(poller_->Wait(base::Duration(-1), events), 0u);
  waker.join();
}

TEST_P(PollerTest, RefusesADescriptorThatCannotBePolled) {
  char name[] = "/tmp/sluice-poller-XXXXXX";
  const int file = ::mkstemp(name);
  ASSERT_GE(file, 0);
  EXPECT_FALSE(poller_->Add(file, 9).ok());
  ::unlink(name);
  ::close(file);
}

TEST_P(PollerTest, ReportsWhatHappensToTheNextOwnerOfADescriptorsNumberUnderItsOwnToken) {
  ASSERT_TRUE(poller_->Add(fds_[0], 7).ok());
  WaitOnce(seconds(5));
  ASSERT_EQ(::write(fds_[1], "x", 1), 1);
  poller_->Remove(fds_[0]);
  ASSERT_EQ(::dup2(fds_[1], fds_[0]), fds_[0]);
  ASSERT_TRUE(poller_->Add(fds_[0], 8).ok());
  const Event event = WaitOnce(seconds(5));
  EXPECT_EQ(event.token, 8u);
  EXPECT_TRUE(event.broken);  // its peer was closed by dup2
  poller_->Remove(fds_[0]);
}

// A poll holds the file: the peer would never see the end.
TEST_P(PollerTest, ARemovedDescriptorIsClosedByClose) {
  ASSERT_TRUE(poller_->Add(fds_[0], 7).ok());
  WaitOnce(seconds(5));
  poller_->Remove(fds_[0]);
  ::close(std::exchange(fds_[0], -1));
  char byte = 0;
  EXPECT_EQ(::read(fds_[1], &byte, 1), 0) << errno;
}

TEST_P(PollerTest, ADescriptorRemovedBeforeItsFirstWaitIsForgotten) {
  ASSERT_TRUE(poller_->Add(fds_[0], 7).ok());
  poller_->Remove(fds_[0]);
  EXPECT_EQ(WaitOnce(milliseconds(0)).token, 0u);
  ASSERT_TRUE(poller_->Add(fds_[0], 8).ok());
  EXPECT_EQ(WaitOnce(seconds(5)).token, 8u);
}

TEST_P(PollerTest, IsNotBusyWhileAPeerThatClosedStaysWatched) {
  ASSERT_TRUE(poller_->Add(fds_[0], 7).ok());
  ::close(std::exchange(fds_[1], -1));
  EXPECT_TRUE(WaitOnce(seconds(5)).broken);
  for (int i = 0; i < 3; ++i) WaitOnce(milliseconds(0));
  EXPECT_EQ(WaitOnce(milliseconds(1)).token, 0u);
}

TEST_P(PollerTest, AWaitEndsAtItsTimeout) { EXPECT_LT(WaitsUntilTimeout(), 100); }

TEST_P(PollerTest, WakesBeforeAWaitEndItOnce) {
  std::array<Event, 4> events;
  poller_->Wake();
  poller_->Wake();
  EXPECT_EQ(poller_->Wait(base::Duration(-1), events), 0u);
  EXPECT_LT(WaitsUntilTimeout(), 100);
}

// A loop is set up on one thread, runs on another and is taken down by the first.
TEST_P(PollerTest, KeepsWhatIsWatchedWhenAnotherThreadWaits) {
  ASSERT_TRUE(poller_->Add(fds_[0], 7).ok());
  std::thread([this] { EXPECT_EQ(WaitOnce(seconds(5)).token, 7u); }).join();
  ASSERT_EQ(::write(fds_[1], "x", 1), 1);
  std::thread([this] { EXPECT_TRUE(WaitOnce(seconds(5)).readable); }).join();
  poller_->Remove(fds_[0]);
  ::close(std::exchange(fds_[0], -1));
  poller_.reset();
  pollfd peer{.fd = fds_[1], .events = POLLIN};
  EXPECT_EQ(::poll(&peer, 1, 20'000), 1);  // it was closed
}

TEST_P(PollerTest, MissesNothingWhenMoreIsReadyThanAQueueHolds) {
  constexpr std::size_t kMany = kCompletionEntries + 600;
  rlimit limit{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &limit), 0);
  if (limit.rlim_max < kMany + 100) GTEST_SKIP() << "too few descriptors";
  limit.rlim_cur = limit.rlim_max;
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &limit), 0);
  std::vector<int> many;
  for (std::size_t i = 0; i < kMany; ++i) {
    many.push_back(::eventfd(0, EFD_NONBLOCK));
    ASSERT_TRUE(poller_->Add(many.back(), i).ok());
  }
  const auto collect = [this](bool Event::*what) {
    std::set<std::uint64_t> seen;
    std::array<Event, kMaxEventsPerWait> events;
    // One event a turn first, so that the rest lies in the queue and beyond it.
    for (std::size_t turn = 0; seen.size() < kMany && turn < 4 * kMany; ++turn) {
      const std::size_t room = turn < 100 ? 1 : events.size();
      const std::size_t count = poller_->Wait(milliseconds(100), {events.data(), room});
      if (count == 0) break;
      for (std::size_t i = 0; i < count; ++i)
        if (events[i].*what) seen.insert(events[i].token);
    }
    return seen.size();
  };
  EXPECT_EQ(collect(&Event::writable), kMany);
  const std::uint64_t one = 1;
  for (const int fd : many) ASSERT_EQ(::write(fd, &one, sizeof one), 8);
  EXPECT_EQ(collect(&Event::readable), kMany);
  for (const int fd : many) {
    poller_->Remove(fd);
    ::close(fd);
  }
}

int ListenOn(std::uint16_t port, std::uint32_t host = INADDR_LOOPBACK) {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  const sockaddr_in address{
      .sin_family = AF_INET, .sin_port = htons(port), .sin_addr = {htonl(host)}, .sin_zero = {}};
  if (::bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0 &&
      ::listen(fd, 64) == 0)
    return fd;
  ::close(fd);
  return -1;
}

TEST_P(PollerTest, ReportsEveryListeningSocketThatSomebodyComesTo) {
  std::vector<int> listening, comers;
  for (std::uint64_t i = 0; i < 9; ++i) {
    listening.push_back(ListenOn(0));
    ASSERT_TRUE(poller_->Add(listening.back(), i).ok());
  }
  ASSERT_TRUE(poller_->Add(fds_[0], 9).ok());
  for (int round = 0; round < 3; ++round) {
    for (const int fd : listening) {
      sockaddr_in at{};
      socklen_t length = sizeof at;
      ASSERT_EQ(::getsockname(fd, reinterpret_cast<sockaddr*>(&at), &length), 0);
      comers.push_back(::socket(AF_INET, SOCK_STREAM, 0));
      ASSERT_EQ(::connect(comers.back(), reinterpret_cast<sockaddr*>(&at), length), 0);
    }
    ASSERT_EQ(::write(fds_[1], "x", 1), 1);
    std::set<std::uint64_t> seen;
    std::array<Event, 4> events;  // fewer than there are
    for (int turn = 0; turn < 40; ++turn) {
      const std::size_t room = turn % 2 == 0 ? 1 : events.size();
      const std::size_t count =
          poller_->Wait(milliseconds(seen.size() == 10 ? 0 : 500), {events.data(), room});
      for (std::size_t i = 0; i < count; ++i)
        if (events[i].readable) seen.insert(events[i].token);
    }
    ASSERT_EQ(seen.size(), 10u) << round;
  }
  for (const int fd : listening) {
    poller_->Remove(fd);
    ::close(fd);
  }
  for (const int fd : comers) ::close(fd);
}

TEST_P(PollerTest, APortIsFreeAtOnceWhenItsProcessIsKilled) {
  // An address that nobody else on this machine uses: between two rounds the port is anybody's.
  const std::uint32_t host = (127u << 24) | (1u << 23) | static_cast<std::uint32_t>(::getpid());
  const int first = ListenOn(0, host);
  ASSERT_GE(first, 0);
  sockaddr_in at{};
  socklen_t length = sizeof at;
  ASSERT_EQ(::getsockname(first, reinterpret_cast<sockaddr*>(&at), &length), 0);
  ::close(first);
  for (int round = 0; round < 20; ++round) {
    int told[2];
    ASSERT_EQ(::pipe2(told, O_CLOEXEC), 0);
    const pid_t child = ::fork();
    if (child == 0) {
      const int fd = ListenOn(ntohs(at.sin_port), host);
      const bool watched = fd >= 0 && poller_->Add(fd, 7).ok();
      if (watched) WaitOnce(milliseconds(0));
      const char byte = watched ? 'w' : 'x';
      if (::write(told[1], &byte, 1) == 1) ::pause();
      ::_exit(1);
    }
    char byte = 0;
    ASSERT_EQ(::read(told[0], &byte, 1), 1);
    EXPECT_EQ(byte, 'w') << round;
    ASSERT_EQ(::kill(child, SIGKILL), 0);
    ASSERT_EQ(::waitpid(child, nullptr, 0), child);
    ::close(told[0]);
    ::close(told[1]);
  }
}

INSTANTIATE_TEST_SUITE_P(, PollerTest, testing::ValuesIn(kPollers), NameOfKind);

// Makes `call` answer `error` on this thread from now on.
void Forbid(long call, int error) {
  const auto number = static_cast<std::uint32_t>(call);
  const auto answer = static_cast<std::uint32_t>(SECCOMP_RET_ERRNO | error);
  std::array<sock_filter, 4> rules{{
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, answer),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  }};
  const sock_fprog program{.len = rules.size(), .filter = rules.data()};
  ASSERT_EQ(::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
  ASSERT_EQ(::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program), 0);
}

TEST(NewPoller, TakesEpollAndSaysWhyWhereIoUringIsRefused) {
  const PollerChoice here = ChoosePoller(PollerKind::kIoUring);
  if (here.kind != PollerKind::kIoUring) GTEST_SKIP() << here.why;
  const struct {
    long call;
    int error;
    const char* why;
  } cases[] = {{__NR_io_uring_setup, EPERM, "io_uring_setup: forbidden"},
               {__NR_io_uring_setup, ENOSYS, "io_uring_setup: the kernel, or a sandbox, has no"},
               {__NR_io_uring_setup, EINVAL, "io_uring_setup: the kernel is older than 6.1"},
               {__NR_io_uring_enter, EPERM, "io_uring_enter: forbidden"}};
  for (const auto& refused : cases) {
    std::thread([&] {
      Forbid(refused.call, refused.error);
      for (const PollerKind wanted : {PollerKind::kAuto, PollerKind::kIoUring}) {
        const PollerChoice choice = ChoosePoller(wanted);
        EXPECT_EQ(choice.kind, PollerKind::kEpoll);
        EXPECT_TRUE(choice.why.starts_with(refused.why)) << choice.why;
        auto poller = NewPoller(wanted);
        ASSERT_TRUE(poller.ok()) << poller.status().ToString();
        EXPECT_STREQ((*poller)->name(), "epoll");
      }
    }).join();
  }
}

TEST(NewPoller, ReceivesByACallEachAndSaysWhyWhereBuffersAreRefused) {
  const PollerChoice here = ChoosePoller(PollerKind::kIoUring);
  if (here.kind != PollerKind::kIoUring) GTEST_SKIP() << here.why;
  std::thread([&] {
    Forbid(__NR_io_uring_register, EPERM);
    const PollerChoice choice = ChoosePoller(PollerKind::kAuto);
    EXPECT_EQ(choice.kind, PollerKind::kIoUring);
    EXPECT_NE(choice.why.find("io_uring_register: forbidden"), choice.why.npos) << choice.why;
    auto poller = NewPoller(PollerKind::kAuto);
    ASSERT_TRUE(poller.ok());
    int fds[2];
    ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
    ASSERT_TRUE((*poller)->Add(fds[0], 7).ok());
    (*poller)->ReceiveAhead(fds[0]);
    std::array<Event, 4> events;
    (*poller)->Wait(milliseconds(0), events);
    ASSERT_EQ(::write(fds[1], "x", 1), 1);
    ASSERT_EQ((*poller)->Wait(seconds(5), events), 1u);
    EXPECT_TRUE(events[0].readable);
    char byte = 0;
    EXPECT_EQ((*poller)->Receive(fds[0], {&byte, 1}), 1);
    (*poller)->Remove(fds[0]);
    ::close(fds[0]);
    ::close(fds[1]);
  }).join();
}

TEST(NewPoller, ProbesNothingWhenEpollIsAskedFor) {
  EXPECT_EQ(ChoosePoller(PollerKind::kEpoll).kind, PollerKind::kEpoll);
  EXPECT_EQ(ChoosePoller(PollerKind::kEpoll).why, "asked for");
}

}  // namespace
}  // namespace sluice::ring
