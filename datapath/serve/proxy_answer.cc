// An origin's answer on its way to the client. Part of Proxy.
#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "controller/base/log.h"
#include "datapath/http1/writer.h"
#include "datapath/s3/documents.h"
#include "datapath/s3/range.h"
#include "datapath/serve/collect.h"
#include "datapath/serve/lists.h"
#include "datapath/serve/proxy.h"

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

// The part of an object that has no bytes, as some origins answer it: "206, bytes 0--1/0". HTTP has
// no range of nothing.
bool IsPartOfNothing(const http1::Response& response) {
  return response.status == 206 && response.has_content_length && response.content_length == 0 &&
         response.headers.Get(HeaderId::kContentRange).ends_with("/0");
}

// Answers that are read whole before they go out: errors, and XML that names the object.
constexpr std::size_t kMaxCollectedBytes = 1 << 20;

// Of an origin's own words in an error.
constexpr std::size_t kMaxToldBytes = 256;
struct OriginsWords {
  std::string code;     // empty: nothing that may be told
  std::string message;  // empty: not to be told
};
bool IsCodeWord(std::string_view word) {
  return !word.empty() && word.size() <= 64 && std::ranges::all_of(word, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
  });
}

// Clients act on codes that only the origin knows (EntityTooSmall, InvalidPart ...). What it says
// of its own state, and its names, are not told.
OriginsWords WordsOf(int status, std::string_view xml, const MountEntry& mount) {
  auto said = s3::ParseErrorXml(xml);
  if (status == 429 || status >= 500 || !said.ok() || !IsCodeWord(said->code)) return {};
  const auto tells = [&](const std::string& name) {
    return !name.empty() && said->message.find(name) != std::string::npos;
  };
  const bool discreet = said->message.size() <= kMaxToldBytes && !tells(mount.origin_bucket) &&
                        !tells(mount.origin_prefix);
  return {std::move(said->code), discreet ? std::move(said->message) : std::string()};
}

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

}  // namespace

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
  const bool of_nothing = IsPartOfNothing(response);
  if (of_nothing) status_ = 200;
  if (status_ == 206 && !c.head_only_ && Contradicts(response))
    return Fail({ErrorCode::kServiceUnavailable, "The origin's answer contradicts itself."});
  for (const http1::Header& line : response.headers) {
    if (!IsForwarded(line.name) || (of_nothing && line.id == HeaderId::kContentRange)) continue;
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
  if (status_ == 401 || status_ == 403) return Fail({ErrorCode::kAccessDenied, {}});
  if (status_ >= 400) {
    const s3::Error known{ErrorCodeOfAnswer(status_, collected_), {}};
    const OriginsWords said = WordsOf(status_, collected_, *c.mount_);
    if (said.code.empty()) return Fail(known);
    exchange_.reset();
    if (body_.done() && body_.end() > 0) c.BodyWasRead(body_.end());
    const std::string_view text = said.message.empty() ? known.text() : said.message;
    const s3::ErrorContext context{.resource = c.scratch_->parser.request().path,
                                   .request_id = {c.request_id_.data(), c.request_id_.size()},
                                   .host_id = {},
                                   .region = {}};
    std::string body(2048 + 6 * (context.resource.size() + text.size()), '\0');
    body.resize(s3::WriteErrorXml(said.code, text, context, std::span<char>(body)).size());
    http1::HeadWriter head(c.scratch_->out);
    head.StatusLine(status_).Header("Content-Type", "application/xml");
    c.outcome_ = OutcomeOf(status_);
    return c.SendAnswer(head, std::move(body), true);
  }
  if (status_ == 304) return Fail({ErrorCode::kNotModified, {}});
  std::string body;
  if (!collected_.empty()) {
    const s3::Target& target = c.scratch_->target;
    auto renamed = s3::RenameObject(collected_, target.bucket, target.key);
    if (!renamed.ok())
      return Fail({ErrorCode::kInternalError, "The origin's answer could not be read."});
    body = std::move(renamed).value();
    // A completed upload's Location is a whole URL; what was renamed has its path.
    constexpr std::string_view kLocation = "<Location>";
    if (const std::size_t at = body.find("<Location>/"); at != std::string::npos)
      body.insert(at + kLocation.size(), (c.tls_ ? "https://" : "http://") +
                                             std::string(c.scratch_->parser.request().host));
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

}  // namespace sluice::serve
