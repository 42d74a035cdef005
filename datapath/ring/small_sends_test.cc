// SendLater() and what becomes of it, at full sockets and closed ones too.
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <string>
#include <vector>

#include "datapath/ring/limits.h"
#include "datapath/ring/one_poller_for_test.h"

namespace sluice::ring {
namespace {

class SmallSendsTest : public OnePoller {};

TEST_P(SmallSendsTest, SmallSendsAreTakenWhileThereIsRoomForThemAndAllArrive) {
  std::vector<std::array<int, 2>> pairs(kSendSlots + 20);
  for (auto& pair : pairs) {
    ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair.data()), 0);
    ASSERT_TRUE(poller_->Add(pair[0], static_cast<std::uint64_t>(pair[0])).ok());
  }
  const auto settle = [this] {
    std::array<Event, kMaxEventsPerWait> events;
    for (int quiet = 0; quiet < 3;)
      quiet = poller_->Wait(milliseconds(0), events) == 0 ? quiet + 1 : 0;
  };
  settle();
  const bool batches = GetParam() == PollerKind::kIoUring;
  for (int round = 0; round < 3; ++round) {
    std::size_t taken = 0;
    for (const auto& pair : pairs) {
      std::string text = std::to_string(pair[0] + round);
      const iovec pieces[2] = {{text.data(), 1}, {text.data() + 1, text.size() - 1}};
      if (!poller_->SendLater(pair[0], pieces)) continue;
      EXPECT_TRUE(poller_->Sending(pair[0]));
      text.assign(text.size(), '?');  // they were copied
      ++taken;
    }
    EXPECT_EQ(taken, batches ? kSendSlots : 0);
    settle();
    std::size_t arrived = 0;
    for (const auto& pair : pairs) {
      EXPECT_FALSE(poller_->Sending(pair[0]));
      char got[16];
      const ssize_t count = ::read(pair[1], got, sizeof got);
      if (count <= 0) continue;
      EXPECT_EQ(std::string(got, static_cast<std::size_t>(count)), std::to_string(pair[0] + round));
      ++arrived;
    }
    EXPECT_EQ(arrived, taken);
  }
  std::string long_one(kSendSlotBytes + 1, 'x');
  const iovec piece{long_one.data(), long_one.size()};
  EXPECT_FALSE(poller_->SendLater(pairs[0][0], {&piece, 1}));
  for (const auto& pair : pairs) {
    poller_->Remove(pair[0]);
    ::close(pair[0]);
    ::close(pair[1]);
  }
}

TEST_P(SmallSendsTest, WhoWaitsForRoomIsToldThoughASmallSendTakesItFirst) {
  ASSERT_TRUE(poller_->Add(fds_[0], 7).ok());
  WaitOnce(seconds(5));
  std::array<char, 4096> bytes{};
  while (::write(fds_[0], bytes.data(), bytes.size()) > 0) {
  }
  const iovec piece{bytes.data(), bytes.size()};
  EXPECT_EQ(poller_->SendLater(fds_[0], {&piece, 1}), GetParam() == PollerKind::kIoUring);
  EXPECT_EQ(WaitOnce(milliseconds(1)).token, 0u);  // the socket is full
  while (::read(fds_[1], bytes.data(), bytes.size()) > 0) {
  }
  const auto before = std::chrono::steady_clock::now();
  EXPECT_TRUE(WaitOnce(seconds(20)).writable);
  EXPECT_LT(std::chrono::steady_clock::now() - before, seconds(15));  // not by its timeout
  EXPECT_FALSE(poller_->Sending(fds_[0]));
}

// Nothing else happens: were the wait to count the send as none of its events, it would last.
TEST_P(SmallSendsTest, WhoWaitsForASmallSendIsToldOnceItLeft) {
  ASSERT_TRUE(poller_->Add(fds_[0], 7).ok());
  WaitOnce(seconds(5));
  char byte = 'x';
  const iovec piece{&byte, 1};
  const bool taken = poller_->SendLater(fds_[0], {&piece, 1});
  ASSERT_EQ(taken, GetParam() == PollerKind::kIoUring);
  if (!taken) return;  // epoll has no such thing
  EXPECT_TRUE(poller_->Sending(fds_[0]));
  std::array<Event, 4> events;
  const auto before = std::chrono::steady_clock::now();
  ASSERT_EQ(poller_->Wait(seconds(20), events), 1u);
  EXPECT_LT(std::chrono::steady_clock::now() - before, seconds(15));  // not by its timeout
  EXPECT_TRUE(events[0].writable);
  EXPECT_FALSE(poller_->Sending(fds_[0]));
}

TEST_P(SmallSendsTest, WhatAFullSocketLeftArrivesThoughItsDescriptorIsClosed) {
  std::array<char, kSendSlotBytes> bytes{};
  const iovec piece{bytes.data(), bytes.size()};
  for (const bool tried : {false, true}) {  // before it is removed
    ASSERT_TRUE(poller_->Add(fds_[0], 7).ok());
    WaitOnce(seconds(5));
    std::size_t written = 0;
    for (ssize_t put = 0; (put = ::write(fds_[0], bytes.data(), 4096)) > 0;)
      written += static_cast<std::size_t>(put);
    if (poller_->SendLater(fds_[0], {&piece, 1})) written += bytes.size();
    if (tried) {
      EXPECT_EQ(WaitOnce(milliseconds(1)).token, 0u);
    }
    poller_->Remove(fds_[0]);
    ::close(std::exchange(fds_[0], -1));
    std::size_t arrived = 0;
    ssize_t got = -1;
    for (int i = 0; got != 0 && i < 1000; ++i) {
      while ((got = ::read(fds_[1], bytes.data(), bytes.size())) > 0)
        arrived += static_cast<std::size_t>(got);
      EXPECT_EQ(WaitOnce(milliseconds(1)).token, 0u);
    }
    EXPECT_EQ(got, 0);  // the end
    EXPECT_EQ(arrived, written);
    ::close(fds_[1]);
    ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds_), 0);
  }
}

TEST_P(SmallSendsTest, WhatAFullSocketLeftIsForgottenWhenItIsToBeResetOrThePollerEnds) {
  for (const bool reset : {true, false}) {
    ASSERT_TRUE(poller_->Add(fds_[0], 7).ok());
    WaitOnce(seconds(5));
    std::array<char, 4096> bytes{};
    while (::write(fds_[0], bytes.data(), bytes.size()) > 0) {
    }
    const iovec piece{bytes.data(), bytes.size()};
    poller_->SendLater(fds_[0], {&piece, 1});
    const linger now{.l_onoff = reset ? 1 : 0, .l_linger = 0};
    ::setsockopt(fds_[0], SOL_SOCKET, SO_LINGER, &now, sizeof now);
    poller_->Remove(fds_[0]);
    ::close(std::exchange(fds_[0], -1));
    if (!reset) poller_.reset();
    ssize_t got = 0;
    while ((got = ::read(fds_[1], bytes.data(), bytes.size())) > 0) {
    }
    EXPECT_EQ(got, 0) << reset;
    ::close(fds_[1]);
    ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds_), 0);
  }
}

INSTANTIATE_TEST_SUITE_P(, SmallSendsTest, testing::ValuesIn(kPollers), NameOfKind);

}  // namespace
}  // namespace sluice::ring
