// Reads one message body out of the bytes of a connection, whatever its framing.
//
// Each call answers with at most one span of data inside `in`; bytes behind the body stay
// unconsumed. Thread rule: owned by one thread. No allocation, no copy.
#pragma once

#include <algorithm>

#include "datapath/http1/chunked.h"
#include "datapath/http1/headers.h"

namespace sluice::http1 {

class BodyReader {
 public:
  using State = ChunkedDecoder::State;
  using Step = ChunkedDecoder::Step;

  void Start(BodyKind kind, std::uint64_t length) {
    kind_ = kind;
    left_ = kind == BodyKind::kLength ? length : 0;
    chunked_.Reset();
  }
  // kNeedMore: all of `in` was consumed. kDone may come without data and with nothing consumed.
  Step Next(std::string_view in) {
    switch (kind_) {
      case BodyKind::kNone:
        return {State::kDone, 0, {}, nullptr};
      case BodyKind::kChunked:
        return chunked_.Decode(in);
      case BodyKind::kUntilClose:
        if (in.empty()) return {};
        return {State::kData, in.size(), in, nullptr};
      case BodyKind::kLength:
        break;
    }
    if (left_ == 0) return {State::kDone, 0, {}, nullptr};
    if (in.empty()) return {};
    const auto take = static_cast<std::size_t>(std::min<std::uint64_t>(left_, in.size()));
    left_ -= take;
    return {State::kData, take, in.substr(0, take), nullptr};
  }
  // True when the connection's end is a proper end of this body.
  bool EndsWithConnection() const { return kind_ == BodyKind::kUntilClose; }

 private:
  BodyKind kind_ = BodyKind::kNone;
  std::uint64_t left_ = 0;
  ChunkedDecoder chunked_;
};

}  // namespace sluice::http1
