// Poller over io_uring: one multishot poll a descriptor, one io_uring_enter a turn, which submits
// what was added and waits. Its parts are in uring_poller.cc, uring_sends.cc and
// uring_receives.cc. Numbered rules:
//  1. A completion names a descriptor and a generation of its place; one of an older generation is
//     dropped, so nothing is reported after Remove().
//  2. Add() only notes; the first Wait() opens the ring, and each arms what was noted. The ring
//     takes submissions of one thread only, the one that opened it: its wait does then what is to
//     be done for the completions, and not every system call.
//  3. Remove() cancels at once: a poll holds its file, and close() is to close. Once the loop's
//     thread has ended, files are let go when the ring closes.
//  4. Arming tells what is the case now. So a poll that ended by itself is armed again, and a ring
//     that lost completions, or whose thread changed, is made anew: nothing is missed.
//  5. A send never waits in the kernel (MSG_DONTWAIT): its completion lies in the queue when the
//     call that submitted it returns, and from then on nobody reads its slot. So a turn waits for
//     one completion more than it submits sends that nobody waits for, and what a full socket left
//     is submitted again when the poll says that there is room. A send that somebody waits for is
//     an event itself: were it counted, the turn would sleep over it.
//  6. What a full socket left of a removed descriptor goes by a copy of it, which is closed then.
//  7. A ring lets go of what it polls only some time after its process was killed. So sockets that
//     listen are watched by an epoll, and the ring polls that: who starts next can bind at once.
//  8. A socket that receives ahead has a multishot receive into buffers that the ring picks; its
//     poll tells of room alone. A message longer than a buffer, or bytes that nobody reads, end
//     the receive: a long body is to go straight where it is wanted, and nobody is to fill all
//     buffers. Until its last completion nothing else may read the socket, lest bytes change
//     places.
//  9. From then on, and where no buffer is left, it is read by system calls, and awaited by a poll
//     as long as they bring much at a time. Whoever was given less than asked for is told of more.
// 10. Bytes that a ring took from a socket are never lost silently: those it told of are kept, and
//     where it may have lost what it told, the connections that it received for are ended.
#pragma once

#include <liburing.h>

#include <memory>
#include <vector>

#include "datapath/ring/kinds.h"
#include "datapath/ring/receive_buffers.h"
#include "datapath/ring/send_slots.h"

namespace sluice::ring {

class UringPoller final : public Poller {
 public:
  UringPoller(int wake_fd, std::unique_ptr<Poller> listening, int listening_fd);
  ~UringPoller() override;
  UringPoller(const UringPoller&) = delete;
  UringPoller& operator=(const UringPoller&) = delete;

  base::Status Add(int fd, std::uint64_t token) override;
  void Remove(int fd) override;
  std::size_t Wait(base::Duration timeout, std::span<Event> events) override;
  void ReceiveAhead(int fd) override;
  ssize_t Receive(int fd, std::span<char> into) override;
  bool SendLater(int fd, std::span<const iovec> pieces) override;
  bool Sending(int fd) override;
  void Wake() override;
  const char* name() const override { return "io_uring"; }

 private:
  // Tokens of our own; no caller uses them, as with epoll.
  static constexpr std::uint64_t kWakeToken = ~std::uint64_t{0};
  static constexpr std::uint64_t kRestToken = kWakeToken - 1;       // of copies, by rule 6
  static constexpr std::uint64_t kListeningToken = kRestToken - 1;  // of the epoll of rule 7
  // What a completion is of, beside polls.
  static constexpr std::uint64_t kNobody = ~std::uint64_t{0};          // a cancellation
  static constexpr std::uint64_t kSendMark = std::uint64_t{1} << 63;   // a send, with its slot
  static constexpr std::uint64_t kInputMark = std::uint64_t{1} << 62;  // what rules 8 and 9 ask for
  static constexpr std::uint32_t kGenerations = 0x3fffffff;            // leaves the marks free
  static constexpr std::uint32_t kNoSlot = SendSlots::kNone;

  enum class State : std::uint8_t { kFree, kWanted, kArmed, kListening };
  enum class Input : std::uint8_t {
    kPolled,    // by the poll that tells of room, too
    kWanted,    // to be asked for
    kReceived,  // a multishot receive has it
    kStopping,  // that was cancelled; its last completion is still to come
    kAwaited,   // a poll waits for it
    kIdle,      // nobody waits: what is unread comes first, then what a system call gives
  };
  struct Place {
    std::uint64_t token = 0;
    std::uint32_t generation = 0;
    State state = State::kFree;
    std::uint32_t slot = kNoSlot;  // of bytes that are still to be sent
    bool waited_for = false;       // somebody wants to write behind them
    Input input = Input::kPolled;
    bool long_input = false;  // more at a time than a buffer holds
    ReceiveBuffers::Unread unread;
  };

  static void NewGeneration(Place& place) {
    place.generation = (place.generation + 1) & kGenerations;
  }
  std::uint64_t UserData(int fd) const {
    const auto at = static_cast<std::size_t>(fd);
    return std::uint64_t{places_[at].generation} << 32 | at;
  }

  // Polls (uring_poller.cc).
  void Want(int fd);
  void Arm();
  bool ArmPoll(int fd, Place& place);
  void Renew();
  void SubmitNow();
  void EndBatch();
  io_uring_sqe* NewEntry();  // nullptr: the kernel has no memory for what was submitted before
  void Cancel(std::uint64_t user_data);
  bool Take(const io_uring_cqe& cqe, Event* event);  // true: it is an event for the caller

  // Sends (uring_sends.cc).
  Place& PlaceOf(const SendSlot& slot) { return places_[static_cast<std::size_t>(slot.fd)]; }
  bool Submit(std::uint32_t index);
  bool SentWhole(std::uint32_t index);
  bool SendRest(int fd, std::uint32_t index);
  void EndRest(int copy);
  void ForgetSends();
  bool TakeSent(const io_uring_cqe& cqe, Event* event);

  // Input (uring_receives.cc).
  bool ArmInput(int fd, Place& place);
  bool KeepReceived(const io_uring_cqe& cqe);  // true: it brought bytes, for whom they are for
  bool TakeReceived(const io_uring_cqe& cqe, Event* event);
  void KeepInput(bool lost);

  io_uring ring_;
  const int wake_fd_;
  const std::unique_ptr<Poller> listening_;
  bool look_at_listening_ = false;
  bool open_ = false;
  bool renew_ = true;          // before the next wait
  std::vector<Place> places_;  // by descriptor
  std::vector<int> wanted_;    // descriptors to be armed
  std::uint64_t batch_ = 1;    // what is submitted next
  unsigned sends_ = 0;         // since the last submission
  SendSlots slots_;
  bool lost_ = false;      // completions
  bool receives_ = false;  // the ring has buffers
  ReceiveBuffers buffers_;
};

}  // namespace sluice::ring
