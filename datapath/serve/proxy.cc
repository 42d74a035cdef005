#include "datapath/serve/proxy.h"

#include <fmt/format.h>

#include <algorithm>

#include "datapath/s3/sign.h"
#include "datapath/s3/uri.h"
#include "datapath/serve/lists.h"

namespace sluice::serve {
namespace {

using http1::HeaderId;
using s3::ErrorCode;
using s3::Operation;

std::string Lower(std::string_view text) {
  std::string lower(text);
  for (char& c : lower)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + 32);
  return lower;
}

void AddHeader(const http1::Header& line, origin::Request* request) {
  std::string name = Lower(line.name);
  std::string value(line.value);
  if (name == "content-encoding") {
    value = s3::WithoutAwsChunked(value);
    if (value.empty()) return;
  }
  // Repeated lines are one value to S3, and are signed as one.
  const auto same = std::ranges::find_if(
      request->headers, [&name](const auto& known) { return known.first == name; });
  if (same != request->headers.end()) {
    same->second += "," + value;
    return;
  }
  request->headers.emplace_back(std::move(name), std::move(value));
}

}  // namespace

Proxy::~Proxy() = default;

bool Proxy::Writes() const {
  switch (connection_.scratch_->target.operation) {
    case Operation::kPutObject:
    case Operation::kCopyObject:
    case Operation::kDeleteObject:
    case Operation::kCompleteMultipartUpload:
      return true;
    default:
      return false;
  }
}

void Proxy::Start() {
  Connection& c = connection_;
  Scratch& s = *c.scratch_;
  c.state_ = Connection::State::kJob;
  c.stream_->SetDeadline(kOriginDeadline);
  if (const s3::Error error = BuildRequest(&request_)) return Fail(error);
  const Operation operation = s.target.operation;
  const bool covers = operation == Operation::kPutObject || operation == Operation::kUploadPart;
  if (const s3::Error error = body_.Start(covers)) return Fail(error);
  if (!body_.done()) {
    request_.stream_bytes = body_.length();
    if (!body_.payload().trailer_name().empty()) {
      FrameUpload();
    } else if (!c.HasBody()) {  // nothing will come: what is promised of nothing is checked now
      if (const ClientBody::Step step = body_.Next(); step.state == ClientBody::State::kError)
        return Fail(step.error);
    }
  }
  if (!Writes()) return BeginExchange();
  // The exchange begins when no restart can bring back what is about to be overwritten.
  c.worker_.lists().ForgetMount(*c.mount_);
  c.worker_.cache().Invalidate(s.cache_name, c.JobPoster());
}

void Proxy::OnContinue() {
  if (status_ == 0) {
    BeginExchange();
  } else {
    AnswerCollected();
  }
}

s3::Error Proxy::BuildRequest(origin::Request* request) {
  const Connection& c = connection_;
  const Scratch& s = *c.scratch_;
  const http1::Request& from = s.parser.request();
  request->method = from.method;
  request->bucket = c.mount_->origin_bucket;
  request->key = Directory::OriginKeyOf(s.cache_name);
  s3::QueryBuilder query;
  for (const s3::QueryParam& parameter : s.query) {
    // The signature's own, a checksum mode (below), and checksums that mean nothing in a query.
    constexpr std::string_view kAmz = "x-amz-";
    const bool dropped = http1::EqualsIgnoreCase(parameter.name.substr(0, kAmz.size()), kAmz) ||
                         parameter.name == "x-id";
    if (!dropped) query.AddRaw(parameter.name, parameter.value);
  }
  request->query = query.Build();
  for (const http1::Header& line : from.headers) {
    switch (s3::FateOf(s.target.operation, line.name, line.value)) {
      case s3::HeaderFate::kForward:
        AddHeader(line, request);
        break;
      case s3::HeaderFate::kRefuse:
        return {ErrorCode::kNotImplemented, "A header of this request is not supported."};
      case s3::HeaderFate::kDrop:
        break;
    }
  }
  const bool read =
      s.target.operation == Operation::kGetObject || s.target.operation == Operation::kHeadObject;
  if (read) {
    if (s.target.checksum_mode && !from.headers.Has(HeaderId::kAmzChecksumMode))
      request->headers.emplace_back("x-amz-checksum-mode", "ENABLED");
    for (const HeaderId id : {HeaderId::kRange, HeaderId::kIfMatch, HeaderId::kIfNoneMatch,
                              HeaderId::kIfModifiedSince, HeaderId::kIfUnmodifiedSince})
      if (from.headers.Has(id))
        request->headers.emplace_back(http1::HeaderName(id), from.headers.Get(id));
  }
  const bool copies = s.target.operation == Operation::kCopyObject ||
                      s.target.operation == Operation::kUploadPartCopy;
  return copies ? AddCopySource(request) : s3::Error{};
}

