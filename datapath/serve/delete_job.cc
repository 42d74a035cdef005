#include "datapath/serve/delete_job.h"

#include <algorithm>
#include <atomic>

#include "datapath/http1/writer.h"
#include "datapath/s3/checksum.h"
#include "datapath/serve/lists.h"

namespace sluice::serve {
namespace {

using s3::ErrorCode;

constexpr std::size_t kMaxBodyBytes = 2 << 20;  // 1,000 keys of 1 KiB and their markup

}  // namespace

void DeleteJob::Start() {
  Connection& c = connection_;
  c.state_ = Connection::State::kJob;
  c.stream_->SetDeadline(kBodyDeadline);
  if (const s3::Error error = body_.Start(true)) return Fail(error);
  if (body_.length() > kMaxBodyBytes) return Fail({ErrorCode::kMalformedXml, {}});
  body_.Welcome();
  ReadBody();
}

void DeleteJob::Detach() { collect_.reset(); }

void DeleteJob::ReadBody() {
  while (stage_ == Stage::kBody) {
    const ClientBody::Step step = body_.Next();
    switch (step.state) {
      case ClientBody::State::kData:
        xml_ += step.data;
        break;
      case ClientBody::State::kDone:
        return Decide();
      case ClientBody::State::kError:
        return Fail(step.error);
      case ClientBody::State::kBlocked:
      case ClientBody::State::kGone:
        return;
    }
  }
}

void DeleteJob::Decide() {
  Connection& c = connection_;
  auto request = s3::ParseDeleteRequest(xml_);
  if (!request.ok()) return Fail({ErrorCode::kMalformedXml, {}});
  quiet_ = request->quiet;
  for (s3::DeleteEntry& entry : request->entries) {
    const Directory::Resolution found = c.directory_->Resolve(*c.tenant_, c.scratch_->target.bucket,
                                                              entry.key, s3::Access::kDelete);
    if (found.error || s3::HasDotSegment(entry.key)) {
      outcomes_.push_back({.key = entry.key,
                           .version_id = entry.version_id,
                           .error_code = "AccessDenied",
                           .error_message = "Access Denied"});
      continue;
    }
    auto batch = std::find_if(batches_.begin(), batches_.end(),
                              [&](const Batch& b) { return b.mount == found.mount; });
    if (batch == batches_.end()) batch = batches_.insert(batches_.end(), {found.mount, {}});
    batch->entries.push_back(std::move(entry));
  }
  stage_ = Stage::kForgettingFirst;
  ForgetAll();
}

// OnContinue() follows when no restart can bring back any of them.
void DeleteJob::ForgetAll() {
  Connection& c = connection_;
  c.stream_->SetDeadline(kOriginDeadline);
  std::size_t count = 1;
  for (const Batch& batch : batches_) count += batch.entries.size();
  auto left = std::make_shared<std::atomic<std::size_t>>(count);
  const auto one_done = [left, post = c.JobPoster()] {
    if (left->fetch_sub(1) == 1) post();
  };
  for (const Batch& batch : batches_) {
    c.worker_.lists().ForgetMount(*batch.mount);
    for (const s3::DeleteEntry& entry : batch.entries) {
      std::string name;
      Directory::AppendCacheName(*batch.mount, entry.key, &name);
      if (stage_ == Stage::kForgettingFirst) {
        c.worker_.cache().Invalidate(name, one_done);
      } else {
        c.worker_.cache().InvalidateAgain(name, one_done);
      }
    }
  }
  one_done();
}

void DeleteJob::OnContinue() {
  if (stage_ == Stage::kForgettingLast) return AnswerClient();
  stage_ = Stage::kAsking;
  AskNext();
}

void DeleteJob::AskNext() {
  Connection& c = connection_;
  if (next_batch_ == batches_.size()) {
    stage_ = Stage::kForgettingLast;
    return ForgetAll();
  }
  const Batch& batch = batches_[next_batch_];
  s3::DeleteRequest request;
  for (const s3::DeleteEntry& entry : batch.entries) {
    s3::DeleteEntry at_origin{.key = {}, .version_id = entry.version_id};
    Directory::AppendOriginKey(*batch.mount, entry.key, &at_origin.key);
    request.entries.push_back(std::move(at_origin));
  }
  origin::Request asked;
  asked.method = http1::Method::kPost;
  asked.bucket = batch.mount->origin_bucket;
  asked.query = "delete=";
  asked.body = s3::WriteDeleteRequest(request);
  asked.payload_sha256 = base::Sha256Hex(asked.body);
  s3::Checksum md5(s3::ChecksumKind::kMd5);
  md5.Update(asked.body);
  asked.headers.emplace_back("content-md5", md5.Base64());
  asked.headers.emplace_back("content-type", "application/xml");
  asked.head_deadline = kOriginDeadline + kOriginDeadline;
  c.stream_->SetDeadline(kOriginDeadline + kOriginDeadline);
  collect_ = std::make_unique<Collect>(
      c.worker_.cache().pool(), *batch.mount->origin->metrics, OriginMetrics::Operation::kWrite,
      s3::kMaxXmlBytes, [this](Collect::Answer answer) { OnAnswer(std::move(answer)); });
  collect_->Start(c.worker_.upstream(), batch.mount->origin->name, std::move(asked));
}

void DeleteJob::OnAnswer(Collect::Answer answer) {
  const Batch& batch = batches_[next_batch_++];
  auto results = answer.status.ok() && answer.http_status == 200
                     ? s3::ParseDeleteResult(answer.body)
                     : base::StatusOr<std::vector<s3::DeleteOutcome>>(
                           base::Unavailable("the origin did not delete"));
  if (!results.ok()) {
    const s3::ErrorInfo& told =
        s3::Describe(answer.status.ok() && answer.http_status >= 400
                         ? ErrorCodeOfAnswer(answer.http_status, answer.body)
                         : ErrorCode::kServiceUnavailable);
    for (const s3::DeleteEntry& entry : batch.entries)
      outcomes_.push_back({.key = entry.key,
                           .version_id = entry.version_id,
                           .error_code = std::string(told.code),
                           .error_message = std::string(told.message)});
    return AskNext();
  }
  for (s3::DeleteOutcome& outcome : *results) {
    if (!outcome.key.starts_with(batch.mount->origin_prefix)) continue;
    outcome.key.replace(0, batch.mount->origin_prefix.size(), batch.mount->key_prefix);
    outcomes_.push_back(std::move(outcome));
  }
  AskNext();
}

void DeleteJob::AnswerClient() {
  Connection& c = connection_;
  if (quiet_)
    std::erase_if(outcomes_, [](const s3::DeleteOutcome& o) { return o.error_code.empty(); });
  c.BodyWasRead(body_.end());
  http1::HeadWriter head(c.scratch_->out);
  head.StatusLine(200).Header("Content-Type", "application/xml");
  c.outcome_ = Outcome::kOk;
  c.SendAnswer(head, s3::WriteDeleteResult(outcomes_), true);
}

void DeleteJob::Fail(const s3::Error& error) {
  Detach();
  if (body_.done()) connection_.BodyWasRead(body_.end());
  connection_.SendError(error);
}

void DeleteJob::OnDeadline() {
  Fail(body_.done()
           ? s3::Error{ErrorCode::kServiceUnavailable, "The origin did not answer in time."}
           : s3::Error{ErrorCode::kRequestTimeout, {}});
}

}  // namespace sluice::serve
