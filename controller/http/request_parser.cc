#include "controller/http/request_parser.h"

#include <fmt/format.h>

#include <charconv>
#include <optional>

#include "controller/http/control_bytes.h"
#include "controller/http/header_text.h"
#include "controller/http/limits.h"

namespace sluice::http {
namespace {

base::Status BadRequest(std::string_view what) {
  return base::InvalidArgument(fmt::format("malformed HTTP request: {}", what));
}

base::Status TakeQuery(std::string_view text, Headers* query) {
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('&'), text.size());
    const std::string_view pair = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (pair.empty()) continue;
    if (query->size() >= kMaxHeaders) return base::ResourceExhausted("too many parameters");
    const std::size_t equals = std::min(pair.find('='), pair.size());
    SLUICE_ASSIGN_OR_RETURN(std::string name, PercentDecode(pair.substr(0, equals), true));
    SLUICE_ASSIGN_OR_RETURN(std::string value,
                            PercentDecode(pair.substr(std::min(equals + 1, pair.size())), true));
    query->push_back({std::move(name), std::move(value)});
  }
  return base::OkStatus();
}

base::Status TakeRequestLine(std::string_view line, RequestHead* out) {
  const std::size_t first = line.find(' ');
  const std::size_t last = line.rfind(' ');
  if (first == std::string_view::npos || first == last) return BadRequest("no request line");
  const std::string_view method = line.substr(0, first);
  const std::string_view target = line.substr(first + 1, last - first - 1);
  const std::string_view version = line.substr(last + 1);
  if (!IsToken(method)) return BadRequest("bad method");
  if (version != "HTTP/1.1" && version != "HTTP/1.0") return BadRequest("unknown HTTP version");
  if (!target.starts_with('/') || target.find_first_of(" \t#") != std::string_view::npos) {
    return BadRequest("the target is not a path");
  }
  out->method = method;
  const std::size_t mark = std::min(target.find('?'), target.size());
  SLUICE_ASSIGN_OR_RETURN(out->path, PercentDecode(target.substr(0, mark), false));
  return TakeQuery(target.substr(std::min(mark + 1, target.size())), &out->query);
}

base::Status TakeLength(std::string_view value, std::optional<std::size_t>* length) {
  std::size_t number = 0;
  const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), number);
  if (value.empty() || error != std::errc() || end != value.data() + value.size()) {
    return BadRequest("bad Content-Length");
  }
  if (*length && **length != number) return BadRequest("Content-Lengths that differ");
  *length = number;
  return base::OkStatus();
}

base::Status TakeHeaderLine(std::string_view line, RequestHead* out,
                            std::optional<std::size_t>* length) {
  if (out->headers.size() >= kMaxHeaders) return base::ResourceExhausted("too many headers");
  const std::size_t colon = std::min(line.find(':'), line.size());
  const std::string_view name = line.substr(0, colon);
  if (colon == line.size() || !IsToken(name)) return BadRequest("bad header line");
  const std::string_view value = TrimBlanks(line.substr(colon + 1));
  if (EqualNoCase(name, "transfer-encoding")) {
    return base::FailedPrecondition("a request's length must be told by Content-Length");
  }
  if (EqualNoCase(name, "content-length")) SLUICE_RETURN_IF_ERROR(TakeLength(value, length));
  if (EqualNoCase(name, "expect")) out->expects_continue = EqualNoCase(value, "100-continue");
  out->headers.push_back({std::string(name), std::string(value)});
  return base::OkStatus();
}

int HexDigit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  const char lower = LowerAscii(c);
  return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

}  // namespace

base::StatusOr<std::string> PercentDecode(std::string_view text, bool form) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    char c = text[i];
    if (c == '%') {
      const int high = i + 2 < text.size() ? HexDigit(text[i + 1]) : -1;
      const int low = high < 0 ? -1 : HexDigit(text[i + 2]);
      if (low < 0) return BadRequest("bad percent-encoding");
      c = static_cast<char>(high * 16 + low);
      if (IsControl(c) || c == '\t') return BadRequest("an encoded control character");
      i += 2;
    } else if (c == '+' && form) {
      c = ' ';
    }
    out += c;
  }
  return out;
}

base::StatusOr<RequestHead> ParseRequestHead(std::string_view head) {
  RequestHead out;
  std::optional<std::size_t> length;
  bool first = true;
  while (first || !head.empty()) {
    const std::size_t end = head.find("\r\n");
    const std::string_view line = head.substr(0, end);
    head.remove_prefix(end == std::string_view::npos ? head.size() : end + 2);
    if (HasControl(line)) return BadRequest("control character in head");
    SLUICE_RETURN_IF_ERROR(first ? TakeRequestLine(line, &out)
                                 : TakeHeaderLine(line, &out, &length));
    first = false;
  }
  out.content_length = length.value_or(0);
  return out;
}

}  // namespace sluice::http
