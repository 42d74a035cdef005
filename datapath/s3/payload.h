// Reads an upload's body: takes off HTTP's framing and aws-chunked, verifies what the signature and
// the checksum headers promise, and gives out the object's bytes.
//
// Nothing half-verified becomes an object: when something is promised about the whole, the last
// byte is held back until it has been verified, so that an origin that waits for Content-Length
// bytes never gets them of a bad body. Spans before may go on at once.
//
// Use: Start(), then Next(bytes not yet consumed) again and again until kDone or kError.
// Thread rule: owned by one thread. No copy of data; allocates for checksums and trailers only.
#pragma once

#include <vector>

#include "datapath/http1/body.h"
#include "datapath/s3/aws_chunked.h"
#include "datapath/s3/checksum.h"

namespace sluice::s3 {

class PayloadReader {
 public:
  using State = AwsChunkedDecoder::State;
  using Step = AwsChunkedDecoder::Step;  // data may also point to one byte kept in the reader

  // `key`: what the request's signature was verified with; nullptr for anonymous requests.
  // `checksums_cover_body`: x-amz-checksum-* is that of this body (PutObject, UploadPart,
  // DeleteObjects), not of an object made of parts.
  // Errors: MissingContentLength, InvalidDigest, InvalidRequest.
  Error Start(const http1::Request& request, const Auth& auth, const SigningKey* key,
              bool checksums_cover_body);
  // Bytes of the object, known from the start.
  std::uint64_t length() const { return length_; }
  // The checksum that follows the body in a trailer, for passing it on: its name
  // ("x-amz-checksum-…", empty: none) and its value's length from the start, its value once kDone
  // was reached.
  std::string_view trailer_name() const;
  std::size_t trailer_value_bytes() const;
  std::string_view trailer_value() const;
  // Errors: XAmzContentSHA256Mismatch, BadDigest, SignatureDoesNotMatch, IncompleteBody,
  // MalformedTrailerError, InvalidRequest.
  Step Next(std::string_view in);

 private:
  struct Promise {
    Promise(std::string header, ChecksumKind algorithm, std::string value, std::size_t in_trailer)
        : name(std::move(header)),
          kind(algorithm),
          sum(algorithm),
          expected(std::move(value)),
          trailer_value_bytes(in_trailer) {}
    std::string name;  // header or trailer, lower case
    ChecksumKind kind;
    Checksum sum;
    std::string expected;             // empty until the trailer is read
    std::size_t trailer_value_bytes;  // 0: a header's
  };
  Error AddPromises(const http1::Request& request);
  Step Give(std::string_view data, std::size_t consumed);
  Step Finish(std::size_t consumed);
  Error Verify();
  const Promise* Trailer() const;

  http1::BodyReader body_;
  AwsChunkedDecoder chunks_;
  bool aws_chunked_ = false;
  bool judges_ = false;  // checksums are of this body
  bool chunks_done_ = false;
  bool hold_last_ = false;
  bool verified_ = false;
  bool held_ = false;
  char last_ = 0;
  std::size_t claimed_ = 0;  // bytes at the front of the next `in` that HTTP's framing has passed
  std::uint64_t length_ = 0;
  std::uint64_t seen_ = 0;
  std::optional<Sha256Hasher> sha256_;
  HexDigest expected_sha256_{};
  std::vector<Promise> promises_;
};

}  // namespace sluice::s3
