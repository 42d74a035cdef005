#include "datapath/net/page_pipe.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>
#include <string>

#include "datapath/net/limits.h"

namespace sluice::net {
namespace {

constexpr std::size_t kPage = 4096;

// A mapped memfd whose bytes tell their position, and a connected pair of sockets.
class PagePipeTest : public ::testing::Test {
 protected:
  void Map(std::size_t bytes) {
    file_ = UniqueFd(::memfd_create("test", MFD_CLOEXEC));
    ASSERT_EQ(::ftruncate(file_.get(), static_cast<off_t>(bytes)), 0);
    void* const map = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, file_.get(), 0);
    ASSERT_NE(map, MAP_FAILED);
    bytes_ = {static_cast<char*>(map), bytes};
    for (std::size_t i = 0; i < bytes; ++i) bytes_[i] = static_cast<char>(i * 7 + i / kPage);
    int ends[2];
    ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends), 0);
    sender_ = UniqueFd(ends[0]);
    receiver_ = UniqueFd(ends[1]);
  }
  void TearDown() override {
    if (!bytes_.empty()) ::munmap(bytes_.data(), bytes_.size());
  }
  std::string ReceiveAll() {
    std::string all;
    char buffer[64 << 10];
    for (ssize_t got; (got = ::recv(receiver_.get(), buffer, sizeof buffer, 0)) > 0;)
      all.append(buffer, static_cast<std::size_t>(got));
    return all;
  }

  UniqueFd file_, sender_, receiver_;
  std::span<char> bytes_;
  PagePipe pipe_;
};

TEST_F(PagePipeTest, SendsFromTheMiddleOfAPage) {
  Map(8 * kPage);
  ASSERT_EQ(pipe_.Send(sender_.get(), bytes_.subspan(100, 9000), false), 9000);
  EXPECT_EQ(ReceiveAll(), std::string(bytes_.data() + 100, 9000));
}

TEST_F(PagePipeTest, WhatAFullSocketDidNotTakeIsSentLaterOnce) {
  Map(8 << 20);
  std::size_t sent = 0;
  std::string received;
  int blocked = 0;
  while (sent < bytes_.size()) {
    const ssize_t took = pipe_.Send(sender_.get(), bytes_.subspan(sent), false);
    ASSERT_TRUE(pipe_.usable());
    if (took > 0) {
      sent += static_cast<std::size_t>(took);
      continue;
    }
    ASSERT_EQ(errno, EAGAIN);
    ++blocked;
    received += ReceiveAll();
  }
  received += ReceiveAll();
  EXPECT_GT(blocked, 0);
  ASSERT_EQ(received.size(), bytes_.size());
  EXPECT_EQ(std::memcmp(received.data(), bytes_.data(), received.size()), 0);
}

// The same rule as for sendfile (docs/adr/0037-page-reuse.md): a page that was handed over may only
// be written again after a hole was punched, which gives the file a fresh one.
TEST_F(PagePipeTest, AReaderBehindAPunchedHoleStillGetsTheOldBytes) {
  Map(4 * kPage);
  const std::string before(bytes_.data(), bytes_.size());
  ASSERT_EQ(pipe_.Send(sender_.get(), bytes_, false), static_cast<ssize_t>(bytes_.size()));
  ASSERT_EQ(::fallocate(file_.get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0,
                        static_cast<off_t>(bytes_.size())),
            0);
  std::memset(bytes_.data(), 'x', bytes_.size());
  EXPECT_EQ(ReceiveAll(), before);
}

TEST_F(PagePipeTest, ABrokenSocketIsToldAndThePipeStaysFit) {
  Map(4 * kPage);
  ::signal(SIGPIPE, SIG_IGN);  // as the agent's main does: splice knows no MSG_NOSIGNAL
  receiver_.Reset();
  EXPECT_EQ(pipe_.Send(sender_.get(), bytes_, false), -1);
  EXPECT_EQ(errno, EPIPE);
  EXPECT_TRUE(pipe_.usable());
}

}  // namespace
}  // namespace sluice::net
