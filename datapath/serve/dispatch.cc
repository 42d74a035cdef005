// From a parsed head to what is done about it: operation, identity, mount. Part of Connection.
#include <memory>

#include "datapath/s3/documents.h"
#include "datapath/s3/operation.h"
#include "datapath/s3/sigv4_verify.h"
#include "datapath/serve/connection.h"
#include "datapath/serve/delete_job.h"
#include "datapath/serve/list_job.h"
#include "datapath/serve/proxy.h"

namespace sluice::serve {
namespace {

using s3::ErrorCode;
using s3::Operation;

}  // namespace

void Connection::Dispatch() {
  Scratch& s = *scratch_;
  const http1::Request& request = s.parser.request();
  // Begun anew, but their buffers are left as they are (`T()` would clear them first). The query
  // begins anew in Parse().
  new (&s.auth) s3::Auth;
  new (&s.target) s3::Target;
  if (const s3::Error error = s.query.Parse(request.query)) return SendError(error);
  const s3::Error classified = s3::Classify(request, s.query, {}, &s.target);
  if (!classified) verb_ = VerbOf(s.target.operation);
  // Identity comes before the operation's own errors: strangers learn nothing from them.
  std::string_view region;
  if (const s3::Error error = Identify(&region)) return SendError(error, region);
  if (classified) return SendError(classified);
  if (directory_ == nullptr)
    return SendError({ErrorCode::kServiceUnavailable, "The agent has no configuration yet."});
  switch (s.target.operation) {
    case Operation::kListBuckets:
      return AnswerListBuckets();
    case Operation::kHeadBucket:
    case Operation::kGetBucketLocation:
    case Operation::kListObjectsV1:
    case Operation::kListObjectsV2:
    case Operation::kListMultipartUploads:
    case Operation::kCreateBucket:
    case Operation::kDeleteBucket:
    case Operation::kDeleteObjects:
      return DispatchBucket();
    default:
      return DispatchObject();
  }
}

s3::Error Connection::Identify(std::string_view* region) {
  Scratch& s = *scratch_;
  const http1::Request& request = s.parser.request();
  const base::WallTime now = worker_.TurnWall();
  const std::string_view authorization = request.headers.Get(http1::HeaderId::kAuthorization);
  SignerTable::Entry* const known = worker_.signers().Find(authorization);
  if (known != nullptr && known->signer.Verify(request, s.query, now, &s.auth)) {
    *region = directory_->config().s3_region;
    tenant_ = known->key->tenant;
    return {};
  }
  if (known != nullptr) new (&s.auth) s3::Auth;  // read anew, for the error's sake
  if (const s3::Error error = s3::ParseAuth(request, s.query, &s.auth)) return error;
  if (s.auth.kind == s3::AuthKind::kAnonymous) return {ErrorCode::kAccessDenied, {}};
  if (directory_ == nullptr)
    return {ErrorCode::kServiceUnavailable, "The agent has no configuration yet."};
  const KeyEntry* key = directory_->FindKey(s.auth.access_key_id);
  if (key == nullptr) return {ErrorCode::kInvalidAccessKeyId, {}};
  const std::string& wanted = directory_->config().s3_region;
  *region = wanted;
  const s3::Signer signer{.secret_access_key = key->credentials.secret_access_key,
                          .session_token = key->credentials.session_token,
                          .region = wanted};
  if (const s3::Error refused = s3::Verify(request, s.query, s.auth, signer, now, &worker_.keys()))
    return refused;
  tenant_ = key->tenant;
  if (known != nullptr || directory_ != worker_.directory()) return {};
  const s3::SigningKey& derived = worker_.keys().Get(signer.secret_access_key, s.auth.date, wanted);
  if (auto signer_now = s3::KnownSigner::Make(authorization, s.auth, derived))
    worker_.signers().Remember(authorization, *std::move(signer_now), key);
  return {};
}

void Connection::DispatchObject() {
  Scratch& s = *scratch_;
  const s3::Access access = s3::NeededAccess(s.target.operation);
  const Directory::Resolution found =
      directory_->Resolve(*tenant_, s.target.bucket, s.target.key, access);
  if (found.error) return SendError(found.error);
  mount_ = found.mount;
  s.cache_name.clear();
  Directory::AppendCacheName(*mount_, s.target.key, &s.cache_name);
  const bool read =
      s.target.operation == Operation::kGetObject || s.target.operation == Operation::kHeadObject;
  if (!read) return StartJob<Proxy>();
  if (s.target.sse_customer || s.target.version_id != nullptr || s.target.part_number != 0)
    return StartJob<Proxy>();
  StartObject(false);
}

void Connection::DispatchBucket() {
  Scratch& s = *scratch_;
  if (const s3::Error error = directory_->ResolveBucket(*tenant_, s.target.bucket))
    return SendError(error);
  switch (s.target.operation) {
    case Operation::kHeadBucket:
      return AnswerHeadBucket();
    case Operation::kGetBucketLocation:
      return AnswerLocation();
    case Operation::kListObjectsV1:
    case Operation::kListObjectsV2:
      return StartJob<ListJob>();
    case Operation::kDeleteObjects:
      return StartJob<DeleteJob>();
    default:
      // Buckets come from mounts, and mounts from the configuration.
      return SendError({ErrorCode::kAccessDenied, {}});
  }
}

void Connection::AnswerListBuckets() {
  const std::string& region = directory_->config().s3_region;
  s3::BucketPage page;
  if (const s3::Error error = s3::ReadBucketPage(scratch_->query, region, &page))
    return SendError(error);
  std::vector<s3::NamedBucket> buckets;
  for (const std::string_view name : directory_->Buckets(*tenant_))
    buckets.push_back({std::string(name), "1970-01-01T00:00:00.000Z"});  // mounts have no birthday
  http1::HeadWriter head(scratch_->out);
  head.StatusLine(200).Header("Content-Type", "application/xml");
  SendAnswer(head, s3::WriteBuckets(tenant_->name, page, buckets), true);
}

void Connection::AnswerHeadBucket() {
  http1::HeadWriter head(scratch_->out);
  head.StatusLine(200).Header("x-amz-bucket-region", directory_->config().s3_region);
  SendAnswer(head, {}, true);
}

void Connection::AnswerLocation() {
  http1::HeadWriter head(scratch_->out);
  head.StatusLine(200).Header("Content-Type", "application/xml");
  SendAnswer(head, s3::WriteLocation(directory_->config().s3_region), true);
}

template <typename Kind>
void Connection::StartJob() {
  auto job = std::make_unique<Kind>(*this);
  Kind& started = *job;
  job_ = std::move(job);
  started.Start();
}

void Connection::StartProxy() { StartJob<Proxy>(); }

}  // namespace sluice::serve
