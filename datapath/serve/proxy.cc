#include "datapath/serve/proxy.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "controller/base/log.h"
#include "datapath/http1/writer.h"
#include "datapath/s3/documents.h"
#include "datapath/s3/range.h"
#include "datapath/s3/sign.h"
#include "datapath/s3/uri.h"
#include "datapath/serve/collect.h"
#include "datapath/serve/lists.h"

namespace sluice::serve {
namespace {

using http1::HeaderId;
using s3::ErrorCode;
using s3::Operation;

// A part whose length is not what its Content-Range says: no client could tell what it got.
bool Contradicts(const http1::Response& response) {
  if (!response.headers.Has(HeaderId::kContentRange)) return false;  // several parts
  std::uint64_t first = 0, last = 0, size = 0;
  return !s3::ParseContentRange(response.headers.Get(HeaderId::kContentRange), &first, &last,
                                &size) ||
         last < first ||
         (response.has_content_length && response.content_length != last - first + 1);
}

// Answers that are read whole before they go out: errors, and XML that names the object.
constexpr std::size_t kMaxCollectedBytes = 1 << 20;

// Lines of an origin's answer that are the client's business.
bool IsForwarded(std::string_view name) {
  constexpr std::array<std::string_view, 12> kNames = {
      "etag",          "last-modified",       "content-type",     "content-range",
      "cache-control", "content-disposition", "content-encoding", "content-language",
      "expires",       "accept-ranges",       "x-amz-version-id", "x-amz-delete-marker"};
  if (name.size() > 6 && http1::EqualsIgnoreCase(name.substr(0, 6), "x-amz-"))
    return !http1::EqualsIgnoreCase(name, "x-amz-request-id") &&
           !http1::EqualsIgnoreCase(name, "x-amz-id-2") &&
           !http1::EqualsIgnoreCase(name, "x-amz-bucket-region");
  return std::any_of(kNames.begin(), kNames.end(),
                     [&](std::string_view known) { return http1::EqualsIgnoreCase(name, known); });
}

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
  if (!body_.done()) request_.stream_bytes = body_.length();
  if (!body_.done() && !body_.payload().trailer_name().empty()) FrameUpload();
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
    const bool signing = parameter.name.starts_with("X-Amz-") || parameter.name == "x-id";
    if (!signing) query.AddRaw(parameter.name, parameter.value);
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
    for (const HeaderId id : {HeaderId::kRange, HeaderId::kIfMatch, HeaderId::kIfNoneMatch,
                              HeaderId::kIfModifiedSince, HeaderId::kIfUnmodifiedSince})
      if (from.headers.Has(id))
        request->headers.emplace_back(http1::HeaderName(id), from.headers.Get(id));
  }
  const bool copies = s.target.operation == Operation::kCopyObject ||
                      s.target.operation == Operation::kUploadPartCopy;
  return copies ? AddCopySource(request) : s3::Error{};
}

// The source goes through the same tenant's mounts as any name (DESIGN.md §6).
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

// ---- the origin's answer, towards the client ----

void Proxy::OnHead(const http1::Response& response) {
  Connection& c = connection_;
  status_ = response.status;
  const Operation operation = c.scratch_->target.operation;
  const bool read = operation == Operation::kGetObject || operation == Operation::kHeadObject;
  c.mount_->origin->metrics->Count(
      read ? (c.head_only_ ? OriginMetrics::Operation::kHead : OriginMetrics::Operation::kGet)
           : OriginMetrics::Operation::kWrite,
      OriginResultOf(status_));
  if (!body_.done()) c.keep_alive_ = false;  // the rest of the body is not read
  if (status_ == 206 && !c.head_only_ && Contradicts(response))
    return Fail({ErrorCode::kServiceUnavailable, "The origin's answer contradicts itself."});
  for (const http1::Header& line : response.headers) {
    if (!IsForwarded(line.name)) continue;
    head_lines_ += fmt::format("{}: {}\r\n", line.name, line.value);
  }
  mode_ = read && status_ < 400 ? Mode::kStream : Mode::kCollect;
  if (mode_ == Mode::kCollect) return;

  std::array<char, http1::kMaxHeadBytes + 1024> buffer;
  http1::HeadWriter head(buffer);
  head.StatusLine(status_)
      .Header("x-amz-request-id", std::string_view(c.request_id_.data(), c.request_id_.size()))
      .Raw(c.worker_.DateLine())
      .Raw(head_lines_);
  if (response.has_content_length) {
    head.Header("Content-Length", response.content_length);
  } else if (response.body != http1::BodyKind::kNone) {
    chunked_ = true;
    head.Header("Transfer-Encoding", "chunked");
  }
  head.Raw("x-sluice-cache: miss\r\n");
  if (!c.keep_alive_) head.Header("Connection", "close");
  c.outcome_ = OutcomeOf(status_);
  out_ = head.Finish();
  PumpOut();
}

