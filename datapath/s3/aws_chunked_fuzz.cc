// aws-chunked bodies: never a crash, never more than the promised length, the same result in
// pieces. The first byte picks the payload kind and the piece size.
#include <cstdint>
#include <cstdlib>
#include <string>

#include "datapath/s3/payload.h"

using namespace sluice;
using namespace sluice::s3;

namespace {
const char* const kKinds[] = {"STREAMING-AWS4-HMAC-SHA256-PAYLOAD",
                              "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER",
                              "STREAMING-UNSIGNED-PAYLOAD-TRAILER"};

std::string Run(const http1::Request& request, const Auth& auth, const SigningKey& key,
                std::string_view body, std::size_t step) {
  PayloadReader reader;
  if (reader.Start(request, auth, &key, true)) return "!";
  std::string out;
  std::size_t at = 0;
  std::size_t have = 0;
  for (;;) {
    const auto r = reader.Next(body.substr(at, have - at));
    at += r.consumed;
    if (at > have) std::abort();
    out += r.data;
    if (out.size() > reader.length()) std::abort();
    if (r.state == PayloadReader::State::kError) return out + "!";
    if (r.state == PayloadReader::State::kDone) return out + ".";
    if (r.state == PayloadReader::State::kData) continue;
    if (at != have) std::abort();
    if (have == body.size()) return out + "?";
    have = std::min(body.size(), have + step);
  }
}
}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2) return 0;
  const std::string_view body(reinterpret_cast<const char*>(data) + 2, size - 2);
  const std::string head =
      "PUT /b/k HTTP/1.1\r\nHost: h\r\nx-amz-content-sha256: " + std::string(kKinds[data[0] % 3]) +
      "\r\nx-amz-decoded-content-length: " + std::to_string(data[1]) +
      ((data[0] & 16) ? "\r\nx-amz-trailer: x-amz-checksum-crc32" : "") +
      ((data[0] & 32) ? "\r\nTransfer-Encoding: chunked"
                      : "\r\nContent-Length: " + std::to_string(body.size())) +
      "\r\n\r\n";
  http1::RequestParser parser;
  if (parser.Parse(head).state != http1::ParseState::kDone) std::abort();
  Query query;
  Auth auth;
  if (ParseAuth(parser.request(), query, &auth)) std::abort();
  static const SigningKey key("secret", "20130524", "us-east-1");
  if (data[0] & 64) {  // as if the head had been signed
    auth.kind = AuthKind::kHeader;
    auth.signature = kEmptySha256;
    auth.scope = "20130524/us-east-1/s3/aws4_request";
  }
  const std::string whole = Run(parser.request(), auth, key, body, body.size() + 1);
  const std::string pieces = Run(parser.request(), auth, key, body, 1);
  if (whole.back() != pieces.back()) std::abort();
  // Before an error pieces may give more of the same data, never other data.
  const std::string_view given(whole.data(), whole.size() - 1);
  if (whole.back() == '!' ? pieces.compare(0, given.size(), given) != 0 : whole != pieces)
    std::abort();
  return 0;
}
