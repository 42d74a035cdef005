// A poller of every kind and a pair of connected sockets; fds_[0] is for it to watch.
#pragma once

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <memory>
#include <utility>

#include "datapath/ring/poller.h"

namespace sluice::ring {

using std::chrono::milliseconds;
using std::chrono::seconds;

class OnePoller : public testing::TestWithParam<PollerKind> {
 protected:
  void SetUp() override {
    const PollerChoice choice = ChoosePoller(GetParam());
    if (choice.kind != GetParam()) GTEST_SKIP() << choice.why;
    auto poller = NewPoller(GetParam());
    ASSERT_TRUE(poller.ok()) << poller.status().ToString();
    poller_ = std::move(poller).value();
    ASSERT_STREQ(poller_->name(), PollerKindName(GetParam()));
    ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds_), 0);
  }
  void TearDown() override {
    if (fds_[0] >= 0) ::close(fds_[0]);
    if (fds_[1] >= 0) ::close(fds_[1]);
  }
  // One event for fds_[0], or a default one when none came. A wait may end for nothing, a few
  // times.
  Event WaitOnce(base::Duration timeout) {
    std::array<Event, 4> events;
    for (int i = 0; i < 5; ++i)
      if (poller_->Wait(timeout, events) > 0) return events[0];
    return {};
  }

  std::unique_ptr<Poller> poller_;
  int fds_[2] = {-1, -1};
};

inline constexpr PollerKind kPollers[] = {PollerKind::kEpoll, PollerKind::kIoUring};
inline const char* NameOfKind(const testing::TestParamInfo<PollerKind>& kind) {
  return PollerKindName(kind.param);
}

}  // namespace sluice::ring
