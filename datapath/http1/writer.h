// Writes message heads into a buffer of the caller's. No allocation.
//
//   char buffer[kMaxHeadBytes];
//   HeadWriter head(buffer);
//   head.StatusLine(200).Header("Content-Length", size).Header("ETag", etag);
//   std::string_view bytes = head.Finish();   // empty: did not fit, or a value held CR, LF or NUL
//
// A value with CR, LF or NUL spoils the whole head instead of being sent: response splitting.
// Thread rule: owned by one thread.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

namespace sluice::http1 {

// "OK" for 200 and so on; "Unknown" for a status without a phrase.
std::string_view ReasonPhrase(int status);

class HeadWriter {
 public:
  explicit HeadWriter(std::span<char> out)
      : begin_(out.data()), at_(begin_), end_(begin_ + out.size()) {}

  HeadWriter& StatusLine(int status);  // HTTP/1.1
  HeadWriter& RequestLine(std::string_view method, std::string_view path, std::string_view query);
  HeadWriter& Header(std::string_view name, std::string_view value);
  HeadWriter& Header(std::string_view name, std::uint64_t value);
  // Bytes known to be well formed, lines ending in CRLF: for parts prepared once.
  HeadWriter& Raw(std::string_view lines);

  bool ok() const { return ok_; }
  std::size_t size() const { return static_cast<std::size_t>(at_ - begin_); }
  // Adds the empty line; the whole head, or an empty view when it could not be written.
  std::string_view Finish();

 private:
  void Put(std::string_view text);
  void PutChecked(std::string_view text, bool blanks_allowed);

  char* begin_;
  char* at_;
  char* end_;
  bool ok_ = true;
};

}  // namespace sluice::http1
