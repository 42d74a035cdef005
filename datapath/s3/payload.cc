#include "datapath/s3/payload.h"

#include <algorithm>

namespace sluice::s3 {
namespace {

using http1::HeaderId;
constexpr Error kWrongLength{ErrorCode::kIncompleteBody, {}};
constexpr Error kNoChecksum{ErrorCode::kInvalidRequest,
                            "The value of an x-amz-checksum- header or trailer is invalid."};

bool ParseLength(std::string_view text, std::uint64_t* value) {
  if (text.empty() || text.size() > 18) return false;
  *value = 0;
  for (const char c : text) {
    if (c < '0' || c > '9') return false;
    *value = *value * 10 + static_cast<std::uint64_t>(c - '0');
  }
  return true;
}

std::string Lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c | 0x20);
  }
  return out;
}

bool IsDigest(ChecksumKind kind, std::string_view text) {
  const auto bytes = base::Base64Decode(text);
  return bytes.ok() && bytes->size() == DigestBytes(kind);
}

}  // namespace

Error PayloadReader::Start(const http1::Request& request, const Auth& auth, const SigningKey* key,
                           bool checksums_cover_body) {
  *this = PayloadReader();
  aws_chunked_ = IsAwsChunked(auth.payload);
  body_.Start(request.body, request.content_length);
  if (aws_chunked_) {
    if (!ParseLength(request.headers.Get(HeaderId::kAmzDecodedContentLength), &length_))
      return {ErrorCode::kMissingContentLength, {}};
    chunks_.Start(auth, key == nullptr ? nullptr : &key->hmac);
    hold_last_ = true;
  } else {
    if (request.body == http1::BodyKind::kChunked) return {ErrorCode::kMissingContentLength, {}};
    length_ = request.content_length;
    if (auth.payload == PayloadKind::kSigned) {
      sha256_.emplace();
      std::copy(auth.payload_hash.begin(), auth.payload_hash.end(), expected_sha256_.begin());
      hold_last_ = true;
    }
  }
  judges_ = checksums_cover_body;
  if (judges_) {
    if (Error error = AddPromises(request)) return error;
  }
  return {};
}

Error PayloadReader::AddPromises(const http1::Request& request) {
  int sums = 0;  // besides Content-MD5
  std::optional<ChecksumKind> named;
  bool odd_name = false;
  Error error;
  for (const http1::Header& header : request.headers) {
    if (http1::EqualsIgnoreCase(header.name, "x-amz-sdk-checksum-algorithm")) {
      named = ChecksumOfName(header.value);
      odd_name = !named;
    }
    const auto kind = ChecksumOfHeader(header.name);
    if (!kind) continue;
    const bool content_md5 = http1::EqualsIgnoreCase(header.name, "content-md5");
    if (!content_md5) ++sums;
    if (!IsDigest(*kind, header.value))
      error = content_md5 ? Error{ErrorCode::kInvalidDigest, {}} : kNoChecksum;
    else
      promises_.push_back({Lower(header.name), *kind, std::string(header.value), 0});
  }
  http1::ForEachListElement(request.headers.Get(HeaderId::kAmzTrailer), [&](std::string_view name) {
    const auto kind = ChecksumOfHeader(name);
    ++sums;
    if (!kind || http1::EqualsIgnoreCase(name, "content-md5") || !aws_chunked_) {
      error = {ErrorCode::kInvalidRequest,
               "The value specified in the x-amz-trailer header is not supported"};
    } else {
      promises_.push_back({Lower(name), *kind, {}, (DigestBytes(*kind) + 2) / 3 * 4});  // base64
    }
  });
  if (sums > 1)
    return {ErrorCode::kInvalidRequest,
            "Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed."};
  if (error) return error;
  const auto other = [&](const Promise& promise) {
    return promise.name != "content-md5" && promise.kind != named;
  };
  if (odd_name || (named && std::ranges::any_of(promises_, other)))
    return {ErrorCode::kInvalidRequest,
            "Value for x-amz-sdk-checksum-algorithm header is invalid."};
  hold_last_ |= !promises_.empty();
  return {};
}

