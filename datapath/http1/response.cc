#include "datapath/http1/response.h"

#include <cstring>

namespace sluice::http1 {
namespace {
ParseResult Fail(const char* why) { return {ParseState::kError, 0, HeadError{502, why}}; }

bool ReadStatusLine(std::string_view line, Response* response) {
  if (line.size() < 12 || line.substr(0, 7) != "HTTP/1.") return false;
  if ((line[7] != '0' && line[7] != '1') || line[8] != ' ') return false;
  int status = 0;
  for (const char c : line.substr(9, 3)) {
    if (c < '0' || c > '9') return false;
    status = status * 10 + (c - '0');
  }
  if (status < 100 || status > 599 || (line.size() > 12 && line[12] != ' ')) return false;
  response->minor_version = line[7] - '0';
  response->status = status;
  response->reason = line.size() > 13 ? line.substr(13) : std::string_view();
  for (const char c : response->reason) {
    if (c == '\0' || c == '\r') return false;
  }
  return true;
}
}  // namespace

ParseResult ResponseParser::Parse(std::string_view buffered, Method method) {
  const std::string_view bounded = buffered.substr(0, kMaxHeadBytes);
  if (tried_ && !internal::FindHeadEnd(bounded, &scanned_)) {
    if (buffered.size() >= kMaxHeadBytes) return Fail("response head too large");
    return {};
  }
  ParseResult result = ParseHead(bounded, method);
  if (result.state == ParseState::kNeedMore) {
    if (buffered.size() >= kMaxHeadBytes) return Fail("response head too large");
    tried_ = true;
  }
  return result;
}

ParseResult ResponseParser::ParseHead(std::string_view buffered, Method method) {
  const std::size_t lf = buffered.find('\n');
  if (lf == std::string_view::npos) return {};
  if (lf == 0 || buffered[lf - 1] != '\r') return Fail("bare LF in the response head");
  if (!ReadStatusLine(buffered.substr(0, lf - 1), &response_)) return Fail("malformed status line");
  std::size_t pos = lf + 1;
  response_.headers.Clear();
  HeadError error;
  switch (internal::ParseHeaderBlock(buffered, &pos, &response_.headers, &error)) {
    case internal::BlockResult::kIncomplete:
      return {};
    case internal::BlockResult::kError:
      return Fail(error.why);
    case internal::BlockResult::kDone:
      break;
  }
  internal::Framing framing;
  if ((error = internal::ReadFraming(response_.headers, response_.minor_version, &framing)))
    return Fail(error.why);
  response_.has_content_length = framing.kind == BodyKind::kLength;
  response_.content_length = framing.length;
  const int status = response_.status;
  if (status < 200 || status == 204 || status == 304 || method == Method::kHead) {
    response_.body = BodyKind::kNone;
  } else if (framing.kind == BodyKind::kNone) {
    response_.body = BodyKind::kUntilClose;
  } else if (framing.kind == BodyKind::kLength && framing.length == 0) {
    response_.body = BodyKind::kNone;
  } else {
    response_.body = framing.kind;
  }
  const internal::ConnectionOptions options = internal::ReadConnection(response_.headers);
  response_.keep_alive = !options.close && response_.body != BodyKind::kUntilClose &&
                         (response_.minor_version == 1 || options.keep_alive);
  return {ParseState::kDone, pos, {}};
}

}  // namespace sluice::http1
