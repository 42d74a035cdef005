// The trap "a page sent by sendfile is reused while the receiver has not read it"
// (docs/reliability.md#traps): first the kernel's behaviour itself, so that a kernel that changes
// it is noticed; then our rule over it.
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cstdio>
#include <fstream>

#include "datapath/store/cache_test_support.h"

namespace sluice::store {
namespace {

// A connected pair over loopback TCP whose receiver reads only when told to.
class StalledReader {
 public:
  StalledReader() {
    const int listener = ::socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t length = sizeof address;
    auto* any = reinterpret_cast<sockaddr*>(&address);
    SLUICE_CHECK(::bind(listener, any, length) == 0 && ::listen(listener, 1) == 0);
    SLUICE_CHECK(::getsockname(listener, any, &length) == 0);
    receiver_ = ::socket(AF_INET, SOCK_STREAM, 0);
    SLUICE_CHECK(::connect(receiver_, any, length) == 0);
    sender_ = ::accept(listener, nullptr, nullptr);
    ::close(listener);
  }
  ~StalledReader() {
    ::close(sender_);
    ::close(receiver_);
  }
  void Send(int file, std::uint64_t offset, std::size_t bytes) {
    auto at = static_cast<off_t>(offset);
    while (bytes > 0) {
      const ssize_t sent = ::sendfile(sender_, file, &at, bytes);
      SLUICE_CHECK(sent > 0);
      bytes -= static_cast<std::size_t>(sent);
    }
  }
  void Send(const char* pages, std::size_t bytes) {  // the same for mapped ones
    int ends[2];
    SLUICE_CHECK(::pipe2(ends, 0) == 0);
    while (bytes > 0) {
      const iovec piece{const_cast<char*>(pages), bytes};
      const ssize_t sent = ::vmsplice(ends[1], &piece, 1, 0);
      SLUICE_CHECK(sent > 0 && ::splice(ends[0], nullptr, sender_, nullptr,
                                        static_cast<std::size_t>(sent), 0) == sent);
      pages += sent;
      bytes -= static_cast<std::size_t>(sent);
    }
    ::close(ends[0]);
    ::close(ends[1]);
  }
  std::string Receive(std::size_t bytes) {
    std::string data(bytes, '\0');
    std::size_t got = 0;
    while (got < bytes) {
      const ssize_t result = ::recv(receiver_, data.data() + got, bytes - got, 0);
      SLUICE_CHECK(result > 0);
      got += static_cast<std::size_t>(result);
    }
    return data;
  }

 private:
  int sender_ = -1;
  int receiver_ = -1;
};

TEST(PageReuse, OverwritingAQueuedPageChangesWhatTheReceiverReads) {
  const int file = ::memfd_create("probe", 0);
  ASSERT_EQ(::ftruncate(file, kTestChunk), 0);
  auto* page =
      static_cast<char*>(::mmap(nullptr, kTestChunk, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0));
  std::memset(page, 'A', kTestChunk);
  StalledReader reader;
  reader.Send(file, 0, kTestChunk);
  std::memset(page, 'B', kTestChunk);  // the naive cache: evict and refill in place
  EXPECT_NE(reader.Receive(kTestChunk), std::string(kTestChunk, 'A'));
  ::munmap(page, kTestChunk);
  ::close(file);
}

TEST(PageReuse, PunchingTheHoleLeavesTheQueuedPageAlone) {
  const int file = ::memfd_create("probe", 0);
  ASSERT_EQ(::ftruncate(file, kTestChunk), 0);
  auto* page =
      static_cast<char*>(::mmap(nullptr, kTestChunk, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0));
  std::memset(page, 'A', kTestChunk);
  StalledReader reader;
  reader.Send(file, 0, kTestChunk);
  ASSERT_EQ(::fallocate(file, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, kTestChunk), 0);
  std::memset(page, 'B', kTestChunk);  // fresh pages at the same offset
  EXPECT_EQ(reader.Receive(kTestChunk), std::string(kTestChunk, 'A'));
  ::munmap(page, kTestChunk);
  ::close(file);
}

// All of a block is lent, given up and filled anew, as ordinary and as huge pages.
TEST(PageReuse, AStalledReaderGetsItsBytesThoughItsExtentWasTakenAgain) {
  constexpr std::size_t kSlot = 64 << 10;
  for (const bool huge : {false, true}) {
    MemoryPool pool(64 << 20);
    Arena arena(pool, 1 << 20, huge ? kMinHugeSlotBytes : 0);
    std::vector<Extent> extents;
    for (std::size_t i = 0; i < (2 << 20) / kSlot; ++i) {
      extents.push_back(arena.Allocate(kSlot).value());
      std::memset(arena.data(extents.back()), 'A', kSlot);
    }
    StalledReader reader;
    reader.Send(arena.data(extents[7]), kSlot);
    for (const Extent extent : extents) arena.Free(extent, true);
    EXPECT_EQ(pool.used(), 0u);
    for (std::size_t i = 0; i < 500; ++i)
      std::memset(arena.data(arena.Allocate(kSlot).value()), 'B', kSlot);
    EXPECT_EQ(reader.Receive(kSlot), std::string(kSlot, 'A')) << huge;
  }
}

// A hole in a huge page is zeroed where it lies, under whoever was sent it: whatever the host is
// set to, a memfd of ours has none.
TEST(PageReuse, AMemfdIsNeverOfHugePages) {
  MemoryPool pool(64 << 20);
  Arena arena(pool, 1 << 20, 0);
  const Extent extent = arena.Allocate(1 << 20).value();
  const auto at = reinterpret_cast<std::uintptr_t>(arena.data(extent));
  std::ifstream maps("/proc/self/smaps");
  bool inside = false;
  for (std::string line; std::getline(maps, line);) {
    std::uintptr_t begin = 0, end = 0;
    if (std::sscanf(line.c_str(), "%lx-%lx ", &begin, &end) == 2) inside = begin <= at && at < end;
    if (inside && line.starts_with("VmFlags:")) {
      EXPECT_NE(line.find(" nh"), line.npos) << line;
      return;
    }
  }
  FAIL() << "not found";
}

class PageReuseTest : public CacheFixture {};

TEST_F(PageReuseTest, AStalledReaderGetsItsBytesThoughTheChunkWasEvictedAndItsMemoryRefilled) {
  Open();
  ObjectRef victim = Publish("victim", 1, kTestChunk);
  ASSERT_TRUE(Ensure(*victim, 0, 1));
  StalledReader reader;
  {
    Cache::Acquired got = cache_->Acquire(*victim, 0, false);
    ASSERT_EQ(got.got, Cache::Got::kReady);
    got.pin.MarkSentByReference();
    reader.Send(got.pin.data(), kTestChunk);
  }  // sent: unpinned, though nobody has read it
  ObjectRef other = Publish("other", 2, 64 << 20);
  for (std::uint32_t i = 0; i < other->chunk_count(); ++i) ASSERT_TRUE(Ensure(*other, i, 2));
  ASSERT_NE(cache_->Acquire(*victim, 0, false).got, Cache::Got::kReady) << "it was not evicted";
  const std::string received = reader.Receive(kTestChunk);
  EXPECT_TRUE(SameBytes(1, 0, received.data(), received.size()));
}

}  // namespace
}  // namespace sluice::store
