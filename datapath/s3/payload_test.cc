// Upload bodies: AWS's published chunked examples, checksums, and bodies that break their promise.
#include "datapath/s3/payload.h"

#include <gtest/gtest.h>

#include <string>

#include "datapath/s3/sigv4_verify.h"

namespace sluice::s3 {
namespace {

constexpr std::string_view kSecret = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
const base::WallTime kNow = *http1::ParseBasicDate("20130524T000000Z");

struct Upload {
  // `checked`: also verify the head's signature, as the published examples allow.
  explicit Upload(std::string head, bool checked = false)
      : text(std::move(head)), key(kSecret, "20130524", "us-east-1") {
    EXPECT_EQ(parser.Parse(text).state, http1::ParseState::kDone) << text;
    EXPECT_FALSE(query.Parse(parser.request().query));
    const Error error = ParseAuth(parser.request(), query, &auth);
    EXPECT_FALSE(error) << error.text();
    if (checked) {
      SigningKeyCache keys;
      EXPECT_FALSE(Verify(parser.request(), query, auth, {kSecret, "", "us-east-1"}, kNow, &keys));
    }
    start = reader.Start(parser.request(), auth, &key, true);
  }
  // Feeds `body` in pieces; the object's bytes, then "!Code" on an error or "?" when it needs more.
  std::string Read(const std::string& body, std::size_t step, std::size_t* used = nullptr) {
    std::string out;
    std::size_t at = 0;
    std::size_t have = 0;
    for (;;) {
      const auto r = reader.Next(std::string_view(body).substr(at, have - at));
      at += r.consumed;
      if (used != nullptr) *used = at;
      out += r.data;
      if (r.state == PayloadReader::State::kError)
        return out + "!" + std::string(Describe(r.error.code).code);
      if (r.state == PayloadReader::State::kDone) return out;
      if (r.state != PayloadReader::State::kNeedMore) continue;
      EXPECT_EQ(at, have);  // need more means that everything was taken
      if (have == body.size()) return out + "?";
      have = std::min(body.size(), have + step);
    }
  }
  std::string text;
  http1::RequestParser parser;
  Query query;
  Auth auth;
  SigningKey key;
  PayloadReader reader;
  Error start;
};

// "PUT Object, 66560 bytes 'a' in chunks of 64 KiB", as published.
const std::string kChunkedHead =
    "PUT /examplebucket/chunkObject.txt HTTP/1.1\r\nHost: s3.amazonaws.com\r\n"
    "x-amz-date: 20130524T000000Z\r\nx-amz-storage-class: REDUCED_REDUNDANCY\r\n"
    "Authorization: AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/"
    "aws4_request,SignedHeaders=content-encoding;content-length;host;x-amz-content-sha256;x-amz-"
    "date;"
    "x-amz-decoded-content-length;x-amz-storage-class,Signature="
    "4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9\r\n"
    "x-amz-content-sha256: STREAMING-AWS4-HMAC-SHA256-PAYLOAD\r\nContent-Encoding: aws-chunked\r\n"
    "x-amz-decoded-content-length: 66560\r\nContent-Length: 66824\r\n\r\n";

std::string ChunkedBody() {
  return "10000;chunk-signature="
         "ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648\r\n" +
         std::string(65536, 'a') +
         "\r\n400;chunk-signature="
         "0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497\r\n" +
         std::string(1024, 'a') +
         "\r\n0;chunk-signature="
         "b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9\r\n\r\n";
}

TEST(PayloadReader, VerifiesThePublishedChunkedExampleHoweverItArrives) {
  for (const std::size_t step : {1u, 7u, 85u, 4096u, 65536u, 100000u}) {
    Upload upload(kChunkedHead, true);
    ASSERT_FALSE(upload.start);
    EXPECT_EQ(upload.reader.length(), 66560u);
    EXPECT_TRUE(upload.Read(ChunkedBody(), step) == std::string(66560, 'a')) << step;
  }
}

TEST(PayloadReader, RefusesAChunkThatWasChangedReplayedOrLeftOut) {
  const std::string good = ChunkedBody();
  const auto ending = [](const std::string& body) {
    const std::string out = Upload(kChunkedHead).Read(body, 8192);
    // The last byte never comes out of a body that is refused.
    const std::size_t end = out.find_first_not_of("ab");
    EXPECT_LT(end, 66560u);
    return out.substr(end);
  };
  std::string data = good;
  data[good.size() - 200] = 'b';
  EXPECT_EQ(ending(data), "!SignatureDoesNotMatch");
  std::string replayed = good;
  const std::string second = "0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497";
  replayed.replace(good.find(second), 64,
                   "ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648");
  EXPECT_EQ(ending(replayed), "!SignatureDoesNotMatch");
  std::string unsigned_end = good;
  unsigned_end.replace(good.find("0;chunk-signature=b6"), 82, "0");
  EXPECT_EQ(ending(unsigned_end), "!IncompleteBody");
  EXPECT_EQ(ending(good.substr(0, good.size() - 86)), "?");
}

// "PUT Object with a trailing checksum", as published.
const std::string kTrailerHead =
    "PUT /examplebucket/chunkObject.txt HTTP/1.1\r\nHost: s3.amazonaws.com\r\n"
    "x-amz-date: 20130524T000000Z\r\nx-amz-storage-class: REDUCED_REDUNDANCY\r\n"
    "Authorization: AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/"
    "aws4_request,SignedHeaders=content-encoding;host;x-amz-content-sha256;x-amz-date;"
    "x-amz-decoded-content-length;x-amz-storage-class;x-amz-trailer,Signature="
    "106e2a8a18243abcf37539882f36619c00e2dfc72633413f02d3b74544bfeb8e\r\n"
    "x-amz-content-sha256: STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER\r\n"
    "Content-Encoding: aws-chunked\r\nx-amz-decoded-content-length: 66560\r\n"
    "x-amz-trailer: x-amz-checksum-crc32c\r\nTransfer-Encoding: chunked\r\n\r\n";

std::string TrailerBody(const std::string& line_end = "\r\n") {
  return "10000;chunk-signature="
         "b474d8862b1487a5145d686f57f013e54db672cee1c953b3010fb58501ef5aa2\r\n" +
         std::string(65536, 'a') +
         "\r\n400;chunk-signature="
         "1c1344b170168f8e65b41376b44b20fe354e373826ccbbe2c1d40a8cae51e5c7\r\n" +
         std::string(1024, 'a') +
         "\r\n0;chunk-signature="
         "2ca2aba2005185cf7159c6277faf83795951dd77a3a99e6e65d5c9f85863f992\r\n"
         "x-amz-checksum-crc32c:sOO8/Q==" +
         line_end +
         "x-amz-trailer-signature:d81f82fc3505edab99d459891051a732e8730629a2e4a59689829ca17fe2e435"
         "\r\n\r\n";
}
std::string HttpChunked(const std::string& body, std::size_t size) {
  std::string out;
  for (std::size_t at = 0; at < body.size(); at += size) {
    const std::string piece = body.substr(at, size);
    char head[32];
    std::snprintf(head, sizeof head, "%zx\r\n", piece.size());
    out += head + piece + "\r\n";
  }
  return out + "0\r\n\r\n";
}

TEST(PayloadReader, VerifiesThePublishedTrailerExampleInsideHttpChunks) {
  for (const std::size_t http_chunk : {100u, 5000u, 100000u}) {
    for (const std::size_t step : {3u, 4096u, 200000u}) {
      Upload upload(kTrailerHead, true);
      ASSERT_FALSE(upload.start);
      const std::string body = HttpChunked(TrailerBody(), http_chunk);
      std::size_t used = 0;
      EXPECT_TRUE(upload.Read(body + "GET /next", step, &used) == std::string(66560, 'a'));
      EXPECT_EQ(used, body.size());
    }
  }
  // As AWS prints it, a trailer line ends in LF and CRLF.
  EXPECT_EQ(Upload(kTrailerHead).Read(HttpChunked(TrailerBody("\n\r\n"), 9000), 9000).size(),
            66560u);
}

TEST(PayloadReader, RefusesATrailerThatWasChangedOrIsMissing) {
  std::string changed = TrailerBody();
  changed.replace(changed.find("sOO8/Q=="), 8, "sOO8/A==");
  std::string out = Upload(kTrailerHead).Read(HttpChunked(changed, 9000), 9000);
  EXPECT_EQ(out.substr(66559), "!SignatureDoesNotMatch");
  std::string missing = TrailerBody();
  missing.replace(missing.find("x-amz-checksum"), 32, "");
  out = Upload(kTrailerHead).Read(HttpChunked(missing, 9000), 9000);
  EXPECT_EQ(out.substr(66559), "!SignatureDoesNotMatch");
}

std::string Head(const std::string& headers) {
  return "PUT /b/k HTTP/1.1\r\nHost: h\r\n" + headers + "\r\n";
}
std::string UnsignedTrailer(const std::string& trailer, std::size_t length) {
  return Head(
      "x-amz-content-sha256: STREAMING-UNSIGNED-PAYLOAD-TRAILER\r\nx-amz-trailer: " + trailer +
      "\r\nx-amz-decoded-content-length: 9\r\nContent-Length: " + std::to_string(length) + "\r\n");
}

TEST(PayloadReader, VerifiesUnsignedTrailersOfEveryKind) {
  // Values of "123456789", the check input of CRC catalogues.
  const std::pair<std::string, std::string> sums[] = {
      {"x-amz-checksum-crc32", "y/Q5Jg=="},
      {"x-amz-checksum-crc32c", "4waSgw=="},
      {"x-amz-checksum-crc64nvme", "rosUhgp5mIg="},
      {"x-amz-checksum-sha1", "98O8HYCOBHMq32eZZczDTKeuNEE="},
      {"x-amz-checksum-sha256", "FeKw08M4keuw8e9gnsQZQgwg4yDOlMZfvIwzEkSOsiU="}};
  for (const auto& [name, value] : sums) {
    const std::string body = "9\r\n123456789\r\n0\r\n" + name + ":" + value + "\r\n\r\n";
    EXPECT_EQ(Upload(UnsignedTrailer(name, body.size())).Read(body, 5), "123456789") << name;
    std::string bad = body;
    bad[5] = 'x';
    EXPECT_EQ(Upload(UnsignedTrailer(name, body.size())).Read(bad, 100), "12x45678!BadDigest");
    const std::string none = "9\r\n123456789\r\n0\r\n\r\n";
    EXPECT_EQ(Upload(UnsignedTrailer(name, none.size())).Read(none, 100),
              "12345678!MalformedTrailerError");
    // The same sum as a header of a plain body.
    const std::string plain = Head("Content-Length: 9\r\n" + name + ": " + value + "\r\n");
    EXPECT_EQ(Upload(plain).Read("123456789", 4), "123456789");
    EXPECT_EQ(Upload(plain).Read("123456780", 4), "12345678!BadDigest");
  }
}

TEST(PayloadReader, VerifiesTheChecksumsThatNewerClientsOffer) {
  const std::pair<std::string, std::string> sums[] = {
      {"sha512",
       "1xakGIVptoqxtt+sF45XARTN8Oo6HMDjFIbD5BJBvGp2Qk6MN6sm8Jb8he+"
       "YhsjLY0GH9P3f9kX7CZ8f9UxrjA=="},
      {"md5", "esZsDxSN6VGbi9JkMSxNZA=="},
      {"xxhash64", "GGCUDikCgi0="},
      {"xxhash3", "WkDcP9RMBS8="},
      {"xxhash128", "Kq/YOGmlnDE/55jA7aptxg=="}};
  for (const auto& [name, value] : sums) {
    const std::string head = Head("Content-Length: 7\r\nx-amz-sdk-checksum-algorithm: " + name +
                                  "\r\nx-amz-checksum-" + name + ": " + value + "\r\n");
    EXPECT_EQ(Upload(head).Read("abcdefg", 4), "abcdefg") << name;
    EXPECT_EQ(Upload(head).Read("abcdeff", 7), "abcdef!BadDigest") << name;
  }
}

TEST(PayloadReader, RefusesChecksumsThatCannotBeMeantWithTheCodesOfS3) {
  const auto start = [](const std::string& headers) {
    return Upload(Head("Content-Length: 9\r\n" + headers)).start.code;
  };
  const std::string crc = "x-amz-checksum-crc32: y/Q5Jg==\r\n";
  EXPECT_EQ(start(crc), ErrorCode::kNone);
  EXPECT_EQ(start(crc + "Content-MD5: JfnnlDI7RTiF9RgfG2JNCw==\r\n"), ErrorCode::kNone);
  EXPECT_EQ(start(crc + "x-amz-checksum-crc32c: 4waSgw==\r\n"), ErrorCode::kInvalidRequest);
  EXPECT_EQ(start("x-amz-checksum-crc32: \r\n"), ErrorCode::kInvalidRequest);
  EXPECT_EQ(start("x-amz-checksum-crc32: y/Q5Jg=\r\n"), ErrorCode::kInvalidRequest);
  EXPECT_EQ(start("x-amz-checksum-sha1: y/Q5Jg==\r\n"), ErrorCode::kInvalidRequest);
  EXPECT_EQ(start(crc + "x-amz-sdk-checksum-algorithm: CRC32\r\n"), ErrorCode::kNone);
  EXPECT_EQ(start(crc + "x-amz-sdk-checksum-algorithm: SHA1\r\n"), ErrorCode::kInvalidRequest);
  EXPECT_EQ(start(crc + "x-amz-sdk-checksum-algorithm: none\r\n"), ErrorCode::kInvalidRequest);
  const std::string body = "9\r\n123456789\r\n0\r\nx-amz-checksum-crc32:invalid\r\n\r\n";
  EXPECT_EQ(Upload(UnsignedTrailer("x-amz-checksum-crc32", body.size())).Read(body, 100),
            "12345678!InvalidRequest");
  // A trailer that the head did not announce.
  const std::string more =
      "9\r\n123456789\r\n0\r\nx-amz-checksum-crc32:y/Q5Jg==\r\nx-more:1\r\n\r\n";
  EXPECT_EQ(Upload(UnsignedTrailer("x-amz-checksum-crc32", more.size())).Read(more, 100),
            "12345678!MalformedTrailerError");
}

TEST(PayloadReader, VerifiesASignedHashAndContentMd5) {
  const std::string head = Head("Content-Length: 5\r\nContent-MD5: XUFAKrxLKna5cZ2REBfFkg==\r\n");
  EXPECT_EQ(Upload(head).Read("hello", 2), "hello");
  EXPECT_EQ(Upload(head).Read("hellp", 2), "hell!BadDigest");
  EXPECT_EQ(Upload(Head("Content-Length: 5\r\nContent-MD5: short\r\n")).start.code,
            ErrorCode::kInvalidDigest);
  const std::string hash = "x-amz-content-sha256: " + base::Sha256Hex("hello") + "\r\n";
  EXPECT_EQ(Upload(Head("Content-Length: 5\r\n" + hash)).Read("hello", 5), "hello");
  EXPECT_EQ(Upload(Head("Content-Length: 5\r\n" + hash)).Read("jello", 5),
            "jell!XAmzContentSHA256Mismatch");
  EXPECT_EQ(Upload(Head("x-amz-content-sha256: " + std::string(kEmptySha256) + "\r\n")).Read("", 1),
            "");
  EXPECT_EQ(Upload(Head("Content-Length: 5\r\n")).Read("hel", 2), "hel?");
}

TEST(PayloadReader, RefusesLengthsThatDisagree) {
  const auto read = [](const std::string& body) {
    return Upload(UnsignedTrailer("x-amz-checksum-crc32", body.size())).Read(body, 100);
  };
  const std::string trailer = "x-amz-checksum-crc32:y/Q5Jg==\r\n\r\n";
  EXPECT_EQ(read("8\r\n12345678\r\n0\r\n" + trailer), "12345678!IncompleteBody");
  EXPECT_EQ(read("A\r\n123456789A\r\n0\r\n" + trailer), "!IncompleteBody");
  EXPECT_EQ(read("9\r\n123456789\r\n0\r\n" + trailer + "x"), "12345678!IncompleteBody");
  EXPECT_EQ(read("9\r\n123456789\r\n0\r\n"), "12345678!IncompleteBody");
  EXPECT_EQ(read("g\r\n"), "!IncompleteBody");
  EXPECT_EQ(read("fffffffffff\r\n"), "!IncompleteBody");
  EXPECT_EQ(read("9\r\n123456789x\r\n"), "12345678!IncompleteBody");
  EXPECT_EQ(read("0\r\n" + std::string(5000, 'x') + ":y\r\n\r\n"), "!MalformedTrailerError");
  EXPECT_EQ(Upload(Head("Transfer-Encoding: chunked\r\n")).start.code,
            ErrorCode::kMissingContentLength);
  EXPECT_EQ(Upload(Head("x-amz-content-sha256: STREAMING-UNSIGNED-PAYLOAD-TRAILER\r\n"
                        "Content-Length: 3\r\n"))
                .start.code,
            ErrorCode::kMissingContentLength);
}

}  // namespace
}  // namespace sluice::s3
