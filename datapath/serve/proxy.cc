#include "datapath/serve/proxy.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "controller/base/log.h"
#include "datapath/http1/writer.h"
#include "datapath/s3/sign.h"
#include "datapath/s3/sigv4_verify.h"
#include "datapath/s3/uri.h"
#include "datapath/s3/xml.h"
#include "datapath/serve/lists.h"

namespace sluice::serve {
namespace {

using http1::HeaderId;
using s3::ErrorCode;
using s3::Operation;

// Answers that are read whole before they go out: errors, and XML that names the object.
constexpr std::size_t kMaxCollectedBytes = 1 << 20;
constexpr std::size_t kPauseBytes = 256 << 10;

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

// The text of the first <name> element; empty when there is none.
std::string_view ElementOf(std::string_view xml, std::string_view name) {
  const std::string open = fmt::format("<{}>", name);
  const std::size_t begin = xml.find(open);
  if (begin == std::string_view::npos) return {};
  const std::size_t end = xml.find('<', begin + open.size());
  if (end == std::string_view::npos) return {};
  return xml.substr(begin + open.size(), end - begin - open.size());
}

void ReplaceElement(std::string* xml, std::string_view name, std::string_view text) {
  const std::string_view old = ElementOf(*xml, name);
  if (old.data() == nullptr) return;
  std::string escaped(6 * text.size() + 16, '\0');
  s3::XmlWriter writer{std::span<char>(escaped)};
  writer.Element("t", text);
  const std::string_view element = writer.text();
  const std::string_view inner = ElementOf(element, "t");
  xml->replace(static_cast<std::size_t>(old.data() - xml->data()), old.size(),
               std::string(inner.data() == nullptr ? std::string_view() : inner));
}

// What to tell when the origin's own word is not known.
ErrorCode CodeOfStatus(int status) {
  switch (status) {
    case 401:
    case 403:
      return ErrorCode::kAccessDenied;
    case 404:
      return ErrorCode::kNoSuchKey;
    case 412:
      return ErrorCode::kPreconditionFailed;
    case 416:
      return ErrorCode::kInvalidRange;
    case 429:
    case 503:
      return ErrorCode::kSlowDown;
    case 501:
      return ErrorCode::kNotImplemented;
    default:
      return status < 500 ? ErrorCode::kInvalidRequest : ErrorCode::kServiceUnavailable;
  }
}

OriginMetrics::Result ResultOf(int status) {
  if (status < 400) return OriginMetrics::Result::kOk;
  if (status == 404) return OriginMetrics::Result::kNotFound;
  return status < 500 ? OriginMetrics::Result::kClientError : OriginMetrics::Result::kServerError;
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
  const http1::Request& request = s.parser.request();
  head_only_ = c.head_only_;
  c.state_ = Connection::State::kProxy;
  body_begin_ = s.in_begin + c.head_bytes_;
  if (const s3::Error error = BuildRequest(&request_)) return Fail(error);
  has_upload_ = c.HasBody();
  if (has_upload_ || request.method == http1::Method::kPut ||
      request.method == http1::Method::kPost) {
    const KeyEntry* key = c.directory_->FindKey(s.auth.access_key_id);
    const s3::SigningKey& signing =
        c.worker_.keys().Get(key->credentials.secret_access_key, s.auth.date, s.auth.region);
    const Operation operation = s.target.operation;
    const bool covers = operation == Operation::kPutObject || operation == Operation::kUploadPart;
    if (const s3::Error error = payload_.Start(request, s.auth, &signing, covers))
      return Fail(error);
    if (has_upload_ || payload_.length() > 0 || covers) {
      has_upload_ = true;
      request_.stream_bytes = payload_.length();
    }
  }
  upload_done_ = !has_upload_;
  if (!Writes()) return BeginExchange();
  // The exchange begins when no restart can bring back what is about to be overwritten.
  c.stream_->SetDeadline(kOriginDeadline);
  Worker* const worker = &c.worker_;
  worker->lists().ForgetMount(*c.mount_);
  worker->cache().Invalidate(s.cache_name, [worker, id = c.id_, number = c.request_number_] {
    worker->loop().Post([worker, id, number] {
      Connection* found = worker->Find(id);
      if (found != nullptr && found->request_number_ == number && found->proxy_ != nullptr)
        found->proxy_->BeginExchange();
    });
  });
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
        request->headers.emplace_back(Lower(line.name), line.value);
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
  if (has_upload_ && c.scratch_->parser.request().expect_continue && payload_.length() > 0)
    c.stream_->Write(std::string_view("HTTP/1.1 100 Continue\r\n\r\n"), false);
}

// ---- the client's body, towards the origin ----

bool Proxy::ReadClient() {
  Connection& c = connection_;
  Scratch& s = *c.scratch_;
  const std::size_t head_end = s.in_begin + c.head_bytes_;
  if (body_begin_ < s.in_end) return true;
  body_begin_ = s.in_end = head_end;  // all of it was used
  const net::IoResult got =
      c.stream_->Read(std::span<char>(s.in.data() + head_end, s.in.size() - head_end));
  if (got.blocked()) return false;
  if (!got.ok()) {
    c.Close();
    return false;
  }
  s.in_end += got.bytes;
  c.stream_->SetDeadline(kBodyDeadline);
  return true;
}

void Proxy::PumpUpload() {
  Connection& c = connection_;
  while (!upload_done_ && exchange_ != nullptr) {
    if (!upload_.empty()) {
      const std::size_t taken = exchange_->Send(upload_);
      c.mount_->origin->metrics->bytes_out->Add(taken);
      upload_.remove_prefix(taken);
      if (!upload_.empty()) return;  // OnSendable follows
    }
    const Scratch& s = *c.scratch_;
    const std::string_view in(s.in.data() + body_begin_, s.in_end - body_begin_);
    const s3::PayloadReader::Step step = payload_.Next(in);
    body_begin_ += step.consumed;
    using State = s3::PayloadReader::State;
    if (step.state == State::kError) return Fail(step.error);
    if (step.state == State::kDone) {
      upload_done_ = true;
    } else if (step.state == State::kData) {
      upload_ = step.data;
    } else if (!ReadClient()) {
      return;
    }
  }
}

void Proxy::OnSendable() { PumpUpload(); }

void Proxy::OnClientReadable() {
  if (exchange_ != nullptr && upload_.empty()) PumpUpload();
}

// ---- the origin's answer, towards the client ----

void Proxy::OnHead(const http1::Response& response) {
  Connection& c = connection_;
  status_ = response.status;
  const Operation operation = c.scratch_->target.operation;
  const bool read = operation == Operation::kGetObject || operation == Operation::kHeadObject;
  c.mount_->origin->metrics->Count(
      read ? (head_only_ ? OriginMetrics::Operation::kHead : OriginMetrics::Operation::kGet)
           : OriginMetrics::Operation::kWrite,
      ResultOf(status_));
  if (!upload_done_) c.keep_alive_ = false;  // the rest of the body is not read
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
  if (origin_done_) return EndInput();
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
    base::log::Warn("passing a request through failed",
                    {{"origin", c.mount_->origin->name}, {"error", status}});
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
  Worker* const worker = &c.worker_;
  worker->lists().ForgetMount(*c.mount_);
  worker->cache().Invalidate(
      c.scratch_->cache_name, [worker, id = c.id_, number = c.request_number_] {
        worker->loop().Post([worker, id, number] {
          Connection* found = worker->Find(id);
          if (found != nullptr && found->request_number_ == number && found->proxy_ != nullptr)
            found->proxy_->AnswerCollected();
        });
      });
}

void Proxy::AnswerCollected() {
  Connection& c = connection_;
  if (status_ >= 400) {
    ErrorCode code = s3::ErrorCodeFromName(ElementOf(collected_, "Code"));
    if (code == ErrorCode::kNone) code = CodeOfStatus(status_);
    return Fail({code, {}});
  }
  if (status_ == 304) return Fail({ErrorCode::kNotModified, {}});
  std::string body = ToClientTerms(std::move(collected_));
  const bool no_content = status_ == 204;
  if (!upload_done_) c.keep_alive_ = false;
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

std::string Proxy::ToClientTerms(std::string body) const {
  const s3::Target& target = connection_.scratch_->target;
  if (body.empty()) return body;
  ReplaceElement(&body, "Location", fmt::format("/{}/{}", target.bucket, target.key));
  ReplaceElement(&body, "Bucket", target.bucket);
  ReplaceElement(&body, "Key", target.key);
  return body;
}

void Proxy::Fail(const s3::Error& error) {
  Connection& c = connection_;
  exchange_.reset();
  if (mode_ == Mode::kStream) return c.Close();
  if (!upload_done_) c.keep_alive_ = false;
  // What is left of the body's framing is not looked for; an error after the whole body keeps the
  // connection.
  c.SendErrorFromProxy(error, upload_done_ ? body_begin_ : 0);
}

void Proxy::EndInput() {
  Connection& c = connection_;
  c.FinishProxy(upload_done_ ? body_begin_ : 0);
}

void Proxy::OnDeadline() {
  if (mode_ == Mode::kStream) return connection_.Close();
  Fail(upload_done_ || !has_upload_
           ? s3::Error{ErrorCode::kServiceUnavailable, "The origin did not answer in time."}
           : s3::Error{ErrorCode::kRequestTimeout, {}});
}

void Connection::StartProxy() {
  proxy_ = std::make_unique<Proxy>(*this);
  proxy_->Start();
}

// `body_end`: where the next request begins in the input buffer; zero when it cannot be found.
void Connection::SendErrorFromProxy(const s3::Error& error, std::size_t body_end) {
  if (body_end > 0) head_bytes_ = body_end - scratch_->in_begin;
  body_was_read_ = body_end > 0;
  SendError(error);
}

void Connection::FinishProxy(std::size_t body_end) {
  if (body_end > 0) head_bytes_ = body_end - scratch_->in_begin;
  state_ = State::kAnswer;
  NextRequest();
}

void Connection::StartList() { SendError({ErrorCode::kNotImplemented, {}}); }

void Connection::StartDeleteObjects() { SendError({ErrorCode::kNotImplemented, {}}); }

}  // namespace sluice::serve
