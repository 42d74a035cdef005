#include "datapath/http1/writer.h"

#include <charconv>
#include <cstring>

namespace sluice::http1 {

std::string_view ReasonPhrase(int status) {
  switch (status) {
    case 100:
      return "Continue";
    case 200:
      return "OK";
    case 201:
      return "Created";
    case 202:
      return "Accepted";
    case 204:
      return "No Content";
    case 206:
      return "Partial Content";
    case 301:
      return "Moved Permanently";
    case 304:
      return "Not Modified";
    case 307:
      return "Temporary Redirect";
    case 400:
      return "Bad Request";
    case 401:
      return "Unauthorized";
    case 403:
      return "Forbidden";
    case 404:
      return "Not Found";
    case 405:
      return "Method Not Allowed";
    case 408:
      return "Request Timeout";
    case 409:
      return "Conflict";
    case 411:
      return "Length Required";
    case 412:
      return "Precondition Failed";
    case 413:
      return "Content Too Large";
    case 416:
      return "Range Not Satisfiable";
    case 417:
      return "Expectation Failed";
    case 429:
      return "Too Many Requests";
    case 431:
      return "Request Header Fields Too Large";
    case 500:
      return "Internal Server Error";
    case 501:
      return "Not Implemented";
    case 502:
      return "Bad Gateway";
    case 503:
      return "Service Unavailable";
    case 504:
      return "Gateway Timeout";
    case 505:
      return "HTTP Version Not Supported";
    case 507:
      return "Insufficient Storage";
    default:
      return "Unknown";
  }
}

void HeadWriter::Put(std::string_view text) {
  if (text.empty()) return;  // may be a null view
  if (!ok_ || static_cast<std::size_t>(end_ - at_) < text.size()) {
    ok_ = false;
    return;
  }
  std::memcpy(at_, text.data(), text.size());
  at_ += text.size();
}

void HeadWriter::PutChecked(std::string_view text, bool blanks_allowed) {
  for (const char c : text) {
    if (c == '\r' || c == '\n' || c == '\0' || (c == ' ' && !blanks_allowed)) ok_ = false;
  }
  Put(text);
}

HeadWriter& HeadWriter::StatusLine(int status) {
  if (status == 200) {
    Put("HTTP/1.1 200 OK\r\n");
    return *this;
  }
  char digits[16];
  const auto end = std::to_chars(digits, digits + sizeof digits, status).ptr;
  Put("HTTP/1.1 ");
  Put({digits, static_cast<std::size_t>(end - digits)});
  Put(" ");
  Put(ReasonPhrase(status));
  Put("\r\n");
  return *this;
}

HeadWriter& HeadWriter::RequestLine(std::string_view method, std::string_view path,
                                    std::string_view query) {
  PutChecked(method, false);
  Put(" ");
  PutChecked(path, false);
  if (!query.empty()) {
    Put("?");
    PutChecked(query, false);
  }
  Put(" HTTP/1.1\r\n");
  return *this;
}

HeadWriter& HeadWriter::Header(std::string_view name, std::string_view value) {
  PutChecked(name, false);
  Put(": ");
  PutChecked(value, true);
  Put("\r\n");
  return *this;
}

HeadWriter& HeadWriter::Header(std::string_view name, std::uint64_t value) {
  char digits[24];
  const auto end = std::to_chars(digits, digits + sizeof digits, value).ptr;
  Put(name);
  Put(": ");
  Put({digits, static_cast<std::size_t>(end - digits)});
  Put("\r\n");
  return *this;
}

HeadWriter& HeadWriter::Raw(std::string_view lines) {
  Put(lines);
  return *this;
}

std::string_view HeadWriter::Finish() {
  Put("\r\n");
  return ok_ ? std::string_view(begin_, size()) : std::string_view();
}

}  // namespace sluice::http1
