#include "datapath/serve/collect.h"

#include "datapath/s3/documents.h"

namespace sluice::serve {

using s3::ErrorCode;

OriginMetrics::Result OriginResultOf(int http_status) {
  if (http_status < 400) return OriginMetrics::Result::kOk;
  if (http_status == 404) return OriginMetrics::Result::kNotFound;
  return http_status < 500 ? OriginMetrics::Result::kClientError
                           : OriginMetrics::Result::kServerError;
}

ErrorCode ErrorCodeOfStatus(int http_status) {
  switch (http_status) {
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
      return http_status < 500 ? ErrorCode::kInvalidRequest : ErrorCode::kServiceUnavailable;
  }
}

ErrorCode ErrorCodeOfAnswer(int http_status, std::string_view xml) {
  const auto parsed = s3::ParseErrorXml(xml);
  const ErrorCode code = parsed.ok() ? s3::ErrorCodeFromName(parsed->code) : ErrorCode::kNone;
  return code == ErrorCode::kNone ? ErrorCodeOfStatus(http_status) : code;
}

Collect::Collect(store::MemoryPool& pool, const OriginMetrics& metrics,
                 OriginMetrics::Operation operation, std::size_t max_bytes,
                 net::Callback<void(Answer)> done)
    : pool_(pool),
      metrics_(metrics),
      operation_(operation),
      max_bytes_(max_bytes),
      done_(std::move(done)) {}

Collect::~Collect() { pool_.Release(store::MemoryPool::Use::kBuffer, reserved_); }

void Collect::Start(Upstream& upstream, const std::string& origin, origin::Request request) {
  exchange_ = upstream.Start(origin, std::move(request), this);
}

void Collect::OnHead(const http1::Response& response) {
  answer_.http_status = response.status;
  metrics_.Count(operation_, OriginResultOf(response.status));
}

void Collect::OnData(std::span<const char> bytes) {
  metrics_.bytes_in->Add(bytes.size());
  if (answer_.body.size() + bytes.size() > max_bytes_)
    return Finish(base::ResourceExhausted("the origin's answer is too long"));
  if (!pool_.TryReserve(store::MemoryPool::Use::kBuffer, bytes.size()))
    return Finish(base::ResourceExhausted("no memory for the origin's answer"));
  reserved_ += bytes.size();
  answer_.body.append(bytes.data(), bytes.size());
}

void Collect::OnDone(const base::Status& status) {
  if (!status.ok() && answer_.http_status == 0)
    metrics_.Count(operation_, OriginMetrics::Result::kUnreachable);
  Finish(status);
}

void Collect::Finish(base::Status status) {
  exchange_.reset();
  answer_.status = std::move(status);
  net::Callback<void(Answer)> done = std::move(done_);
  done(std::move(answer_));
}

}  // namespace sluice::serve
