#include "datapath/http1/request.h"

#include <array>
#include <cstring>

namespace sluice::http1 {
namespace {

ParseResult Fail(int status, const char* why) {
  return {ParseState::kError, 0, HeadError{status, why}};
}

Method ReadMethod(std::string_view text) {
  if (text == "GET") return Method::kGet;
  if (text == "HEAD") return Method::kHead;
  if (text == "PUT") return Method::kPut;
  if (text == "POST") return Method::kPost;
  if (text == "DELETE") return Method::kDelete;
  if (text == "OPTIONS") return Method::kOptions;
  return Method::kOther;
}

// Authority as it may stand in Host: no blanks, user info, path or control characters.
constexpr std::array<bool, 256> kAuthorityChars = [] {
  std::array<bool, 256> ok{};
  for (int c = '0'; c <= '9'; ++c) ok[static_cast<std::size_t>(c)] = true;
  for (int c = 'a'; c <= 'z'; ++c) ok[static_cast<std::size_t>(c)] = true;
  for (int c = 'A'; c <= 'Z'; ++c) ok[static_cast<std::size_t>(c)] = true;
  for (const char c : std::string_view(".-_:[]~%")) ok[static_cast<unsigned char>(c)] = true;
  return ok;
}();
bool IsAuthority(std::string_view host) {
  bool ok = true;
  for (const char c : host) ok &= kAuthorityChars[static_cast<unsigned char>(c)];
  return ok;
}

}  // namespace

ParseResult RequestParser::Parse(std::string_view buffered) {
  const std::string_view bounded = buffered.substr(0, kMaxHeadBytes);
  if (tried_ && !internal::FindHeadEnd(bounded, &scanned_)) {
    if (buffered.size() >= kMaxHeadBytes) return Fail(431, "request head too large");
    return {};
  }
  ParseResult result = ParseHead(bounded);
  if (result.state == ParseState::kNeedMore) {
    if (buffered.size() >= kMaxHeadBytes) return Fail(431, "request head too large");
    tried_ = true;
  }
  return result;
}

ParseResult RequestParser::ParseHead(std::string_view buffered) {
  std::size_t pos = 0;
  while (pos + 1 < buffered.size() && buffered[pos] == '\r' && buffered[pos + 1] == '\n') {
    pos += 2;
    if (pos > kMaxLeadingCrlf) return Fail(400, "empty lines before the request");
  }
  if (pos == buffered.size()) return {};
  // Say so at once when this cannot be a request, instead of waiting for more of it.
  if (!internal::IsTokenChar(buffered[pos]) && buffered[pos] != '\r')
    return Fail(400, "malformed request line");
  const void* lf = std::memchr(buffered.data() + pos, '\n', buffered.size() - pos);
  if (lf == nullptr) return {};
  const std::size_t line_end =
      static_cast<std::size_t>(static_cast<const char*>(lf) - buffered.data());
  if (line_end == pos || buffered[line_end - 1] != '\r') return Fail(400, "bare LF in the head");
  if (HeadError error = ReadRequestLine(buffered.substr(pos, line_end - 1 - pos)))
    return {ParseState::kError, 0, error};
  pos = line_end + 1;
  request_.headers.Clear();
  HeadError error;
  switch (internal::ParseHeaderBlock(buffered, &pos, &request_.headers, &error)) {
    case internal::BlockResult::kIncomplete:
      return {};
    case internal::BlockResult::kError:
      return {ParseState::kError, 0, error};
    case internal::BlockResult::kDone:
      break;
  }
  if ((error = ReadHeaders())) return {ParseState::kError, 0, error};
  return {ParseState::kDone, pos, {}};
}

HeadError RequestParser::ReadRequestLine(std::string_view line) {
  static constexpr HeadError kMalformed{400, "malformed request line"};
  const std::size_t first = line.find(' ');
  const std::size_t last = line.rfind(' ');
  if (first == std::string_view::npos || first == 0 || last < first + 2) return kMalformed;
  request_.method_text = line.substr(0, first);
  for (const char c : request_.method_text) {
    if (!internal::IsTokenChar(c)) return kMalformed;
  }
  request_.method = ReadMethod(request_.method_text);
  const std::string_view version = line.substr(last + 1);
  if (version.size() != 8 || version.substr(0, 5) != "HTTP/" || version[6] != '.')
    return kMalformed;
  if (version[5] != '1' || (version[7] != '0' && version[7] != '1'))
    return {505, "only HTTP/1.1 and HTTP/1.0 are spoken here"};
  request_.minor_version = version[7] - '0';
  request_.target = line.substr(first + 1, last - first - 1);
  for (const char c : request_.target) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte <= ' ' || byte >= 0x7f) return kMalformed;
  }
  return {};
}

HeadError RequestParser::ReadHeaders() {
  const Headers& headers = request_.headers;
  if (headers.Repeats(HeaderId::kHost)) return {400, "repeated Host"};
  if (!headers.Has(HeaderId::kHost) && request_.minor_version == 1) return {400, "missing Host"};
  request_.host = headers.Get(HeaderId::kHost);
  if (!IsAuthority(request_.host)) return {400, "malformed Host"};

  std::string_view& target = request_.target;
  if (target.front() != '/') {
    if (target.size() > 7 && EqualsIgnoreCase(target.substr(0, 7), "http://")) {
      std::string_view rest = target.substr(7);
      const std::size_t slash = rest.find_first_of("/?");
      if (!EqualsIgnoreCase(rest.substr(0, slash), request_.host))
        return {400, "absolute target names another host"};
      if (slash == std::string_view::npos || rest[slash] != '/')
        return {400, "absolute target without a path"};
      target = rest.substr(slash);
    } else if (!(target == "*" && request_.method == Method::kOptions)) {
      return {400, "malformed request target"};
    }
  }
  const std::size_t mark = target.find('?');
  request_.path = target.substr(0, mark);
  request_.query = mark == std::string_view::npos ? std::string_view() : target.substr(mark + 1);

  internal::Framing framing;
  if (HeadError error = internal::ReadFraming(headers, request_.minor_version, &framing))
    return error;
  request_.body = framing.kind;
  request_.content_length = framing.length;
  if (framing.kind == BodyKind::kLength && framing.length == 0) request_.body = BodyKind::kNone;

  const internal::ConnectionOptions options = internal::ReadConnection(headers);
  request_.keep_alive = !options.close && (request_.minor_version == 1 || options.keep_alive);
  request_.expect_continue = false;
  if (const Header* expect = headers.Line(HeaderId::kExpect)) {
    if (!EqualsIgnoreCase(expect->value, "100-continue")) return {417, "unknown expectation"};
    request_.expect_continue = request_.minor_version == 1;
  }
  return {};
}

}  // namespace sluice::http1
