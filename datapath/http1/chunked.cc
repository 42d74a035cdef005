#include "datapath/http1/chunked.h"

#include <algorithm>

namespace sluice::http1 {
namespace {
int HexDigit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}
bool IsControl(char c) {
  const auto u = static_cast<unsigned char>(c);
  return (u < 0x20 && u != '\t') || u == 0x7f;
}
constexpr std::uint8_t kMaxSizeDigits = 15;  // 2^60 bytes, so that no sum overflows
}  // namespace

ChunkedDecoder::Step ChunkedDecoder::Decode(std::string_view in) {
  std::size_t at = 0;
  while (at < in.size() && place_ != Place::kDone) {
    if (place_ == Place::kData) {
      const std::size_t take =
          static_cast<std::size_t>(std::min<std::uint64_t>(left_, in.size() - at));
      left_ -= take;
      if (left_ == 0) place_ = Place::kDataCr;
      return {State::kData, at + take, in.substr(at, take), nullptr};
    }
    if (const char* why = Take(in[at])) {
      place_ = Place::kFailed;
      return {State::kError, at, {}, why};
    }
    ++at;
  }
  return {place_ == Place::kDone ? State::kDone : State::kNeedMore, at, {}, nullptr};
}

const char* ChunkedDecoder::Take(char c) {
  switch (place_) {
    case Place::kSize: {
      const int digit = HexDigit(c);
      if (digit >= 0) {
        if (digits_ == kMaxSizeDigits) return "chunk size too large";
        ++digits_;
        left_ = left_ * 16 + static_cast<std::uint64_t>(digit);
        return nullptr;
      }
      if (digits_ == 0) return "chunk without a size";
      if (c == '\r') {
        place_ = Place::kSizeLf;
      } else if (c == ';') {
        place_ = Place::kExtension;
      } else {
        return "malformed chunk size";
      }
      return nullptr;
    }
    case Place::kExtension:
      if (c == '\r') {
        place_ = Place::kSizeLf;
      } else if (IsControl(c)) {
        return "malformed chunk extension";
      } else if (++line_bytes_ > kMaxChunkLineBytes) {
        return "chunk extension too long";
      }
      return nullptr;
    case Place::kSizeLf:
      if (c != '\n') return "bare CR in a chunk line";
      place_ = left_ == 0 ? Place::kTrailerStart : Place::kData;
      digits_ = 0;
      line_bytes_ = 0;
      return nullptr;
    case Place::kDataCr:
      if (c != '\r') return "chunk longer than its size";
      place_ = Place::kDataLf;
      return nullptr;
    case Place::kDataLf:
      if (c != '\n') return "bare CR behind a chunk";
      place_ = Place::kSize;
      return nullptr;
    case Place::kTrailerStart:
      if (c == '\r') {
        place_ = Place::kEndLf;
        return nullptr;
      }
      if (c == ' ' || c == '\t') return "folded trailer line";
      place_ = Place::kTrailer;
      [[fallthrough]];
    case Place::kTrailer:
      if (c == '\r') {
        place_ = Place::kTrailerLf;
      } else if (IsControl(c)) {
        return "control character in a trailer";
      } else if (++trailer_bytes_ > kMaxTrailerBytes) {
        return "trailers too long";
      }
      return nullptr;
    case Place::kTrailerLf:
      if (c != '\n') return "bare CR in a trailer";
      place_ = Place::kTrailerStart;
      return nullptr;
    case Place::kEndLf:
      if (c != '\n') return "bare CR behind the body";
      place_ = Place::kDone;
      return nullptr;
    case Place::kFailed:
      return "body failed before";
    case Place::kData:
    case Place::kDone:
      break;
  }
  return "byte behind the body";
}

}  // namespace sluice::http1
