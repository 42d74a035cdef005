// One client connection: reads requests one after the other, decides each, answers it.
//
//   kHead ──head parsed, identity and name decided──► kLoading    metadata must come or be
//   confirmed
//     ▲                                          ├──► kFirstBytes the first chunk must come
//     │                                          ├──► kBody       head and body are being sent
//     │                                          ├──► kAnswer     a short answer is being sent
//     │                                          └──► kJob      a Job: passed through, listed,
//     deleted many └── answer sent, connection kept ◄──────────────┘
//   a TLS handshake, if any, comes before the first head (kHead, tls_.shaking())
//   any ──► kLinger (answer ended the connection; unread input is drained) ──► kClosed
//
// Invariants:
//  1. Nothing is looked up in the cache before identity, tenant, mount and key are decided.
//  2. Once a head was sent the body is that version's, whole; when it cannot be, the connection is
//     reset, never ended cleanly.
//  3. One answer is counted once, when it ends, however it ends.
//  4. While it waits, a deadline runs.
//
// Thread rule: the worker's loop. Stop: Close() detaches at once; the object goes in a posted task,
// so callers up the stack may return through it.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "datapath/http1/writer.h"
#include "datapath/net/stream.h"
#include "datapath/s3/range.h"
#include "datapath/serve/body_sender.h"
#include "datapath/serve/worker.h"

namespace sluice::serve {

class Job;

class Connection final : public net::StreamHandler, private BodySender::Waker {
 public:
  // `tls`: with a place, a handshake comes first.
  Connection(Worker& worker, std::uint64_t id, TlsRoom::Slot tls);
  ~Connection() override;
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;
  void Begin(std::unique_ptr<net::Stream> stream);

  bool idle() const;
  bool closed() const { return state_ == State::kClosed; }
  void CloseWhenDone();  // drain
  void Close();
  void OnWake();  // what a wake posted by PostWake() calls

  void OnConnected() override;  // the handshake is done
  void OnReadable() override;
  void OnWritable() override;
  void OnDeadline() override;
  void OnBroken(const base::Status& why) override;

 private:
  friend class ClientBody;
  friend class DeleteJob;
  friend class ListJob;
  friend class Proxy;
  enum class State : std::uint8_t {
    kHead,
    kLoading,
    kFirstBytes,
    kBody,
    kAnswer,
    kJob,
    kLinger,
    kClosed
  };

  void WakeFromAnyThread() override { worker_.PostWake(id_); }

  // Input (connection.cc).
  void ReadSome();
  bool FillInput();  // false: nothing more now, or closed
  void ProcessInput();
  bool ProcessHead();
  void BeginRequest(std::size_t head_bytes);
  void EndRequest(Outcome outcome);
  void NextRequest();
  void Linger();
  void DrainInput();
  void ReleaseScratch();

  // Short answers (connection.cc).
  void SendError(const s3::Error& error, std::string_view region = {});
  void SendBadRequest(const http1::HeadError& error);
  // `head` (into scratch_->out) has its status line; what every answer has is added.
  void SendAnswer(http1::HeadWriter& head, std::string body, bool with_length);
  void PumpAnswer();

  // Deciding (dispatch.cc).
  void Dispatch();
  s3::Error Identify(std::string_view* region);
  void DispatchObject();
  void DispatchBucket();
  void AnswerListBuckets();
  void AnswerHeadBucket();
  void AnswerLocation();

  // Objects (object_reads.cc).
  void StartObject(bool again);
  bool WantsChecksums() const;
  bool KnownToBeAbsent();
  void LoadObject();
  void OnLoaded(std::uint64_t request, const LoadResult& result);
  void ServeObject(store::ObjectRef object);
  void PrepareBody();
  void PumpBody();
  bool WriteObjectHead();  // false: it does not fit

  // Jobs (connection.cc).
  template <typename Kind>
  void StartJob();  // dispatch.cc
  void StartProxy();
  void RetireJob();
  // Posts OnContinue() to the job of the request now in hand, from any thread.
  std::function<void()> JobPoster();
  // The request's body was read to its end, which is there in the input buffer.
  void BodyWasRead(std::size_t end);

  void WaitStarts();
  void WaitEnds();
  bool HasBody() const;

  Worker& worker_;
  const std::uint64_t id_;
  std::unique_ptr<net::Stream> stream_;
  TlsRoom::Slot tls_;  // without a place: plain
  State state_ = State::kHead;
  std::unique_ptr<Scratch> scratch_;
  bool input_drained_ = false;  // the socket had nothing more when last read
  bool peer_ended_ = false;     // end of stream was read
  bool close_when_done_ = false;
  bool processing_ = false;    // inside ProcessInput: it goes on by itself
  bool reading_head_ = false;  // some bytes of a head are here: its deadline runs

  // Of the request in hand:
  std::uint64_t request_number_ = 0;  // a late callback of an earlier one is told by it
  std::size_t head_bytes_ = 0;
  bool keep_alive_ = false;
  bool body_was_read_ = false;
  bool head_only_ = false;
  Verb verb_ = Verb::kOther;
  DirectoryPtr directory_;
  const TenantEntry* tenant_ = nullptr;
  const MountEntry* mount_ = nullptr;
  std::array<char, 16> request_id_{};
  base::MonoTime started_;
  base::MonoTime waiting_since_;
  bool waiting_ = false;
  enum class CacheWord : std::uint8_t { kHit, kMiss, kRevalidated } cache_word_ = CacheWord::kHit;
  int restarts_ = 0;
  Outcome outcome_ = Outcome::kOk;
  store::ObjectRef stale_;  // to be served if the origin does not answer
  store::ObjectRef object_;
  s3::RangeAnswer range_;
  std::string_view head_left_;
  std::string body_;  // of a short answer
  std::size_t body_sent_ = 0;
  std::size_t lingered_ = 0;
  base::MonoTime memory_deadline_;
  BodySender sender_;
  std::unique_ptr<Job> job_;
  net::Timer retry_;
};

}  // namespace sluice::serve
