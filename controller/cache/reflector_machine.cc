#include "controller/cache/reflector_machine.h"

#include <algorithm>
#include <utility>

namespace sluice::cache {
namespace {

// The server never reached the version we resume from: it was restored from an older backup, or
// another replica is behind. Waiting for it may be waiting for ever.
bool IsVersionTooLarge(const base::Status& status) {
  return status.code() == base::Code::kDeadlineExceeded &&
         status.message().find("oo large resource version") != std::string::npos;
}

// May come each time we resume from this version: a line, or an event in the server's window, that
// cannot be read, by us or by the server itself. A new state does without it.
bool MayComeAgain(const base::Status& status) {
  using base::Code;
  return status.code() == Code::kDataLoss || status.code() == Code::kInternal ||
         status.code() == Code::kInvalidArgument || status.code() == Code::kUnknown;
}

}  // namespace

ReflectorMachine::Step ReflectorMachine::Next() const {
  Step step;
  step.wait = wait_;
  if (has_state_) {
    step.action = Action::kWatch;
    step.version = version_;
  } else if (uses_watch_list()) {
    step.action = Action::kStream;
  } else {
    step.action = Action::kList;
    step.whole = whole_list_;
  }
  return step;
}

void ReflectorMachine::OnVersion(std::string_view version) {
  if (!has_state_) return;  // a version in the middle of a state is none to resume from
  progress_ = true;
  version_ = version;
}

void ReflectorMachine::OnInitialState(std::string_view version) {
  read_state_ = true;
  has_state_ = true;
  whole_list_ = false;
  version_ = version;
}

void ReflectorMachine::OnEnded(const base::Status& status, std::chrono::milliseconds lasted,
                               double random) {
  using base::Code;
  const bool streaming = !has_state_ && uses_watch_list();
  const bool listing = !has_state_ && !uses_watch_list();
  const bool progress = std::exchange(progress_, false);
  const bool read_state = std::exchange(read_state_, false);
  const bool listed = read_state && !uses_watch_list();
  const bool lasting_watch = has_state_ && !listed && lasted >= kQuickEnd;
  wait_ = std::chrono::milliseconds(0);
  if (progress) failed_resumes_ = 0;
  failed_resumes_ = MayComeAgain(status) ? failed_resumes_ + 1 : 0;

  const bool unsupported =
      status.code() == Code::kInvalidArgument || status.code() == Code::kUnimplemented;
  if (streaming && unsupported) {
    watch_list_ = false;
    return;
  }
  if (streaming && status.ok()) ++unmarked_streams_;
  if (read_state) unmarked_streams_ = 0;
  if (status.code() == Code::kOutOfRange || IsVersionTooLarge(status)) {
    whole_list_ = listing;  // between two pages: the next list comes in one
    has_state_ = false;
    // A state that cannot be watched from is no success, however often it is read: invariant 1.
    if (lasting_watch && !read_state && lasted >= kMaxBackoff) failures_ = 0;
    BackOff(status, random);
    return;
  }
  if (failed_resumes_ >= kMaxFailedResumes) {
    has_state_ = false;
    failed_resumes_ = 0;
  }
  if (listing && !status.ok()) whole_list_ = false;  // it may be too long for one answer
  if (status.ok() && (progress || lasting_watch)) {
    failures_ = 0;
    return;
  }
  if (status.ok() && read_state) return;  // on to the watch; the failures are not forgotten yet
  // A balancer cuts what is quiet for longer than it likes: with the server nothing is wrong.
  const bool idled_out = lasting_watch && !read_state && status.reason() == "ConnectionCut";
  if (progress || idled_out) failures_ = 0;
  BackOff(status, random);
}

void ReflectorMachine::BackOff(const base::Status& status, double random) {
  const int doublings = std::min(failures_, 10);
  ++failures_;
  const auto full =
      std::min<std::chrono::milliseconds>(kMaxBackoff, kMinBackoff * (1 << doublings));
  // Between half and all of it: many reflectors of one dead server must not come back together.
  const auto jittered = std::chrono::milliseconds(
      static_cast<long>(static_cast<double>(full.count()) * (0.5 + random / 2)));
  wait_ = std::max(jittered, status.retry_after());
}

}  // namespace sluice::cache