// The source goes through the same tenant's mounts as any name: it is signed with our key.
s3::Error Proxy::AddCopySource(origin::Request* request) {
  const Connection& c = connection_;
  s3::CopySource source;
  if (const s3::Error error = s3::ParseCopySource(
          c.scratch_->parser.request().headers.Get(HeaderId::kAmzCopySource), &source))
    return error;
  const Directory::Resolution found =
      c.directory_->Resolve(*c.tenant_, source.bucket, source.key, s3::Access::kRead);
  if (found.error) return found.error;
  if (found.mount->origin != c.mount_->origin)
    return {ErrorCode::kNotImplemented, "Copying between origins is not supported."};
  std::string key;
  Directory::AppendOriginKey(*found.mount, source.key, &key);
  std::string encoded(3 * key.size() + 1, '\0');
  const auto path = s3::Encode(key, s3::UriPart::kPath, std::span<char>(encoded));
  if (!path) return {ErrorCode::kInvalidArgument, {}};
  std::string value = fmt::format("/{}/{}", found.mount->origin_bucket, *path);
  if (!source.version_id.empty()) value += fmt::format("?versionId={}", source.version_id);
  request->headers.emplace_back("x-amz-copy-source", std::move(value));
  return {};
}

void Proxy::BeginExchange() {
  Connection& c = connection_;
  c.stream_->SetDeadline(kBodyDeadline);
  exchange_ = c.worker_.upstream().Start(c.mount_->origin->name, std::move(request_), this);
  body_.Welcome();
}

// ---- the client's body, towards the origin ----

void Proxy::FrameUpload() {
  const std::string_view name = body_.payload().trailer_name();
  const std::uint64_t length = body_.length();
  framing_ = Framing::kHead;
  frame_ = length > 0 ? fmt::format("{:x}\r\n", length) : std::string();
  const std::size_t tail = (length > 0 ? 2 : 0) + 3 + name.size() + 1 +
                           body_.payload().trailer_value_bytes() + 4;  // see NextUpload
  request_.stream_bytes = frame_.size() + length + tail;
  request_.payload_sha256 = "STREAMING-UNSIGNED-PAYLOAD-TRAILER";
  std::string coding = "aws-chunked";
  std::erase_if(request_.headers, [&](const auto& line) {
    if (line.first != "content-encoding") return false;
    coding += "," + line.second;
    return true;
  });
  request_.headers.emplace_back("content-encoding", std::move(coding));
  request_.headers.emplace_back("x-amz-decoded-content-length", std::to_string(length));
  request_.headers.emplace_back("x-amz-trailer", name);
}

// The next piece for the origin into upload_; false: none now, or an answer was given.
bool Proxy::NextUpload() {
  if (framing_ == Framing::kHead) {
    framing_ = Framing::kBody;
    upload_ = frame_;
    return true;
  }
  const ClientBody::Step step = body_.Next();
  if (step.state == ClientBody::State::kError) {
    Fail(step.error);
    return false;
  }
  if (step.state == ClientBody::State::kDone && framing_ == Framing::kBody) {
    framing_ = Framing::kTail;
    frame_ = fmt::format("{}0\r\n{}:{}\r\n\r\n", body_.length() > 0 ? "\r\n" : "",
                         body_.payload().trailer_name(), body_.payload().trailer_value());
    upload_ = frame_;
    return true;
  }
  upload_ = step.data;
  return step.state == ClientBody::State::kData;
}

void Proxy::PumpUpload() {
  Connection& c = connection_;
  while (exchange_ != nullptr) {
    if (!upload_.empty()) {
      const std::size_t taken = exchange_->Send(upload_);
      c.mount_->origin->metrics->bytes_out->Add(taken);
      upload_.remove_prefix(taken);
      if (!upload_.empty()) return;  // OnSendable follows
    }
    if (!NextUpload()) return;
  }
}

void Proxy::OnSendable() { PumpUpload(); }

void Proxy::OnClientReadable() {
  if (upload_.empty()) PumpUpload();
}

void Proxy::Fail(const s3::Error& error) {
  exchange_.reset();
  if (mode_ == Mode::kStream) return connection_.Close();
  if (body_.done() && body_.end() > 0) connection_.BodyWasRead(body_.end());
  connection_.SendError(error);
}

void Proxy::End() {
  Connection& c = connection_;
  if (body_.done() && body_.end() > 0) c.BodyWasRead(body_.end());
  c.state_ = Connection::State::kAnswer;
  c.NextRequest();
}

void Proxy::OnDeadline() {
  if (mode_ == Mode::kStream) return connection_.Close();
  Fail(body_.done()
           ? s3::Error{ErrorCode::kServiceUnavailable, "The origin did not answer in time."}
           : s3::Error{ErrorCode::kRequestTimeout, {}});
}

}  // namespace sluice::serve
