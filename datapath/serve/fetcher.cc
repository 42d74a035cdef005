#include "datapath/serve/fetcher.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "controller/base/check.h"
#include "controller/base/log.h"
#include "datapath/s3/range.h"
#include "datapath/serve/collect.h"
#include "datapath/serve/object_head.h"

namespace sluice::serve {
namespace {

using http1::HeaderId;

}  // namespace

// One GET or HEAD. Body bytes go into the tickets in order; a chunk without a ticket (another fill
// has it) is read over.
class Fetcher::Run final : public origin::ResponseHandler {
 public:
  enum class Job : std::uint8_t { kLoadHead, kLoadRange, kFill };

  Run(Fetcher& fetcher, OriginObject target, Job job)
      : fetcher_(fetcher),
        target_(std::move(target)),
        job_(job),
        metrics_(*target_.mount->origin->metrics) {}

  // Before Start(0, ...): the body from the object's first byte on without a range, since an origin
  // gives the checksums of the whole only so.
  void AskForChecksums() { whole_ = true; }

  void Start(std::uint64_t first, std::uint64_t end, const std::string& if_match) {
    first_byte_ = first;
    epoch_ = fetcher_.cache_.InvalidationEpoch(target_.cache_name);
    // The clock itself: a loop's own time stands still, and others compare with theirs.
    asked_ = fetcher_.loop_.clock().Mono();
    origin::Request request;
    request.method = job_ == Job::kLoadHead ? http1::Method::kHead : http1::Method::kGet;
    request.bucket = target_.mount->origin_bucket;
    request.key = target_.key;
    if (job_ != Job::kLoadHead && !whole_)
      request.headers.emplace_back("range", fmt::format("bytes={}-{}", first, end - 1));
    if (job_ == Job::kLoadHead || whole_)
      request.headers.emplace_back("x-amz-checksum-mode", "ENABLED");
    if (!if_match.empty()) request.headers.emplace_back("if-match", if_match);
    request.head_deadline = kOriginDeadline;
    exchange_ = fetcher_.upstream_.Start(target_.mount->origin->name, std::move(request), this);
  }

  void AttachFill(store::ObjectRef object, std::vector<store::FillTicket> tickets) {
    object_ = std::move(object);
    first_index_ = next_index_ = tickets.front().index();
    end_index_ = next_index_ + static_cast<std::uint32_t>(tickets.size());
    tickets_ = std::move(tickets);
  }

  void OnHead(const http1::Response& response) override {
    status_ = response.status;
    metrics_.Count(Operation(), OriginResultOf(status_));
    if (job_ == Job::kFill) return CheckFillHead(response);
    if (status_ == 416 && job_ == Job::kLoadRange) {
      // Empty, or shorter than where the client begins: only a HEAD tells its metadata.
      restart_as_head_ = true;
      return;
    }
    // A write went by since the origin was asked: this may be older than what was acknowledged to
    // somebody who waits here too. They are passed through.
    if (epoch_ != fetcher_.cache_.InvalidationEpoch(target_.cache_name))
      return Settle({.kind = LoadResult::Kind::kUncacheable, .object = {}});
    if (status_ != 200 && status_ != 206) {
      if (status_ == 404) fetcher_.cache_.PublishAbsent(target_.cache_name, asked_, epoch_);
      return Settle(
          {.kind = status_ >= 500 ? LoadResult::Kind::kUnreachable : LoadResult::Kind::kError,
           .object = {},
           .error = ErrorCodeOfStatus(status_)});
    }
    std::uint64_t first = 0, last = 0, size = response.content_length;
    if (status_ == 206) {
      if (!s3::ParseContentRange(response.headers.Get(HeaderId::kContentRange), &first, &last,
                                 &size) ||
          size == 0 || first != first_byte_ || last < first)
        return Settle({.kind = LoadResult::Kind::kUncacheable, .object = {}});
    } else if (!response.has_content_length) {
      return Settle({.kind = LoadResult::Kind::kUncacheable, .object = {}});
    } else {
      last = size == 0 ? 0 : size - 1;
    }
    auto meta = MetaFromHead(response.headers, size);
    if (!meta.ok()) return Settle({.kind = LoadResult::Kind::kUncacheable, .object = {}});
    // Unconfirmed until the tickets are taken: another loop that finds it now joins this load
    // instead of fetching its first chunk a second time.
    object_ = fetcher_.cache_.Publish(target_.cache_name, std::move(meta).value(),
                                      base::MonoTime::min(), epoch_);
    if (!object_) return Settle({.kind = LoadResult::Kind::kUncacheable, .object = {}});
    if ((job_ == Job::kLoadHead || whole_) && status_ == 200)
      object_->SetChecksums(ChecksumLines(response.headers));
    if (job_ == Job::kLoadRange && size > 0) TakeTickets(first, last);
    // As of the question: the origin may have decided at once and answered late.
    fetcher_.cache_.Confirm(*object_, asked_, epoch_);
    Settle({.kind = LoadResult::Kind::kObject, .object = object_});
  }

