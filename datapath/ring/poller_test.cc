#include "datapath/ring/poller.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <thread>

namespace sluice::ring {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

class PollerTest : public testing::Test {
 protected:
  void SetUp() override {
    auto poller = NewEpollPoller();
    ASSERT_TRUE(poller.ok()) << poller.status().ToString();
    poller_ = std::move(poller).value();
    ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds_), 0);
  }
  void TearDown() override {
    ::close(fds_[0]);
    if (fds_[1] >= 0) ::close(fds_[1]);
  }
  // One event for fds_[0], or a default one when none came.
  Event WaitOnce(base::Duration timeout) {
    std::array<Event, 4> events;
    const std::size_t count = poller_->Wait(timeout, events);
    return count == 0 ? Event{} : events[0];
  }

  std::unique_ptr<Poller> poller_;
  int fds_[2] = {-1, -1};
};

TEST_F(PollerTest, ReportsRoomToWriteOnceAndThenOnlyChanges) {
  ASSERT_TRUE(poller_->Add(fds_[0], 7).ok());
  const Event first = WaitOnce(seconds(5));
  EXPECT_EQ(first.token, 7u);
  EXPECT_TRUE(first.writable);
  EXPECT_FALSE(first.readable);
  EXPECT_EQ(WaitOnce(milliseconds(0)).token, 0u);  // an edge, not a level
}

TEST_F(PollerTest, ReportsEachArrivalOfBytes) {
  ASSERT_TRUE(poller_->Add(fds_[0], 7).ok());
  WaitOnce(seconds(5));
  for (int i = 0; i < 3; ++i) {
    ASSERT_EQ(::write(fds_[1], "x", 1), 1);
    EXPECT_TRUE(WaitOnce(seconds(5)).readable);
  }
}

TEST_F(PollerTest, ReportsAPeerThatClosed) {
  ASSERT_TRUE(poller_->Add(fds_[0], 7).ok());
  WaitOnce(seconds(5));
  ::close(fds_[1]);
  fds_[1] = -1;
  const Event event = WaitOnce(seconds(5));
  EXPECT_TRUE(event.readable);
  EXPECT_TRUE(event.broken);
}

TEST_F(PollerTest, ReportsNothingAfterRemove) {
  ASSERT_TRUE(poller_->Add(fds_[0], 7).ok());
  poller_->Remove(fds_[0]);
  ASSERT_EQ(::write(fds_[1], "x", 1), 1);
  EXPECT_EQ(WaitOnce(milliseconds(0)).token, 0u);
}

TEST_F(PollerTest, WakeFromAnotherThreadEndsAWaitWithoutTimeout) {
  std::thread waker([this] { poller_->Wake(); });
  EXPECT_EQ(WaitOnce(base::Duration(-1)).token, 0u);
  waker.join();
}

TEST_F(PollerTest, RefusesADescriptorThatCannotBePolled) {
  char name[] = "/tmp/sluice-poller-XXXXXX";
  const int file = ::mkstemp(name);
  ASSERT_GE(file, 0);
  EXPECT_FALSE(poller_->Add(file, 9).ok());
  ::unlink(name);
  ::close(file);
}

}  // namespace
}  // namespace sluice::ring
