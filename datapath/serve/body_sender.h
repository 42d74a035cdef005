// Sends a range of one cached object to a stream: chunk by chunk, each by the cheapest path,
// following fills that are under way and starting those that are missing.
//
// Transmit path (docs/adr/0037-page-reuse.md, 0100-transmit-path.md): an answer whose whole body is
// at most kWritevMaxBytes and in memory goes out with its head in one writev (a copy); of
// everything longer the head is held back by MSG_MORE so that head and first bytes share segments.
// A chunk that is read often goes by reference; others are copied, which leaves their pages to the
// next chunk (0260). From kHoldMinBytes on no partial segments.
//
// Reading ahead happens only while chunks are not in memory: the missing ones of the range that is
// being sent are asked for in windows, at most kReadAheadWindows ahead and as memory allows
// (Cache::MayFillAhead). Nothing outside the client's range is fetched.
//
// Thread rule: the connection's loop; the Waiter's callback comes from anywhere and only posts.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "datapath/net/stream.h"
#include "datapath/serve/agent_metrics.h"
#include "datapath/serve/directory.h"
#include "datapath/serve/fetcher.h"
#include "datapath/store/cache.h"

namespace sluice::serve {

class BodySender final : private store::Waiter {
 public:
  // `wake` is posted to the loop's connection when waited-for bytes came: see Worker.
  class Waker {
   public:
    virtual ~Waker() = default;
    virtual void WakeFromAnyThread() = 0;
  };
  BodySender(store::Cache& cache, Fetcher& fetcher, Waker& waker)
      : cache_(cache), fetcher_(fetcher), waker_(waker) {}
  ~BodySender() override { Reset(); }
  BodySender(const BodySender&) = delete;
  BodySender& operator=(const BodySender&) = delete;

  // [first, first + length) of `object`; length > 0. `loaded`: this request made the agent ask the
  // origin, whose answer brings the first window.
  void Begin(store::ObjectRef object, DirectoryPtr directory, const MountEntry* mount,
             const TenantMetrics& metrics, std::uint64_t first, std::uint64_t length, bool loaded);
  void Reset();

  enum class State : std::uint8_t {
    kReady,       // Prepare: bytes are there
    kDone,        // Pump: all were taken by the socket
    kSocketFull,  // Pump: wait for OnWritable
    kYield,       // Pump: this connection's share of the turn is used up; call again later
    kWaiting,     // the waker follows
    kNoMemory,    // shed; try again later or refuse
    kChanged,     // the object is not current any more: look it up again
    kFailed,      // see failure()
    kBroken,      // the socket
  };
  // Makes bytes available at the current position, or starts what brings them.
  State Prepare();
  // Sends `head` (what is left of it) and then the body, as far as it goes.
  State Pump(net::Stream& stream, std::string_view* head);
  const base::Status& failure() const { return failure_; }
  // True when bytes had to be brought from an origin.
  bool missed() const { return missed_; }
  std::uint64_t left() const { return end_ - position_; }

 private:
  enum class Source : std::uint8_t { kDram, kNvme, kOrigin };

  void OnChunkProgress() override { waker_.WakeFromAnyThread(); }
  State Acquire();
  void FillFrom(store::FillTicket ticket);
  void ReadAhead();
  std::uint32_t FillWindow() const;  // in chunks
  void Remember(std::uint32_t index, Source source);
  Source SourceOfReady(std::uint32_t index) const;
  State SendSmall(net::Stream& stream, std::string_view* head);
  State PumpPieces(net::Stream& stream, std::string_view* head);
  // `count` bytes from `offset` in the pinned chunk.
  net::IoResult SendBytes(net::Stream& stream, std::uint64_t offset, std::uint64_t count);
  State SendHead(net::Stream& stream, std::string_view* head);
  void Account(std::uint64_t bytes);

  store::Cache& cache_;
  Fetcher& fetcher_;
  Waker& waker_;

  store::ObjectRef object_;
  DirectoryPtr directory_;
  const MountEntry* mount_ = nullptr;
  const TenantMetrics* metrics_ = nullptr;
  std::uint64_t position_ = 0;
  std::uint64_t end_ = 0;
  std::uint64_t begin_ = 0;
  store::ChunkPin pin_;
  bool subscribed_ = false;
  Source source_ = Source::kDram;
  std::uint32_t ahead_ = 0;  // chunks below were looked at for reading ahead
  // Where the chunks [known_from_, known_from_ + known_.size()) were when this request first made
  // the agent bring them: that, not the memory they have reached since, is what is accounted.
  std::uint32_t known_from_ = 0;
  std::vector<Source> known_;
  int attempts_ = 0;
  bool missed_ = false;
  base::Status failure_;
};

}  // namespace sluice::serve
