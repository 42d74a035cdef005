#include "datapath/serve/body_sender.h"

#include <algorithm>

#include "datapath/serve/limits.h"

namespace sluice::serve {

void BodySender::Begin(store::ObjectRef object, DirectoryPtr directory, const MountEntry* mount,
                       const TenantMetrics& metrics, std::uint64_t first, std::uint64_t length,
                       bool loaded) {
  Reset();
  object_ = std::move(object);
  directory_ = std::move(directory);
  mount_ = mount;
  metrics_ = &metrics;
  begin_ = position_ = first;
  end_ = first + length;
  attempts_ = 0;
  missed_ = false;
  ahead_ = 0;
  known_.clear();
  known_from_ = static_cast<std::uint32_t>(first / object_->chunk_bytes());
  if (!loaded) return;
  const auto last = static_cast<std::uint32_t>((end_ - 1) / object_->chunk_bytes());
  known_.assign(std::min(last - known_from_ + 1, FillWindow()), Source::kOrigin);
}

std::uint32_t BodySender::FillWindow() const {
  return static_cast<std::uint32_t>(
      std::max<std::uint64_t>(1, kFillWindowBytes / object_->chunk_bytes()));
}

void BodySender::Remember(std::uint32_t index, Source source) {
  if (index < known_from_) return;
  if (known_.size() <= index - known_from_) known_.resize(index - known_from_ + 1, Source::kDram);
  known_[index - known_from_] = source;
}

BodySender::Source BodySender::SourceOfReady(std::uint32_t index) const {
  const std::size_t at = index - known_from_;
  return at < known_.size() ? known_[at] : Source::kDram;
}

void BodySender::Reset() {
  if (subscribed_) pin_.Unsubscribe(this);
  subscribed_ = false;
  pin_.Reset();
  object_ = store::ObjectRef();
  directory_.reset();
}

BodySender::State BodySender::Prepare() {
  for (;;) {
    if (!pin_) {
      const State acquired = Acquire();
      if (acquired != State::kReady) return acquired;
    }
    if (subscribed_) {
      pin_.Unsubscribe(this);
      subscribed_ = false;
    }
    const auto offset = static_cast<std::uint32_t>(position_ % object_->chunk_bytes());
    if (pin_.available() > offset) return State::kReady;
    if (pin_.failed()) {
      failure_ = pin_.failure();
      pin_.Reset();
      if (failure_.code() == base::Code::kAborted) return State::kChanged;
      if (failure_.code() == base::Code::kResourceExhausted) return State::kNoMemory;
      // A bad chunk on disk or a fill given up: one caller brings it anew.
      const bool again =
          failure_.code() == base::Code::kDataLoss || failure_.code() == base::Code::kCancelled;
      if (!again || ++attempts_ >= kMaxChunkAttempts) return State::kFailed;
      continue;
    }
    if (!pin_.Subscribe(this, offset)) continue;  // it came, or failed, meanwhile
    subscribed_ = true;
    return State::kWaiting;
  }
}

BodySender::State BodySender::Acquire() {
  const auto index = static_cast<std::uint32_t>(position_ / object_->chunk_bytes());
  store::Cache::Acquired got = cache_.Acquire(*object_, index, true);
  using Got = store::Cache::Got;
  switch (got.got) {
    case Got::kReady:
      source_ = SourceOfReady(index);
      pin_ = std::move(got.pin);
      return State::kReady;
    case Got::kFollow:
      source_ = got.from_disk ? Source::kNvme : Source::kOrigin;
      missed_ = missed_ || !got.from_disk;
      pin_ = std::move(got.pin);
      ReadAhead();
      return State::kReady;
    case Got::kFill:
      source_ = Source::kOrigin;
      missed_ = true;
      pin_ = std::move(got.pin);
      FillFrom(std::move(got.ticket));
      ReadAhead();
      return State::kReady;
    case Got::kGone:
      return State::kChanged;
    case Got::kAbsent:
    case Got::kNoMemory:
      return State::kNoMemory;
  }
  return State::kFailed;
}

// Begins one fill with `ticket`'s chunk and the absent ones behind it, up to a window.
void BodySender::FillFrom(store::FillTicket ticket) {
  const std::uint64_t chunk = object_->chunk_bytes();
  const auto last = static_cast<std::uint32_t>((end_ - 1) / chunk);
  const std::uint32_t window = FillWindow();
  std::vector<store::FillTicket> tickets;
  std::uint32_t next = ticket.index() + 1;
  Remember(ticket.index(), Source::kOrigin);
  tickets.push_back(std::move(ticket));
  while (next <= last && tickets.size() < window && cache_.MayFillAhead()) {
    store::Cache::Acquired got = cache_.Acquire(*object_, next, true);
    if (got.got != store::Cache::Got::kFill) break;
    tickets.push_back(std::move(got.ticket));
    Remember(next, Source::kOrigin);
    ++next;
  }
  ahead_ = std::max(ahead_, next);
  const std::string& name = object_->name();
  OriginObject target{.directory = directory_,
                      .mount = mount_,
                      .key = Directory::OriginKeyOf(name),
                      .cache_name = name};
  fetcher_.Fill(target, object_, std::move(tickets));
}

void BodySender::ReadAhead() {
  const std::uint64_t chunk = object_->chunk_bytes();
  const auto current = static_cast<std::uint32_t>(position_ / chunk);
  const auto last = static_cast<std::uint32_t>((end_ - 1) / chunk);
  const std::uint32_t window = FillWindow();
  ahead_ = std::max(ahead_, current + 1);
  while (ahead_ <= last && ahead_ <= current + window * kReadAheadWindows &&
         fetcher_.fills_in_progress() < kMaxFillsPerLoop && cache_.MayFillAhead()) {
    // Asking for a chunk on disk begins its promotion; one that is coming needs nothing.
    store::Cache::Acquired got = cache_.Acquire(*object_, ahead_, true);
    if (got.got == store::Cache::Got::kNoMemory || got.got == store::Cache::Got::kGone) return;
    if (got.got == store::Cache::Got::kFill) {
      FillFrom(std::move(got.ticket));  // moves ahead_
    } else {
      if (got.got == store::Cache::Got::kFollow)
        Remember(ahead_, got.from_disk ? Source::kNvme : Source::kOrigin);
      ++ahead_;
    }
  }
}

void BodySender::Account(std::uint64_t bytes) {
  Counter* const counter = source_ == Source::kDram   ? metrics_->bytes_dram
                           : source_ == Source::kNvme ? metrics_->bytes_nvme
                                                      : metrics_->bytes_origin;
  counter->Add(bytes);
}

BodySender::State BodySender::SendHead(net::Stream& stream, std::string_view* head) {
  while (!head->empty()) {
    const net::IoResult sent = stream.Write(*head, true);
    if (sent.blocked()) return State::kSocketFull;
    if (!sent.ok()) return State::kBroken;
    head->remove_prefix(sent.bytes);
  }
  return State::kReady;
}

BodySender::State BodySender::SendSmall(net::Stream& stream, std::string_view* head) {
  const std::uint64_t chunk = object_->chunk_bytes();
  while (!head->empty() || position_ < end_) {
    const iovec pieces[2] = {{const_cast<char*>(head->data()), head->size()},
                             {const_cast<char*>(pin_.data()) + position_ % chunk, left()}};
    const net::IoResult sent = stream.Write(pieces, false);
    if (sent.blocked()) return State::kSocketFull;
    if (!sent.ok()) return State::kBroken;
    const std::size_t of_head = std::min(sent.bytes, head->size());
    head->remove_prefix(of_head);
    position_ += sent.bytes - of_head;
    Account(sent.bytes - of_head);
  }
  pin_.Reset();
  return State::kDone;
}

BodySender::State BodySender::Pump(net::Stream& stream, std::string_view* head) {
  const bool hold = end_ - begin_ >= kHoldMinBytes;
  if (hold) stream.HoldSegments(true);
  const State state = PumpPieces(stream, head);
  // Nothing may lie in the socket for want of bytes that are not there yet.
  if (hold && state != State::kSocketFull && state != State::kYield && state != State::kBroken)
    stream.HoldSegments(false);
  return state;
}

net::IoResult BodySender::SendBytes(net::Stream& stream, std::uint64_t offset,
                                    std::uint64_t count) {
  const bool more = count < left();
  if (!stream.sends_pages_by_reference())
    return stream.SendPages({pin_.data() + offset, count}, more);
  if (!pin_.worth_reference()) return stream.Write(std::span(pin_.data() + offset, count), more);
  pin_.MarkSentByReference();
  return stream.SendPages({pin_.data() + offset, count}, more);
}

BodySender::State BodySender::PumpPieces(net::Stream& stream, std::string_view* head) {
  const std::uint64_t chunk = object_->chunk_bytes();
  std::uint64_t share = kMaxSendBytesPerTurn;
  while (position_ < end_) {
    const State prepared = Prepare();
    if (prepared != State::kReady) return prepared;
    const std::uint64_t offset = position_ % chunk;
    const std::uint64_t ready = std::min<std::uint64_t>(pin_.available() - offset, left());
    if (end_ - begin_ <= kWritevMaxBytes && ready == left()) return SendSmall(stream, head);
    if (share == 0) return State::kYield;
    if (const State headed = SendHead(stream, head); headed != State::kReady) return headed;
    const net::IoResult sent = SendBytes(stream, offset, std::min(ready, share));
    if (sent.blocked()) return State::kSocketFull;
    if (!sent.ok()) return State::kBroken;
    position_ += sent.bytes;
    share -= sent.bytes;
    Account(sent.bytes);
    attempts_ = 0;
    if (position_ % chunk == 0) pin_.Reset();
  }
  pin_.Reset();
  return State::kDone;
}

}  // namespace sluice::serve
