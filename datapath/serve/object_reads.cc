// GET and HEAD of an object, from the cache or into it. Part of Connection.
#include <algorithm>

#include "datapath/s3/conditional.h"
#include "datapath/s3/range.h"
#include "datapath/serve/connection.h"
#include "datapath/serve/object_head.h"
#include "datapath/serve/proxy.h"

namespace sluice::serve {
namespace {

using http1::HeaderId;
using s3::ErrorCode;

constexpr int kMaxRestarts = 2;

bool HasConditions(const http1::Headers& headers) {
  return headers.Has(HeaderId::kIfMatch) || headers.Has(HeaderId::kIfNoneMatch) ||
         headers.Has(HeaderId::kIfModifiedSince) || headers.Has(HeaderId::kIfUnmodifiedSince);
}

}  // namespace

// `again`: what was known turned out to be old; ask the origin whatever the cache says.
void Connection::StartObject(bool again) {
  store::ObjectRef known = worker_.cache().Find(scratch_->cache_name);
  if (known && !again) {
    // Times are compared, never their ages: one that was never confirmed has no age.
    const bool fresh = known->checked_at() > worker_.loop().Now() - mount_->metadata_ttl;
    if (fresh && !(WantsChecksums() && known->checksums() == nullptr))
      return ServeObject(std::move(known));
  }
  if (!known && !again && KnownToBeAbsent()) {
    worker_.metrics().absent_served.Add();
    return SendError({ErrorCode::kNoSuchKey, {}});
  }
  stale_ = std::move(known);
  LoadObject();
}

// They are told with the whole object only.
bool Connection::WantsChecksums() const {
  return scratch_->target.checksum_mode &&
         !scratch_->parser.request().headers.Has(HeaderId::kRange);
}

// Many readers that look for what is not there yet ask the origin once in a while, not each time.
bool Connection::KnownToBeAbsent() {
  const base::Duration life = std::min<base::Duration>(kAbsentLife, mount_->metadata_ttl);
  return worker_.cache().AbsentSince(scratch_->cache_name) > worker_.loop().Now() - life;
}

void Connection::LoadObject() {
  Scratch& s = *scratch_;
  state_ = State::kLoading;
  WaitStarts();
  stream_->SetDeadline(kOriginDeadline + kOriginDeadline);
  // What may be told now without asking may be told from another's question as well.
  Fetcher::Want want{.first_byte = {},
                     .end_byte = {},
                     .asked = worker_.loop().Now() - mount_->metadata_ttl,
                     .checksums = WantsChecksums()};
  // Bytes are brought along when nothing of the object is here; otherwise a HEAD tells enough.
  if (!stale_ && !head_only_) {
    const s3::RangeSpec range = s3::ParseRange(s.parser.request().headers.Get(HeaderId::kRange));
    using Form = s3::RangeSpec::Form;
    if (range.form == Form::kNone) want.first_byte = 0;
    if (range.form == Form::kFrom) want.first_byte = range.first;
    if (range.form == Form::kFromTo) {
      want.first_byte = range.first;
      if (range.last < store::kMaxObjectBytes) want.end_byte = range.last + 1;
    }
    if (want.first_byte.has_value() && *want.first_byte >= store::kMaxObjectBytes)
      want.first_byte.reset();
  }
  OriginObject target{.directory = directory_,
                      .mount = mount_,
                      .key = Directory::OriginKeyOf(s.cache_name),
                      .cache_name = s.cache_name};
  Worker& home = worker_.homes().HomeOf(s.cache_name);
  Worker* const mine = &worker_;
  const auto ask = [mine, &home, id = id_, number = request_number_, want](OriginObject object) {
    home.fetcher().Load(object, want, [mine, &home, id, number](const LoadResult& result) {
      if (&home == mine) {
        if (Connection* connection = mine->Find(id)) connection->OnLoaded(number, result);
        return;
      }
      mine->loop().Post([mine, id, number, result] {
        if (Connection* connection = mine->Find(id)) connection->OnLoaded(number, result);
      });
    });
  };
  if (&home == mine) return ask(std::move(target));
  home.loop().Post([ask, object = std::move(target)]() mutable { ask(std::move(object)); });
}

void Connection::OnLoaded(std::uint64_t request, const LoadResult& result) {
  if (request != request_number_ || state_ != State::kLoading) return;
  WaitEnds();
  // Joined a load whose question was put too long before this request: ask anew, with all others
  // that did. A load begun from here on is young enough, so this happens once.
  const base::MonoTime asked =
      result.kind == LoadResult::Kind::kObject ? result.object->checked_at()
      : result.error == ErrorCode::kNoSuchKey  ? worker_.cache().AbsentSince(scratch_->cache_name)
                                               : base::MonoTime::min();
  if (asked != base::MonoTime::min() && asked < started_ - mount_->metadata_ttl)
    return LoadObject();
  // Joined a load that did not ask for checksums: they come by a HEAD, the bytes as they come.
  if (result.kind == LoadResult::Kind::kObject && WantsChecksums() &&
      result.object->checksums() == nullptr && ++restarts_ <= kMaxRestarts) {
    stale_ = result.object;
    return LoadObject();
  }
  switch (result.kind) {
    case LoadResult::Kind::kObject: {
      // Another version than the one that was here means that its bytes are not.
      cache_word_ = stale_ && stale_->meta().SameVersion(result.object->meta())
                        ? CacheWord::kRevalidated
                        : CacheWord::kMiss;
      if (cache_word_ == CacheWord::kRevalidated) worker_.metrics().revalidations.Add();
      ServeObject(result.object);
      break;
    }
    case LoadResult::Kind::kError:
      if (stale_ && result.error == ErrorCode::kNoSuchKey)
        worker_.cache().Invalidate(scratch_->cache_name, [] {});
      SendError({result.error, {}});
      break;
    case LoadResult::Kind::kUnreachable:
      // Static stability: what is cached is served while the origin is away.
      if (stale_ && stale_->current()) {
        worker_.metrics().stale_served.Add();
        ServeObject(std::move(stale_));
      } else if (result.error == ErrorCode::kSlowDown) {
        SendError({ErrorCode::kSlowDown, {}});
      } else {
        SendError({ErrorCode::kServiceUnavailable, "The origin does not answer."});
      }
      break;
    case LoadResult::Kind::kUncacheable:
      StartProxy();
      break;
  }
}

void Connection::ServeObject(store::ObjectRef object) {
  Scratch& s = *scratch_;
  const http1::Request& request = s.parser.request();
  object_ = std::move(object);
  const store::ObjectMeta& meta = object_->meta();
  if (HasConditions(request.headers)) {
    if (const s3::Error error =
            s3::EvaluateConditions(request.headers, FactsOf(meta), worker_.loop().clock().Wall()))
      return SendError(error);
  }
  s3::RangeAnswer range{.kind = s3::RangeKind::kWhole, .first = 0, .length = meta.size};
  if (request.headers.Has(HeaderId::kRange) && s3::RangeApplies(request.headers, FactsOf(meta)))
    range = s3::EvaluateRange(request.headers.Get(HeaderId::kRange), meta.size);
  if (range.kind == s3::RangeKind::kUnsatisfiable) return SendError({ErrorCode::kInvalidRange, {}});
  range_ = range;
  if (head_only_ || range.length == 0) {
    if (!WriteObjectHead()) return SendError({ErrorCode::kInternalError, {}});
    body_.clear();
    body_sent_ = 0;
    state_ = State::kAnswer;
    stream_->SetDeadline(kSendDeadline);
    return PumpAnswer();
  }
  sender_.Begin(object_, directory_, mount_, *tenant_->metrics, range.first, range.length,
                cache_word_ == CacheWord::kMiss);
  memory_deadline_ = base::MonoTime::min();
  state_ = State::kFirstBytes;
  PrepareBody();
}

// The head goes out only when the first bytes are at hand: until then an error can still be told.
void Connection::PrepareBody() {
  using Step = BodySender::State;
  const Step step = sender_.Prepare();
  switch (step) {
    case Step::kReady:
      WaitEnds();
      if (sender_.missed()) cache_word_ = CacheWord::kMiss;
      if (!WriteObjectHead()) return SendError({ErrorCode::kInternalError, {}});
      state_ = State::kBody;
      stream_->SetDeadline(kSendDeadline);
      return PumpBody();
    case Step::kWaiting:
      WaitStarts();
      stream_->SetDeadline(kOriginDeadline + kOriginDeadline);
      return;
    case Step::kNoMemory:
      worker_.metrics().throttled_memory.Add();
      return SendError({ErrorCode::kSlowDown, {}});
    case Step::kChanged:
      sender_.Reset();
      object_ = store::ObjectRef();
      if (++restarts_ > kMaxRestarts) return SendError({ErrorCode::kServiceUnavailable, {}});
      return StartObject(true);
    default:
      return SendError({ErrorCode::kServiceUnavailable, "The origin does not answer."});
  }
}

void Connection::PumpBody() {
  using Step = BodySender::State;
  const std::uint64_t before = sender_.left() + head_left_.size();
  const Step step = sender_.Pump(*stream_, &head_left_);
  if (sender_.left() + head_left_.size() != before) stream_->SetDeadline(kSendDeadline);
  if (step != Step::kWaiting && step != Step::kNoMemory) WaitEnds();
  switch (step) {
    case Step::kDone:
      retry_.Cancel();
      return NextRequest();
    case Step::kSocketFull:
      memory_deadline_ = base::MonoTime::min();
      // A long body holds no buffer; the head was sent and nothing else was read yet.
      if (head_left_.empty() && scratch_ != nullptr &&
          scratch_->in_begin + head_bytes_ == scratch_->in_end) {
        scratch_->parser.Reset();
        scratch_->in_begin = scratch_->in_end = 0;
        head_bytes_ = 0;
        worker_.ReturnScratch(std::move(scratch_));
      }
      return;
    case Step::kYield:
      return worker_.PostWake(id_);
    case Step::kWaiting:
      stream_->SetDeadline(kOriginDeadline + kOriginDeadline);
      return WaitStarts();
    case Step::kNoMemory: {
      // In mid-body there is nobody to refuse: wait for room, for a bounded time.
      WaitStarts();
      const base::MonoTime now = worker_.loop().Now();
      if (memory_deadline_ == base::MonoTime::min()) memory_deadline_ = now + kMemoryDeadline;
      if (now >= memory_deadline_) {
        worker_.metrics().throttled_memory.Add();
        return Close();
      }
      return retry_.Arm(kMemoryRetry);
    }
    default:  // kChanged, kFailed, kBroken: the head is out, so only a reset tells the truth
      return Close();
  }
}

bool Connection::WriteObjectHead() {
  Scratch& s = *scratch_;
  const store::ObjectMeta& meta = object_->meta();
  http1::HeadWriter head(s.out);
  head.Raw(range_.kind == s3::RangeKind::kPart ? "HTTP/1.1 206 Partial Content\r\n"
                                                 "x-amz-request-id: "
                                               : "HTTP/1.1 200 OK\r\nx-amz-request-id: ")
      .Raw({request_id_.data(), request_id_.size()})
      .Raw("\r\n")
      .Raw(worker_.DateLine());
  if (HasOverrides(s.query)) {
    head.Raw(RenderMetaWithOverrides(meta, s.query));
  } else if (meta.rendered.empty()) {  // known from disk, not confirmed since
    head.Raw(RenderMeta(meta));
  } else {
    head.Raw(meta.rendered);
  }
  if (s.target.checksum_mode && range_.kind == s3::RangeKind::kWhole)
    if (const std::string* lines = object_->checksums()) head.Raw(*lines);
  head.Header("Content-Length", range_.length);
  if (range_.kind == s3::RangeKind::kPart) {
    std::array<char, 80> text;
    head.Header("Content-Range", s3::WriteContentRange(range_, meta.size, text));
  }
  constexpr std::string_view kWords[] = {"Accept-Ranges: bytes\r\nx-sluice-cache: hit\r\n",
                                         "Accept-Ranges: bytes\r\nx-sluice-cache: miss\r\n",
                                         "Accept-Ranges: bytes\r\nx-sluice-cache: revalidated\r\n"};
  head.Raw(kWords[static_cast<std::size_t>(cache_word_)]);
  if (HasBody()) keep_alive_ = false;
  if (!keep_alive_) head.Header("Connection", "close");
  outcome_ = Outcome::kOk;
  head_left_ = head.Finish();
  return !head_left_.empty();
}

}  // namespace sluice::serve
