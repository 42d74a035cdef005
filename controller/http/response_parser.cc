#include "controller/http/response_parser.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <optional>

#include "controller/http/control_bytes.h"
#include "controller/http/header_text.h"
#include "controller/http/limits.h"

namespace sluice::http {
namespace {

// Whether the comma-separated list holds `token`.
bool ListHas(std::string_view list, std::string_view token) {
  while (!list.empty()) {
    const std::size_t comma = std::min(list.find(','), list.size());
    if (EqualNoCase(TrimBlanks(list.substr(0, comma)), token)) return true;
    list.remove_prefix(std::min(comma + 1, list.size()));
  }
  return false;
}

base::Status Malformed(std::string_view what) {
  return base::DataLoss(fmt::format("malformed HTTP answer: {}", what));
}

}  // namespace

std::string_view FindHeader(const Headers& headers, std::string_view name) {
  for (const Header& header : headers) {
    if (EqualNoCase(header.name, name)) return header.value;
  }
  return {};
}

base::StatusOr<std::size_t> ResponseParser::Feed(std::string_view bytes, const BodySink& sink) {
  const std::size_t total = bytes.size();
  started_ = started_ || !bytes.empty();
  while (!bytes.empty() && state_ != State::kDone) {
    switch (state_) {
      case State::kHead: {
        SLUICE_ASSIGN_OR_RETURN(const std::size_t used, FeedHead(bytes));
        bytes.remove_prefix(used);
        if (head_done()) SLUICE_RETURN_IF_ERROR(sink({}));
        break;
      }
      case State::kFixed:
      case State::kChunkData: {
        const std::size_t n =
            static_cast<std::size_t>(std::min<std::uint64_t>(left_, bytes.size()));
        SLUICE_RETURN_IF_ERROR(sink(bytes.substr(0, n)));
        bytes.remove_prefix(n);
        left_ -= n;
        if (left_ == 0) state_ = state_ == State::kFixed ? State::kDone : State::kChunkEnd;
        break;
      }
      case State::kToClose:
        SLUICE_RETURN_IF_ERROR(sink(bytes));
        bytes = {};
        break;
      case State::kChunkSize:
      case State::kChunkEnd:
      case State::kTrailer: {
        SLUICE_ASSIGN_OR_RETURN(const bool whole, GatherLine(bytes));
        if (whole) SLUICE_RETURN_IF_ERROR(ChunkLine());
        break;
      }
      case State::kDone:
        break;
    }
  }
  return total - bytes.size();
}

base::Status ResponseParser::FeedEnd() {
  if (state_ == State::kToClose) state_ = State::kDone;
  if (state_ == State::kDone) return base::OkStatus();
  return base::Unavailable(started_ ? "the peer closed the connection within an answer"
                                    : "the peer closed the connection before an answer")
      .WithReason("ConnectionCut");
}

base::StatusOr<std::size_t> ResponseParser::FeedHead(std::string_view bytes) {
  // Mostly a head comes whole: then it is read where it lies.
  if (head_.empty() && bytes.size() <= kMaxHeaderBytes) {
    const std::size_t end = bytes.find("\r\n\r\n");
    if (end != std::string_view::npos) {
      SLUICE_RETURN_IF_ERROR(TakeHead(bytes.substr(0, end)));
      return end + 4;
    }
  }
  const std::size_t before = head_.size();
  const std::size_t room = kMaxHeaderBytes - before;
  head_.append(bytes.substr(0, room));
  const std::size_t from = before < 3 ? 0 : before - 3;
  const std::size_t end = head_.find("\r\n\r\n", from);
  if (end == std::string::npos) {
    if (head_.size() >= kMaxHeaderBytes) {
      return base::ResourceExhausted("the head of an HTTP answer is too long");
    }
    return bytes.size();
  }
  const std::size_t used = end + 4 - before;
  const std::string head = std::move(head_).substr(0, end);
  head_.clear();
  SLUICE_RETURN_IF_ERROR(TakeHead(head));
  return used;
}

base::Status ResponseParser::TakeHead(std::string_view head) {
  constexpr std::size_t kUsualHeaders = 12;
  headers_.clear();
  headers_.reserve(kUsualHeaders);
  SLUICE_RETURN_IF_ERROR(ParseHead(head));
  if (status_ == 101) return Malformed("an upgrade nobody asked for");
  if (status_ >= 200) SLUICE_RETURN_IF_ERROR(ChooseFraming());  // interim answers are skipped
  return base::OkStatus();
}

base::Status ResponseParser::ParseHead(std::string_view head) {
  bool first = true;
  while (first || !head.empty()) {
    const std::size_t end = head.find("\r\n");
    const std::string_view line = head.substr(0, end);
    head.remove_prefix(end == std::string_view::npos ? head.size() : end + 2);
    if (HasControl(line)) return Malformed("control character in head");
    SLUICE_RETURN_IF_ERROR(first ? ParseStatusLine(line) : ParseHeaderLine(line));
    first = false;
  }
  return base::OkStatus();
}

base::Status ResponseParser::ParseStatusLine(std::string_view line) {
  if (!line.starts_with("HTTP/1.") || line.size() < 12 || line[8] != ' ') {
    return Malformed("no HTTP/1.x status line");
  }
  const char minor = line[7];
  if (minor != '0' && minor != '1') return Malformed("unknown HTTP version");
  keep_alive_ = minor == '1';
  const auto [end, error] = std::from_chars(line.data() + 9, line.data() + 12, status_);
  if (error != std::errc() || end != line.data() + 12 || status_ < 100 || status_ > 599 ||
      (line.size() > 12 && line[12] != ' ')) {
    return Malformed("bad status code");
  }
  return base::OkStatus();
}

base::Status ResponseParser::ParseHeaderLine(std::string_view line) {
  if (headers_.size() >= kMaxHeaders) {
    return base::ResourceExhausted("an HTTP answer has too many headers");
  }
  const std::size_t colon = line.find(':');
  if (colon == std::string_view::npos || !IsToken(line.substr(0, colon))) {
    return Malformed("bad header line");
  }
  headers_.push_back(
      {std::string(line.substr(0, colon)), std::string(TrimBlanks(line.substr(colon + 1)))});
  return base::OkStatus();
}

base::Status ResponseParser::ChooseFraming() {
  bool chunked = false;
  std::optional<std::uint64_t> length;
  for (const Header& header : headers_) {
    if (EqualNoCase(header.name, "connection")) {
      if (ListHas(header.value, "close")) keep_alive_ = false;
      if (ListHas(header.value, "keep-alive")) keep_alive_ = true;
    } else if (EqualNoCase(header.name, "transfer-encoding")) {
      if (chunked || !EqualNoCase(header.value, "chunked")) {
        return Malformed("a transfer encoding other than chunked");
      }
      chunked = true;
    } else if (EqualNoCase(header.name, "content-length")) {
      std::uint64_t value = 0;
      const char* end = header.value.data() + header.value.size();
      const auto [stop, error] = std::from_chars(header.value.data(), end, value);
      if (error != std::errc() || stop != end || header.value.empty()) {
        return Malformed("bad Content-Length");
      }
      if (length && *length != value) return Malformed("Content-Lengths that differ");
      length = value;
    }
  }
  if (chunked && length) return Malformed("both Transfer-Encoding and Content-Length");
  if (no_body_ || status_ == 204 || status_ == 304 || (length && *length == 0)) {
    state_ = State::kDone;
  } else if (chunked) {
    state_ = State::kChunkSize;
  } else if (length) {
    left_ = *length;
    state_ = State::kFixed;
  } else {
    keep_alive_ = false;
    state_ = State::kToClose;
  }
  return base::OkStatus();
}

base::StatusOr<bool> ResponseParser::GatherLine(std::string_view& bytes) {
  const std::size_t newline = bytes.find('\n');
  const bool whole = newline != std::string_view::npos;
  const std::size_t n = whole ? newline + 1 : bytes.size();
  if (line_.size() + n > kMaxChunkLineBytes) return Malformed("a chunk line is too long");
  line_.append(bytes.substr(0, n));
  bytes.remove_prefix(n);
  if (!whole) return false;
  if (!line_.ends_with("\r\n")) return Malformed("a chunk line without CR");
  line_.resize(line_.size() - 2);
  return true;
}

base::Status ResponseParser::ChunkLine() {
  const std::string line = std::move(line_);
  line_.clear();
  if (state_ == State::kChunkEnd) {
    if (!line.empty()) return Malformed("a chunk is longer than its size");
    state_ = State::kChunkSize;
    return base::OkStatus();
  }
  if (state_ == State::kTrailer) {
    trailer_bytes_ += line.size();
    if (trailer_bytes_ > kMaxHeaderBytes) return Malformed("trailers are too long");
    if (line.empty()) state_ = State::kDone;
    return base::OkStatus();
  }
  std::uint64_t size = 0;
  const auto [end, error] = std::from_chars(line.data(), line.data() + line.size(), size, 16);
  const std::string_view rest(end, static_cast<std::size_t>(line.data() + line.size() - end));
  if (error != std::errc() || line.empty() ||
      (!rest.empty() && rest[0] != ';' && rest[0] != ' ' && rest[0] != '\t')) {
    return Malformed("bad chunk size");
  }
  left_ = size;
  state_ = size == 0 ? State::kTrailer : State::kChunkData;
  return base::OkStatus();
}

}  // namespace sluice::http
