// Incremental decoder of the aws-chunked coding: chunks inside a body, each with a signature
// chained to the one before, and trailers that may be signed too. Bytes in, data spans out.
//
// Source: "Signature Calculations for the Authorization Header: Transferring Payload in Multiple
// Chunks" (and "... with trailing headers"), Amazon S3 API reference.
//
// A chunk's signature is known to be good only behind its last byte: spans are given out before.
// Whoever makes them visible must be able to take them back until kDone; PayloadReader does it.
// Thread rule: owned by one thread. Allocates for trailers only.
#pragma once

#include <array>
#include <string>

#include "datapath/s3/signing_key.h"
#include "datapath/s3/sigv4.h"

namespace sluice::s3 {

class AwsChunkedDecoder {
 public:
  enum class State : std::uint8_t { kNeedMore, kData, kDone, kError };
  struct Step {
    State state = State::kNeedMore;
    std::size_t consumed = 0;
    std::string_view data;  // with kData: a part of `in`
    Error error;            // with kError
  };

  // `auth` has an aws-chunked payload; `key` is the one its signature was verified with. Both are
  // copied from. An anonymous or unsigned payload needs no key.
  void Start(const Auth& auth, const HmacKey* key);
  // kNeedMore: all of `in` was consumed. kDone: the coding ended at `consumed`.
  Step Decode(std::string_view in);
  // After kDone: "name:value\n" for each trailer but the signature, names in lower case.
  const std::string& trailers() const { return trailers_; }

 private:
  enum class Place : std::uint8_t {
    kSize,
    kExtension,
    kSizeLf,
    kData,
    kDataCr,
    kDataLf,
    kTrailer,
    kTrailerLf,
    kEndCr,
    kEndLf,
    kDone,
    kFailed
  };
  Error Take(char c);
  Error BeginChunk();
  Error FinishChunk();
  Error FinishTrailerLine();
  Error FinishTrailers();
  bool Chain(std::string_view text_kind, const base::Sha256Digest& hash, bool with_empty_hash,
             std::string_view signature);

  Place place_ = Place::kSize;
  bool chunks_signed_ = false;
  bool has_trailer_ = false;
  bool trailer_signed_ = false;
  std::uint8_t digits_ = 0;
  std::uint8_t line_size_ = 0;
  std::uint64_t chunk_bytes_ = 0;
  std::uint64_t left_ = 0;
  std::array<char, 96> line_;  // a chunk's extension: "chunk-signature=" and 64 digits
  HmacKey key_;
  std::array<char, http1::kBasicDateBytes> timestamp_{};
  std::string scope_;
  HexDigest previous_{};
  Sha256Hasher chunk_;
  std::string trailer_line_;
  std::string trailer_signature_;
  std::string trailers_;
};

}  // namespace sluice::s3
