// Bytes taken ahead from a socket: these hold whatever the poller does with ReceiveAhead().
#include <sys/ioctl.h>

#include <cerrno>
#include <string>
#include <thread>

#include "datapath/ring/limits.h"
#include "datapath/ring/one_poller_for_test.h"

namespace sluice::ring {
namespace {

class ReceivesTest : public OnePoller {
 protected:
  void SetUp() override {
    OnePoller::SetUp();
    if (IsSkipped()) return;
    Watch(7);
  }
  void Watch(std::uint64_t token) {
    ASSERT_TRUE(poller_->Add(fds_[0], token).ok());
    poller_->ReceiveAhead(fds_[0]);
    EXPECT_TRUE(WaitOnce(seconds(5)).writable);
  }
  void Put(const std::string& bytes) {
    ASSERT_EQ(::write(fds_[1], bytes.data(), bytes.size()), static_cast<ssize_t>(bytes.size()));
  }
  // What one call gives; "-" and the error's number when it gives none.
  std::string Get(std::size_t room = 64 << 10) {
    std::string into(room, '\0');
    const ssize_t got = poller_->Receive(fds_[0], into);
    if (got < 0) return std::to_string(got);
    into.resize(static_cast<std::size_t>(got));
    return into;
  }
  // Reads as a stream's user does: until less than asked for came, then waits for an event.
  std::string GetUntil(std::size_t bytes, std::size_t room = 64 << 10) {
    std::string all;
    for (int i = 0; i < 2000 && all.size() < bytes; ++i) {
      std::string into(room, '\0');
      const ssize_t got = poller_->Receive(fds_[0], into);
      if (got > 0) all.append(into.data(), static_cast<std::size_t>(got));
      if (got == static_cast<ssize_t>(room)) continue;
      if (all.size() < bytes && WaitOnce(seconds(5)).token == 0) break;
    }
    return all;
  }
  static std::string Numbered(std::size_t bytes) {
    std::string text(bytes, '\0');
    for (std::size_t i = 0; i < bytes; ++i) text[i] = static_cast<char>('a' + i / 7 % 26);
    return text;
  }
  std::size_t InSocket() {
    int left = 0;
    EXPECT_EQ(::ioctl(fds_[0], FIONREAD, &left), 0);
    return static_cast<std::size_t>(left);
  }
};

const std::string kNothing = std::to_string(-EAGAIN);

TEST_P(ReceivesTest, EachMessageIsToldAndHad) {
  EXPECT_EQ(Get(), kNothing);
  for (int i = 0; i < 1000; ++i) {
    const std::string message = "message " + std::to_string(i);
    Put(message);
    ASSERT_TRUE(WaitOnce(seconds(5)).readable) << i;
    ASSERT_EQ(Get(), message);
    ASSERT_EQ(Get(), kNothing);
  }
}

TEST_P(ReceivesTest, SmallReadsGetAMessageInPieces) {
  Put("one two three");
  ASSERT_TRUE(WaitOnce(seconds(5)).readable);
  EXPECT_EQ(Get(4), "one ");
  EXPECT_EQ(Get(4), "two ");
  EXPECT_EQ(Get(100), "three");
  EXPECT_EQ(Get(4), kNothing);
}

// The lengths around a buffer's, and bodies that go around the buffers, each with a small one
// behind.
TEST_P(ReceivesTest, MessagesOfAnyLengthArriveWholeAndInOrder) {
  for (const std::size_t length :
       {std::size_t{1}, kReceiveBytes - 1, kReceiveBytes, kReceiveBytes + 1, 2 * kReceiveBytes,
        std::size_t{100'000}, std::size_t{1'000'000}}) {
    for (const std::size_t room : {std::size_t{1000}, kReceiveBytes, std::size_t{32 << 10}}) {
      const std::string message = Numbered(length);
      std::thread peer([&] {
        std::size_t sent = 0;
        while (sent < length) {
          const ssize_t put = ::write(fds_[1], message.data() + sent, length - sent);
          if (put > 0) sent += static_cast<std::size_t>(put);
        }
      });
      const std::string got = GetUntil(length, room);
      peer.join();
      ASSERT_EQ(got, message) << length << " by " << room;
      EXPECT_EQ(Get(), kNothing);
      Put("next");
      ASSERT_EQ(GetUntil(4), "next");
    }
  }
}

// Who sends on while nobody reads fills his socket, not our memory, and loses nothing.
TEST_P(ReceivesTest, OfWhatNobodyReadsABoundedPartIsTaken) {
  const std::string message = Numbered(1000);
  std::string sent;
  for (int i = 0; i < 100; ++i) {
    if (::write(fds_[1], message.data(), message.size()) > 0) sent += message;
    WaitOnce(milliseconds(0));
  }
  EXPECT_GE(InSocket() + 40 * kReceiveBytes, sent.size());
  EXPECT_GT(InSocket(), 0u);
  EXPECT_EQ(GetUntil(sent.size()), sent);
  Put("next");
  EXPECT_EQ(GetUntil(4), "next");
}

TEST_P(ReceivesTest, WhereAllBuffersAreTakenTheOthersAreReadAllTheSame) {
  struct Pair {
    int fds[2];
  };
  std::vector<Pair> pairs(kReceiveBuffers + 50);
  for (std::size_t i = 0; i < pairs.size(); ++i) {
    ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pairs[i].fds), 0);
    ASSERT_TRUE(poller_->Add(pairs[i].fds[0], 1000 + i).ok());
    poller_->ReceiveAhead(pairs[i].fds[0]);
  }
  for (int round = 0; round < 2; ++round) {
    for (const Pair& pair : pairs) ASSERT_EQ(::write(pair.fds[1], "xyz", 3), 3);
    std::vector<bool> told(pairs.size());
    std::array<Event, kMaxEventsPerWait> events;
    for (int turn = 0; turn < 50; ++turn) {
      const std::size_t count = poller_->Wait(milliseconds(20), events);
      for (std::size_t i = 0; i < count; ++i)
        if (events[i].readable) told[events[i].token - 1000] = true;
    }
    for (std::size_t i = 0; i < pairs.size(); ++i) {
      EXPECT_TRUE(told[i]) << round << " " << i;
      char into[8];
      EXPECT_EQ(poller_->Receive(pairs[i].fds[0], into), 3) << round << " " << i;
    }
  }
  for (const Pair& pair : pairs) {
    poller_->Remove(pair.fds[0]);
    ::close(pair.fds[0]);
    ::close(pair.fds[1]);
  }
}

TEST_P(ReceivesTest, TheEndComesBehindTheBytes) {
  Put("last words");
  ::close(std::exchange(fds_[1], -1));
  ASSERT_EQ(GetUntil(10), "last words");
  for (int i = 0; i < 3 && Get() == kNothing; ++i) WaitOnce(seconds(5));
  EXPECT_EQ(Get(), "");
  EXPECT_EQ(Get(), "");
}

TEST_P(ReceivesTest, ADescriptorIsClosedByCloseThoughItsBytesWereTaken) {
  for (const bool read : {true, false}) {
    Put("unread");
    if (read) {
      ASSERT_EQ(GetUntil(6), "unread");
    } else {
      WaitOnce(seconds(5));
    }
    poller_->Remove(fds_[0]);
    ::close(std::exchange(fds_[0], -1));
    char byte = 0;
    EXPECT_LE(::read(fds_[1], &byte, 1), 0);
    EXPECT_NE(errno, EAGAIN);
    ::close(fds_[1]);
    ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds_), 0);
    Watch(8);
    EXPECT_EQ(Get(), kNothing);  // nothing of the number's former owner
  }
}

TEST_P(ReceivesTest, NothingIsLostWhenAnotherThreadWaits) {
  Put("one");
  ASSERT_TRUE(WaitOnce(seconds(5)).readable);
  Put("two");
  std::string all;
  for (int i = 0; i < 6; ++i) {
    std::thread([&] {
      std::array<Event, 4> events;
      poller_->Wait(milliseconds(20), events);
      std::string into(100, '\0');
      const ssize_t got = poller_->Receive(fds_[0], into);
      if (got > 0) all.append(into.data(), static_cast<std::size_t>(got));
      if (i == 2) Put("three");
    }).join();
  }
  EXPECT_EQ(all, "onetwothree");
}

INSTANTIATE_TEST_SUITE_P(, ReceivesTest, testing::ValuesIn(kPollers), NameOfKind);

}  // namespace
}  // namespace sluice::ring