  std::span<char> BodyBuffer(std::uint64_t left) override {
    store::FillTicket* ticket = Current();
    if (ticket == nullptr || !*ticket) return {};
    const std::span<char> room = ticket->Room();
    return room.first(static_cast<std::size_t>(std::min<std::uint64_t>(room.size(), left)));
  }

  void OnData(std::span<const char> bytes) override {
    metrics_.bytes_in->Add(bytes.size());
    while (!bytes.empty()) {
      store::FillTicket* ticket = Current();
      if (ticket == nullptr) return;  // an error's body, or more than was asked for
      const std::size_t take =
          std::min<std::size_t>(bytes.size(), object_->chunk_length(next_index_) - in_chunk_);
      if (*ticket) {
        const std::span<char> room = ticket->Room();
        if (bytes.data() != room.data()) std::memcpy(room.data(), bytes.data(), take);
        ticket->Advance(take);
      }
      in_chunk_ += take;
      bytes = bytes.subspan(take);
      if (in_chunk_ < object_->chunk_length(next_index_)) continue;
      ++next_index_;
      in_chunk_ = 0;
      // The rest is not for us.
      if (next_index_ < end_index_ ? !AnyTicketLeft() : more_follows_) return Finish();
    }
  }

  void OnDone(const base::Status& status) override {
    if (restart_as_head_ && status.ok()) return RestartAsHead();
    if (!status.ok()) {
      if (status_ == 0) metrics_.Count(Operation(), OriginMetrics::Result::kUnreachable);
      if (fetcher_.log_limit_.Allow(fetcher_.loop_.Now()))
        base::log::Warn("origin request failed",
                        {{"origin", target_.mount->origin->name},
                         {"error", status},
                         {"suppressed", fetcher_.log_limit_.suppressed()}});
    }
    if (!settled_) Settle({.kind = LoadResult::Kind::kUnreachable, .object = {}});
    FailTickets(status.ok() ? base::DataLoss("the origin's answer was too short") : status);
    Finish();
  }

  void Cancel() {
    exchange_.reset();
    if (!settled_) Settle({.kind = LoadResult::Kind::kUnreachable, .object = {}});
    FailTickets(base::Cancelled("the agent stops"));
  }

  std::list<std::unique_ptr<Run>>::iterator place;

 private:
  OriginMetrics::Operation Operation() const {
    return job_ == Job::kLoadHead ? OriginMetrics::Operation::kHead
                                  : OriginMetrics::Operation::kGet;
  }

  void CheckFillHead(const http1::Response& response) {
    settled_ = true;
    const int status = response.status;
    if (status == 412 || status == 404 ||
        (status < 300 && response.headers.Get(HeaderId::kEtag) != object_->meta().etag)) {
      fetcher_.cache_.Invalidate(target_.cache_name, [] {});
      return FailTickets(base::Aborted("the object changed at the origin"));
    }
    if (status >= 500 || status == 429)
      return FailTickets(base::Unavailable("the origin is overloaded"));
    std::uint64_t first = 0, last = 0, size = 0;
    const bool whole =
        status == 200 && first_byte_ == 0 && response.content_length == object_->meta().size;
    const bool part = status == 206 &&
                      s3::ParseContentRange(response.headers.Get(HeaderId::kContentRange), &first,
                                            &last, &size) &&
                      first == first_byte_ && size == object_->meta().size;
    if (!whole && !part) FailTickets(base::DataLoss("the origin answered with another range"));
  }

  // The chunks that begin in [first, last] and that nobody else brings.
  void TakeTickets(std::uint64_t first, std::uint64_t last) {
    const std::uint64_t chunk_bytes = object_->chunk_bytes();
    if (first % chunk_bytes != 0) return;
    first_index_ = next_index_ = static_cast<std::uint32_t>(first / chunk_bytes);
    // An origin that ignored the range sends everything: more than a window is not taken.
    const std::uint64_t window = std::max(kFillWindowBytes, chunk_bytes) / chunk_bytes;
    end_index_ = static_cast<std::uint32_t>(
        std::min<std::uint64_t>(last / chunk_bytes + 1, next_index_ + window));
    more_follows_ = end_index_ <= last / chunk_bytes;
    for (std::uint32_t i = next_index_; i < end_index_; ++i) {
      // A chunk whose end was not asked for cannot be completed by this answer.
      const std::uint64_t end = std::uint64_t{i} * chunk_bytes + object_->chunk_length(i);
      tickets_.push_back(end <= last + 1
                             ? std::move(fetcher_.cache_.Acquire(*object_, i, true).ticket)
                             : store::FillTicket());
    }
  }

  // The chunk the next byte belongs to; nullptr when nothing (more) is wanted.
  store::FillTicket* Current() {
    return next_index_ < end_index_ ? &tickets_[next_index_ - first_index_] : nullptr;
  }
  bool AnyTicketLeft() const {
    return std::any_of(tickets_.begin(), tickets_.end(),
                       [](const store::FillTicket& ticket) { return static_cast<bool>(ticket); });
  }