PayloadReader::Step PayloadReader::Next(std::string_view in) {
  std::size_t consumed = 0;
  for (;;) {
    if (verified_) return Finish(consumed);
    if (claimed_ == 0) {
      const http1::BodyReader::Step outer = body_.Next(in.substr(consumed));
      if (outer.state == http1::BodyReader::State::kError)
        return {State::kError, consumed, {}, {ErrorCode::kInvalidRequest, outer.why}};
      consumed += outer.consumed - outer.data.size();
      if (outer.state == http1::BodyReader::State::kNeedMore)
        return {State::kNeedMore, consumed, {}, {}};
      if (outer.state == http1::BodyReader::State::kDone) {
        if (aws_chunked_ && !chunks_done_) return {State::kError, consumed, {}, kWrongLength};
        if (Error error = Verify()) return {State::kError, consumed, {}, error};
        verified_ = true;
        continue;
      }
      claimed_ = outer.data.size();
    }
    const std::string_view piece = in.substr(consumed, claimed_);
    if (!aws_chunked_) {
      claimed_ -= piece.size();
      return Give(piece, consumed + piece.size());
    }
    if (chunks_done_) return {State::kError, consumed, {}, kWrongLength};  // bytes behind the end
    const AwsChunkedDecoder::Step inner = chunks_.Decode(piece);
    consumed += inner.consumed;
    claimed_ -= inner.consumed;
    if (inner.state == State::kError) return {State::kError, consumed, {}, inner.error};
    if (inner.state == State::kDone) chunks_done_ = true;
    if (inner.state == State::kData) return Give(inner.data, consumed);
    if (inner.state == State::kNeedMore && claimed_ > 0)
      return {State::kNeedMore, consumed, {}, {}};
  }
}

PayloadReader::Step PayloadReader::Give(std::string_view data, std::size_t consumed) {
  seen_ += data.size();
  if (seen_ > length_) return {State::kError, consumed, {}, kWrongLength};
  if (sha256_) sha256_->Update(data);
  for (Promise& promise : promises_) promise.sum.Update(data);
  if (hold_last_ && seen_ == length_ && !data.empty()) {
    last_ = data.back();
    held_ = true;
    data.remove_suffix(1);
  }
  return {State::kData, consumed, data, {}};
}

Error PayloadReader::Verify() {
  if (seen_ != length_) return kWrongLength;
  HexDigest hex;
  if (sha256_ &&
      !base::ConstantTimeEqual(ToHex(sha256_->Finish(), &hex),
                               std::string_view(expected_sha256_.data(), expected_sha256_.size())))
    return {ErrorCode::kContentSha256Mismatch, {}};
  const auto announced = std::ranges::count_if(
      promises_, [](const Promise& promise) { return promise.trailer_value_bytes > 0; });
  if (judges_ && std::ranges::count(chunks_.trailers(), '\n') > announced)
    return {ErrorCode::kMalformedTrailer, {}};
  for (Promise& promise : promises_) {
    if (promise.expected.empty()) {
      const std::string& trailers = chunks_.trailers();
      const std::string wanted = promise.name + ":";
      std::size_t at =
          trailers.compare(0, wanted.size(), wanted) == 0 ? 0 : trailers.find("\n" + wanted);
      if (at == std::string::npos) return {ErrorCode::kMalformedTrailer, {}};
      at += wanted.size() + (at == 0 && trailers[0] != '\n' ? 0 : 1);
      promise.expected = trailers.substr(at, trailers.find('\n', at) - at);
      if (!IsDigest(promise.kind, promise.expected)) return kNoChecksum;
    }
    if (promise.sum.Base64() != promise.expected) return {ErrorCode::kBadDigest, {}};
  }
  return {};
}

const PayloadReader::Promise* PayloadReader::Trailer() const {
  for (const Promise& promise : promises_)
    if (promise.trailer_value_bytes > 0) return &promise;
  return nullptr;
}

std::string_view PayloadReader::trailer_name() const {
  const Promise* trailer = Trailer();
  return trailer == nullptr ? std::string_view() : trailer->name;
}

std::size_t PayloadReader::trailer_value_bytes() const {
  const Promise* trailer = Trailer();
  return trailer == nullptr ? 0 : trailer->trailer_value_bytes;
}

std::string_view PayloadReader::trailer_value() const {
  const Promise* trailer = Trailer();
  return trailer == nullptr || !verified_ ? std::string_view() : trailer->expected;
}

PayloadReader::Step PayloadReader::Finish(std::size_t consumed) {
  if (held_) {
    held_ = false;
    return {State::kData, consumed, {&last_, 1}, {}};
  }
  return {State::kDone, consumed, {}, {}};
}

}  // namespace sluice::s3
