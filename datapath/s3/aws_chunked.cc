#include "datapath/s3/aws_chunked.h"

#include <algorithm>

#include "datapath/http1/headers.h"

namespace sluice::s3 {
namespace {

// S3 has no other word for framing that breaks off or is none.
constexpr Error kMalformed{ErrorCode::kIncompleteBody, "The request body terminated unexpectedly"};
constexpr Error kBadTrailer{ErrorCode::kMalformedTrailer, {}};
constexpr std::string_view kSignatureName = "chunk-signature=";
constexpr std::string_view kTrailerSignatureName = "x-amz-trailer-signature";

int HexDigit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

}  // namespace

void AwsChunkedDecoder::Start(const Auth& auth, const HmacKey* key) {
  SLUICE_CHECK(IsAwsChunked(auth.payload));
  *this = AwsChunkedDecoder();
  has_trailer_ = auth.payload != PayloadKind::kStreamingSigned;
  const bool is_signed = auth.payload != PayloadKind::kStreamingUnsignedTrailer;
  if (!is_signed || auth.kind == AuthKind::kAnonymous) return;
  SLUICE_CHECK(key != nullptr && auth.signature.size() == previous_.size());
  chunks_signed_ = true;
  trailer_signed_ = has_trailer_;
  key_ = *key;
  timestamp_ = auth.timestamp;
  scope_ = auth.scope;
  std::copy(auth.signature.begin(), auth.signature.end(), previous_.begin());
}

AwsChunkedDecoder::Step AwsChunkedDecoder::Decode(std::string_view in) {
  std::size_t at = 0;
  while (at < in.size() && place_ != Place::kDone) {
    if (place_ == Place::kData) {
      const auto take = static_cast<std::size_t>(std::min<std::uint64_t>(left_, in.size() - at));
      const std::string_view data = in.substr(at, take);
      left_ -= take;
      if (left_ == 0) place_ = Place::kDataCr;
      if (chunks_signed_) chunk_.Update(data);
      return {State::kData, at + take, data, {}};
    }
    if (Error error = Take(in[at])) {
      place_ = Place::kFailed;
      return {State::kError, at, {}, error};
    }
    ++at;
  }
  return {place_ == Place::kDone ? State::kDone : State::kNeedMore, at, {}, {}};
}

Error AwsChunkedDecoder::Take(char c) {
  switch (place_) {
    case Place::kSize: {
      const int digit = HexDigit(c);
      if (digit >= 0) {
        chunk_bytes_ = chunk_bytes_ * 16 + static_cast<std::uint64_t>(digit);
        if (++digits_ > 12 || chunk_bytes_ > kMaxAwsChunkBytes) return kMalformed;
        return {};
      }
      if (digits_ == 0 || (c != ';' && c != '\r')) return kMalformed;
      place_ = c == ';' ? Place::kExtension : Place::kSizeLf;
      return {};
    }
    case Place::kExtension:
      if (c == '\r') {
        place_ = Place::kSizeLf;
      } else if (line_size_ == line_.size()) {
        return kMalformed;
      } else {
        line_[line_size_++] = c;
      }
      return {};
    case Place::kSizeLf:
      return c == '\n' ? BeginChunk() : kMalformed;
    case Place::kDataCr:
      if (c != '\r') return kMalformed;
      place_ = Place::kDataLf;
      return {};
    case Place::kDataLf:
      if (c != '\n') return kMalformed;
      place_ = Place::kSize;
      return FinishChunk();
    case Place::kTrailer:
      // Some signers end a trailer line with a bare LF before the CRLF; both end it here.
      if (c == '\r') {
        place_ = Place::kTrailerLf;
      } else if (c == '\n') {
        return FinishTrailerLine();
      } else if (trailer_line_.size() + trailers_.size() >= kMaxAwsTrailerBytes) {
        return kBadTrailer;
      } else {
        trailer_line_ += c;
      }
      return {};
    case Place::kTrailerLf:
      if (c != '\n') return kBadTrailer;
      place_ = Place::kTrailer;
      // An empty line ends the trailers, unless it only completes a line that LF ended; those come
      // before the signature.
      if (trailer_line_.empty()) {
        if (trailer_signed_ && trailer_signature_.empty() && !trailers_.empty()) return {};
        return FinishTrailers();
      }
      return FinishTrailerLine();
    case Place::kEndCr:
      if (c != '\r') return kMalformed;
      place_ = Place::kEndLf;
      return {};
    case Place::kEndLf:
      if (c != '\n') return kMalformed;
      place_ = Place::kDone;
      return {};
    case Place::kData:
    case Place::kDone:
    case Place::kFailed:
      break;
  }
  return kMalformed;
}

Error AwsChunkedDecoder::BeginChunk() {
  left_ = chunk_bytes_;
  const std::string_view extension(line_.data(), line_size_);
  if (chunks_signed_) {
    if (extension.size() != kSignatureName.size() + 64 ||
        extension.substr(0, kSignatureName.size()) != kSignatureName)
      return kMalformed;
    chunk_ = Sha256Hasher();
  }
  if (chunk_bytes_ > 0) {
    place_ = Place::kData;
    return {};
  }
  place_ = has_trailer_ ? Place::kTrailer : Place::kEndCr;
  return FinishChunk();
}

Error AwsChunkedDecoder::FinishChunk() {
  digits_ = 0;
  chunk_bytes_ = 0;
  const std::string_view extension(line_.data(), line_size_);
  line_size_ = 0;
  if (!chunks_signed_) return {};
  if (!Chain("AWS4-HMAC-SHA256-PAYLOAD\n", chunk_.Finish(), true,
             extension.substr(kSignatureName.size())))
    return {ErrorCode::kSignatureDoesNotMatch, {}};
  return {};
}

bool AwsChunkedDecoder::Chain(std::string_view text_kind, const base::Sha256Digest& hash,
                              bool with_empty_hash, std::string_view signature) {
  std::string text(text_kind);
  HexDigest hex;
  text.append(timestamp_.data(), timestamp_.size()).append("\n");
  text.append(scope_).append("\n");
  text.append(previous_.data(), previous_.size()).append("\n");
  if (with_empty_hash) text.append(kEmptySha256).append("\n");
  text.append(ToHex(hash, &hex));
  const std::string_view expected = ToHex(key_.Sign(text), &previous_);
  return base::ConstantTimeEqual(expected, signature);
}

Error AwsChunkedDecoder::FinishTrailerLine() {
  if (trailer_line_.empty()) return {};
  const std::size_t colon = trailer_line_.find(':');
  if (colon == std::string::npos || colon == 0) return kBadTrailer;
  std::string name = trailer_line_.substr(0, colon);
  for (char& c : name) {
    if (!http1::internal::IsTokenChar(c)) return kBadTrailer;
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c | 0x20);
  }
  std::string_view value = std::string_view(trailer_line_).substr(colon + 1);
  while (!value.empty() && value.front() == ' ') value.remove_prefix(1);
  while (!value.empty() && value.back() == ' ') value.remove_suffix(1);
  for (const char c : value) {
    if (static_cast<unsigned char>(c) < 0x20) return kBadTrailer;
  }
  if (name == kTrailerSignatureName) {
    trailer_signature_ = value;
  } else {
    trailers_.append(name).append(":").append(value).append("\n");
  }
  trailer_line_.clear();
  return {};
}

Error AwsChunkedDecoder::FinishTrailers() {
  place_ = Place::kDone;
  if (!trailer_signed_) return {};
  if (!Chain("AWS4-HMAC-SHA256-TRAILER\n", FastSha256(trailers_), false, trailer_signature_))
    return {ErrorCode::kSignatureDoesNotMatch, {}};
  return {};
}

}  // namespace sluice::s3
