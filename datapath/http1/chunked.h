// Incremental decoder of the chunked transfer coding (RFC 9112 §7.1): bytes in, data spans out.
//
// Each call takes some bytes and answers with at most one span of data inside them. Trailer lines
// are checked for form, counted against a bound, and dropped. Strict: CRLF everywhere, hex sizes
// without sign or blanks, no overflow.
//
// Thread rule: owned by one thread. No allocation, no copy.
#pragma once

#include <cstdint>
#include <string_view>

#include "datapath/http1/limits.h"

namespace sluice::http1 {

class ChunkedDecoder {
 public:
  enum class State : std::uint8_t { kNeedMore, kData, kDone, kError };
  struct Step {
    State state = State::kNeedMore;
    std::size_t consumed = 0;   // bytes of `in` used up, the data's included
    std::string_view data;      // with kData: a part of `in`
    const char* why = nullptr;  // with kError
  };

  // kNeedMore: all of `in` was consumed. kData: hand on `data`, call again with the rest.
  // kDone: the body ended at `consumed`; what follows belongs to the next message.
  Step Decode(std::string_view in);
  void Reset() { *this = ChunkedDecoder(); }

 private:
  enum class Place : std::uint8_t {
    kSize,
    kExtension,
    kSizeLf,
    kData,
    kDataCr,
    kDataLf,
    kTrailerStart,
    kTrailer,
    kTrailerLf,
    kEndLf,
    kDone,
    kFailed
  };
  const char* Take(char c);  // one byte of framing; the reason when it may not stand here

  Place place_ = Place::kSize;
  std::uint8_t digits_ = 0;
  std::uint32_t line_bytes_ = 0;
  std::uint32_t trailer_bytes_ = 0;
  std::uint64_t left_ = 0;  // of this chunk
};

}  // namespace sluice::http1
