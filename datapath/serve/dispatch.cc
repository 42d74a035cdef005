// From a parsed head to what is done about it: operation, identity, mount. Part of Connection.
#include <memory>

#include "datapath/s3/operation.h"
#include "datapath/s3/sigv4_verify.h"
#include "datapath/s3/xml.h"
#include "datapath/serve/connection.h"
#include "datapath/serve/proxy.h"

namespace sluice::serve {
namespace {

using s3::ErrorCode;
using s3::Operation;

constexpr std::string_view kXmlNamespace = "xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"";

}  // namespace

void Connection::Dispatch() {
  Scratch& s = *scratch_;
  const http1::Request& request = s.parser.request();
  // These are filled once each; their buffers are left as they are.
  std::construct_at(&s.query);
  std::construct_at(&s.auth);
  std::construct_at(&s.target);
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
  const s3::Error refused =
      s3::Verify(request, s.query, s.auth, signer, worker_.loop().clock().Wall(), &worker_.keys());
  if (refused) return refused;
  tenant_ = key->tenant;
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
  if (!read) return StartProxy();
  if (s.target.sse_customer || s.target.version_id != nullptr || s.target.part_number != 0)
    return StartProxy();
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
      return StartList();
    case Operation::kDeleteObjects:
      return StartDeleteObjects();
    default:
      // Buckets come from mounts, and mounts from the configuration.
      return SendError({ErrorCode::kAccessDenied, {}});
  }
}

void Connection::AnswerListBuckets() {
  std::string body(4096 + 256 * directory_->config().mounts.size(), '\0');
  s3::XmlWriter xml{std::span<char>(body)};
  xml.Declaration();
  xml.Open(std::string("ListAllMyBucketsResult ") + std::string(kXmlNamespace));
  xml.Open("Owner");
  xml.Element("ID", tenant_->name);
  xml.Element("DisplayName", tenant_->name);
  xml.Close("Owner");
  xml.Open("Buckets");
  for (const std::string_view bucket : directory_->Buckets(*tenant_)) {
    xml.Open("Bucket");
    xml.Element("Name", bucket);
    xml.Element("CreationDate", "1970-01-01T00:00:00.000Z");  // mounts have no birthday
    xml.Close("Bucket");
  }
  xml.Close("Buckets");
  xml.Close("ListAllMyBucketsResult");
  body.resize(xml.size());
  http1::HeadWriter head(scratch_->out);
  head.StatusLine(200).Header("Content-Type", "application/xml");
  SendAnswer(head, std::move(body), true);
}

void Connection::AnswerHeadBucket() {
  http1::HeadWriter head(scratch_->out);
  head.StatusLine(200).Header("x-amz-bucket-region", directory_->config().s3_region);
  SendAnswer(head, {}, true);
}

void Connection::AnswerLocation() {
  const std::string& region = directory_->config().s3_region;
  std::string body(1024 + region.size(), '\0');
  s3::XmlWriter xml{std::span<char>(body)};
  xml.Declaration();
  // us-east-1 has no name here; that is S3's history, and clients expect it.
  xml.Element(std::string("LocationConstraint ") + std::string(kXmlNamespace),
              region == "us-east-1" ? std::string_view() : std::string_view(region));
  body.resize(xml.size());
  http1::HeadWriter head(scratch_->out);
  head.StatusLine(200).Header("Content-Type", "application/xml");
  SendAnswer(head, std::move(body), true);
}

}  // namespace sluice::serve
