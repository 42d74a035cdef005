#include "datapath/serve/list_job.h"

#include <fmt/format.h>

#include "datapath/http1/writer.h"
#include "datapath/serve/lists.h"

namespace sluice::serve {

using s3::ErrorCode;

void ListJob::Start() {
  Connection& c = connection_;
  Scratch& s = *c.scratch_;
  const bool v2 = s.target.operation == s3::Operation::kListObjectsV2;
  if (const s3::Error error = s3::ParseListRequest(s.query, v2, &asked_)) return c.SendError(error);
  const Directory::Resolution found =
      c.directory_->Resolve(*c.tenant_, s.target.bucket, asked_.prefix, s3::Access::kList);
  if (found.error) return c.SendError(found.error);
  c.mount_ = found.mount;
  const std::string& place = c.mount_->key_prefix;
  inside_ = asked_;
  inside_.prefix.erase(0, place.size());
  for (std::string* from : {&inside_.marker, &inside_.start_after}) {
    if (from->starts_with(place)) {
      from->erase(0, place.size());
    } else if (*from < place) {
      from->clear();  // everything in the mount comes after it
    } else {
      return Send(Render({}), "miss");
    }
  }
  question_ = fmt::format("{}\n{}\n{}\n{}\n{}\n{}\n{}\n{}\n{}", asked_.v2, asked_.prefix,
                          asked_.delimiter, asked_.max_keys, asked_.encode_url, asked_.marker,
                          asked_.continuation_token, asked_.start_after, asked_.fetch_owner);
  const ListCache::EntryPtr kept = c.worker_.lists().Get(*c.mount_, question_);
  const auto ttl = c.mount_->metadata_ttl;
  if (kept != nullptr && c.worker_.loop().Now() - kept->made_at < ttl)
    return Send(kept->xml, "hit");
  AskOrigin();
}

void ListJob::AskOrigin() {
  Connection& c = connection_;
  c.state_ = Connection::State::kJob;
  c.WaitStarts();
  c.stream_->SetDeadline(kOriginDeadline + kOriginDeadline);
  generation_ = c.worker_.lists().Generation(*c.mount_);
  asked_at_ = c.worker_.loop().Now();
  origin::Request request;
  request.bucket = c.mount_->origin_bucket;
  request.query = s3::OriginListQuery(inside_, c.mount_->origin_prefix);
  request.head_deadline = kOriginDeadline;
  collect_ = std::make_unique<Collect>(
      c.worker_.cache().pool(), *c.mount_->origin->metrics, OriginMetrics::Operation::kList,
      s3::kMaxXmlBytes, [this](Collect::Answer answer) { OnAnswer(std::move(answer)); });
  collect_->Start(c.worker_.upstream(), c.mount_->origin->name, std::move(request));
}

void ListJob::OnAnswer(Collect::Answer answer) {
  Connection& c = connection_;
  c.WaitEnds();
  if (!answer.status.ok() || answer.http_status >= 500) {
    // Static stability, as for objects: what is known is told while the origin is away.
    const ListCache::EntryPtr kept = c.worker_.lists().Get(*c.mount_, question_);
    if (kept != nullptr) {
      c.worker_.metrics().stale_served.Add();
      return Send(kept->xml, "hit");
    }
    return c.SendError({ErrorCode::kServiceUnavailable, "The origin does not answer."});
  }
  if (answer.http_status >= 400) {
    ErrorCode code = ErrorCodeOfAnswer(answer.http_status, answer.body);
    if (code == ErrorCode::kNoSuchKey) code = ErrorCode::kNoSuchBucket;
    return c.SendError({code, {}});
  }
  auto page = s3::ParseListPage(answer.body);
  if (!page.ok())
    return c.SendError({ErrorCode::kServiceUnavailable, "The origin's list could not be read."});
  auto entry = std::make_shared<ListCache::Entry>();
  entry->xml = Render(std::move(page).value());
  // The origin may have decided at once and answered late: a list is as old as its question.
  entry->made_at = asked_at_;
  c.worker_.lists().Put(*c.mount_, question_, generation_, entry);
  Send(entry->xml, "miss");
}

std::string ListJob::Render(s3::ListPage page) const {
  const Connection& c = connection_;
  const std::string_view bucket = c.scratch_->target.bucket;
  const std::string& place = c.mount_->key_prefix;
  s3::StripPrefix(c.mount_->origin_prefix, asked_.v2, &page);
  for (s3::ListedObject& object : page.objects) object.key.insert(0, place);
  for (std::string& prefix : page.common_prefixes) prefix.insert(0, place);
  if (!asked_.v2 && !page.next.empty()) page.next.insert(0, place);
  const auto elsewhere = [&](const std::string& name) {
    return c.directory_->MountOf(bucket, name) != c.mount_;
  };
  std::erase_if(page.objects, [&](const s3::ListedObject& o) { return elsewhere(o.key); });
  std::erase_if(page.common_prefixes, elsewhere);
  return s3::WriteListPage(bucket, asked_, page);
}

void ListJob::Send(std::string xml, std::string_view word) {
  Connection& c = connection_;
  http1::HeadWriter head(c.scratch_->out);
  head.StatusLine(200).Header("Content-Type", "application/xml").Header("x-sluice-cache", word);
  c.outcome_ = Outcome::kOk;
  c.SendAnswer(head, std::move(xml), true);
}

void ListJob::OnDeadline() {
  Detach();
  connection_.SendError({ErrorCode::kServiceUnavailable, "The origin did not answer in time."});
}

}  // namespace sluice::serve