  void Settle(const LoadResult& result) {
    settled_ = true;
    if (job_ != Job::kFill) fetcher_.FinishLoad(target_.cache_name, result);
  }
  void FailTickets(const base::Status& why) {
    for (store::FillTicket& ticket : tickets_)
      if (ticket) ticket.Fail(why);
  }
  void RestartAsHead() {
    restart_as_head_ = whole_ = false;
    job_ = Job::kLoadHead;
    status_ = 0;
    Start(0, 1, "");
  }
  void Finish() { fetcher_.Retire(this); }  // destroys this

  Fetcher& fetcher_;
  const OriginObject target_;
  Job job_;
  const OriginMetrics& metrics_;
  std::unique_ptr<origin::Exchange> exchange_;
  store::ObjectRef object_;
  std::vector<store::FillTicket> tickets_;  // of [first_index_, end_index_); some empty
  std::uint64_t first_byte_ = 0;
  std::uint64_t epoch_ = 0;
  base::MonoTime asked_;
  std::uint32_t first_index_ = 0;
  std::uint32_t next_index_ = 0;
  std::uint32_t end_index_ = 0;
  std::size_t in_chunk_ = 0;
  int status_ = 0;
  bool settled_ = false;
  bool restart_as_head_ = false;
  bool whole_ = false;         // asked without a range
  bool more_follows_ = false;  // the answer goes on behind the last chunk that is taken
};

Fetcher::Fetcher(net::EventLoop& loop, store::Cache& cache, Upstream& upstream)
    : loop_(loop), cache_(cache), upstream_(upstream) {}

Fetcher::~Fetcher() { Stop(); }

void Fetcher::Stop() {
  stopping_ = true;
  while (!runs_.empty()) {
    const std::unique_ptr<Run> run = std::move(runs_.front());
    runs_.pop_front();
    run->Cancel();
  }
}

void Fetcher::Load(const OriginObject& target, const Want& want, OnLoaded done) {
  if (stopping_) {
    loop_.Post([done = std::move(done)]() mutable { done({}); });
    return;
  }
  if (!loading_.contains(target.cache_name)) {
    store::ObjectRef object = cache_.Find(target.cache_name);
    const bool enough = object && (!want.checksums || object->checksums() != nullptr);
    if (enough && object->checked_at() >= want.asked) {
      loop_.Post([done = std::move(done), object = std::move(object)]() mutable {
        done({.kind = LoadResult::Kind::kObject, .object = std::move(object)});
      });
      return;
    }
  }
  const auto [entry, fresh] = loading_.try_emplace(target.cache_name);
  entry->second.waiters.push_back(std::move(done));
  if (!fresh) return;
  runs_.push_front(std::make_unique<Run>(
      *this, target, want.first_byte.has_value() ? Run::Job::kLoadRange : Run::Job::kLoadHead));
  Run& run = *runs_.front();
  run.place = runs_.begin();
  if (!want.first_byte.has_value()) return run.Start(0, 1, "");
  // Whole chunks, from the one the body begins in, as far as it goes but at most a window.
  const std::uint64_t chunk = cache_.chunk_bytes();
  const std::uint64_t first = *want.first_byte / chunk * chunk;
  std::uint64_t end = first + std::max(kFillWindowBytes, chunk);
  if (want.checksums && first == 0 && !want.end_byte.has_value()) run.AskForChecksums();
  if (want.end_byte.has_value()) end = std::min(end, (*want.end_byte + chunk - 1) / chunk * chunk);
  run.Start(first, std::max(end, first + chunk), "");
}

void Fetcher::Fill(const OriginObject& target, const store::ObjectRef& object,
                   std::vector<store::FillTicket> tickets) {
  SLUICE_CHECK(!tickets.empty());
  if (stopping_) {
    for (store::FillTicket& ticket : tickets)
      ticket.Fail(base::Unavailable("the origin does not answer"));
    return;
  }
  const std::uint64_t chunk = object->chunk_bytes();
  const std::uint64_t first = std::uint64_t{tickets.front().index()} * chunk;
  const std::uint64_t end = std::uint64_t{tickets.back().index()} * chunk + tickets.back().length();
  runs_.push_front(std::make_unique<Run>(*this, target, Run::Job::kFill));
  Run& run = *runs_.front();
  run.place = runs_.begin();
  run.AttachFill(object, std::move(tickets));
  run.Start(first, end, object->meta().etag);
}

void Fetcher::FinishLoad(const std::string& cache_name, const LoadResult& result) {
  const auto entry = loading_.find(cache_name);
  if (entry == loading_.end()) return;
  std::vector<OnLoaded> waiters = std::move(entry->second.waiters);
  loading_.erase(entry);
  for (OnLoaded& waiter : waiters) waiter(result);
}

void Fetcher::Retire(Run* run) { runs_.erase(run->place); }

}  // namespace sluice::serve