void Proxy::OnData(std::span<const char> bytes) {
  Connection& c = connection_;
  c.mount_->origin->metrics->bytes_in->Add(bytes.size());
  if (mode_ == Mode::kCollect) {
    if (collected_.size() + bytes.size() > kMaxCollectedBytes)
      return Fail({ErrorCode::kInternalError, "The origin's answer is too long."});
    collected_.append(bytes.data(), bytes.size());
    return;
  }
  c.tenant_->metrics->bytes_origin->Add(bytes.size());
  if (out_sent_ == out_.size()) {
    out_.clear();
    out_sent_ = 0;
  }
  if (chunked_) out_ += fmt::format("{:x}\r\n", bytes.size());
  out_.append(bytes.data(), bytes.size());
  if (chunked_) out_ += "\r\n";
  PumpOut();
}

void Proxy::PumpOut() {
  Connection& c = connection_;
  while (out_sent_ < out_.size()) {
    const net::IoResult sent =
        c.stream_->Write(std::span<const char>(out_).subspan(out_sent_), !origin_done_);
    if (sent.blocked()) {
      if (!paused_ && !origin_done_ && exchange_ != nullptr) {
        paused_ = true;
        exchange_->Pause();
      }
      c.stream_->SetDeadline(kSendDeadline);
      return;
    }
    if (!sent.ok()) return c.Close();
    out_sent_ += sent.bytes;
    c.stream_->SetDeadline(kSendDeadline);
  }
  out_.clear();
  out_sent_ = 0;
  if (origin_done_) return End();
  if (paused_) {
    paused_ = false;
    exchange_->Resume();
  }
}

void Proxy::OnClientWritable() {
  if (mode_ == Mode::kStream) PumpOut();
}

void Proxy::OnDone(const base::Status& status) {
  Connection& c = connection_;
  if (!status.ok()) {
    if (c.worker_.proxy_log_limit().Allow(c.worker_.loop().Now()))
      base::log::Warn("passing a request through failed",
                      {{"origin", c.mount_->origin->name},
                       {"error", status},
                       {"suppressed", c.worker_.proxy_log_limit().suppressed()}});
    if (status_ == 0) {
      const bool read = c.scratch_->target.operation == Operation::kGetObject ||
                        c.scratch_->target.operation == Operation::kHeadObject;
      c.mount_->origin->metrics->Count(
          read ? OriginMetrics::Operation::kGet : OriginMetrics::Operation::kWrite,
          OriginMetrics::Result::kUnreachable);
    }
    if (mode_ == Mode::kStream) return c.Close();
    return Fail({ErrorCode::kServiceUnavailable, "The origin does not answer."});
  }
  origin_done_ = true;
  if (mode_ == Mode::kStream) {
    if (chunked_) out_ += "0\r\n\r\n";
    return PumpOut();
  }
  FinishCollected();
}

// A write's effect must be seen by the reads that follow its answer.
void Proxy::FinishCollected() {
  Connection& c = connection_;
  if (!Writes()) return AnswerCollected();
  c.worker_.lists().ForgetMount(*c.mount_);
  c.worker_.cache().InvalidateAgain(c.scratch_->cache_name, c.JobPoster());
}

void Proxy::AnswerCollected() {
  Connection& c = connection_;
  if (status_ >= 400) {
    return Fail({ErrorCodeOfAnswer(status_, collected_), {}});
  }
  if (status_ == 304) return Fail({ErrorCode::kNotModified, {}});
  std::string body;
  if (!collected_.empty()) {
    const s3::Target& target = c.scratch_->target;
    auto renamed = s3::RenameObject(collected_, target.bucket, target.key);
    if (!renamed.ok())
      return Fail({ErrorCode::kInternalError, "The origin's answer could not be read."});
    body = std::move(renamed).value();
  }
  const bool no_content = status_ == 204;
  if (!body_.done()) c.keep_alive_ = false;
  std::array<char, http1::kMaxHeadBytes + 1024> buffer;
  http1::HeadWriter head(buffer);
  head.StatusLine(status_)
      .Header("x-amz-request-id", std::string_view(c.request_id_.data(), c.request_id_.size()))
      .Raw(c.worker_.DateLine())
      .Raw(head_lines_);
  if (!no_content) head.Header("Content-Length", static_cast<std::uint64_t>(body.size()));
  if (!c.keep_alive_) head.Header("Connection", "close");
  c.outcome_ = Outcome::kOk;
  out_ = head.Finish();
  out_ += body;
  origin_done_ = true;
  mode_ = Mode::kStream;
  PumpOut();
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
