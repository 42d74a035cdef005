#include "datapath/s3/operation.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace sluice::s3 {
namespace {

struct Classified {
  Classified(const std::string& method_and_target, const std::string& headers = "",
             std::string_view domain = "s3.local", const std::string& host = "s3.local:9000")
      : text(method_and_target + " HTTP/1.1\r\nHost: " + host + "\r\n" + headers + "\r\n") {
    EXPECT_EQ(parser.Parse(text).state, http1::ParseState::kDone) << text;
    error = query.Parse(parser.request().query);
    if (!error) error = Classify(parser.request(), query, domain, &target);
  }
  std::string Summary() const {
    if (error) return "!" + std::string(Describe(error.code).code);
    return std::string(OperationName(target.operation)) + " " + std::string(target.bucket) + " " +
           std::string(target.key);
  }
  std::string text;
  http1::RequestParser parser;
  Query query;
  Target target;
  Error error;
};
std::string Of(const std::string& request, const std::string& headers = "") {
  return Classified(request, headers).Summary();
}

TEST(Classify, KnowsEachOperation) {
  const std::string copy = "x-amz-copy-source: /b/k\r\n";
  const std::vector<std::pair<std::string, std::string>> cases = {
      {Of("GET /"), "ListBuckets  "},
      {Of("HEAD /b"), "HeadBucket b "},
      {Of("HEAD /b/"), "HeadBucket b "},
      {Of("GET /b?location"), "GetBucketLocation b "},
      {Of("GET /b"), "ListObjects b "},
      {Of("GET /b?list-type=2&prefix=a%2F&delimiter=%2F&max-keys=5"), "ListObjectsV2 b "},
      {Of("GET /b?uploads&prefix=x"), "ListMultipartUploads b "},
      {Of("PUT /b"), "CreateBucket b "},
      {Of("DELETE /b"), "DeleteBucket b "},
      {Of("POST /b?delete"), "DeleteObjects b "},
      {Of("GET /b/a/k%20%2B+?x-id=GetObject&response-content-type=x"), "GetObject b a/k ++"},
      {Of("HEAD /b/k?versionId=3"), "HeadObject b k"},
      {Of("PUT /b/k?x-id=PutObject"), "PutObject b k"},
      {Of("PUT /b/k", copy), "CopyObject b k"},
      {Of("DELETE /b/k?versionId=null"), "DeleteObject b k"},
      {Of("POST /b/k?uploads"), "CreateMultipartUpload b k"},
      {Of("PUT /b/k?partNumber=7&uploadId=u"), "UploadPart b k"},
      {Of("PUT /b/k?partNumber=7&uploadId=u", copy), "UploadPartCopy b k"},
      {Of("POST /b/k?uploadId=u"), "CompleteMultipartUpload b k"},
      {Of("DELETE /b/k?uploadId=u"), "AbortMultipartUpload b k"},
      {Of("GET /b/k?uploadId=u&max-parts=3"), "ListParts b k"},
  };
  for (const auto& [got, wanted] : cases) EXPECT_EQ(got, wanted);
}

TEST(Classify, RefusesAccessControlAndEverythingItDoesNotKnow) {
  for (const char* request : {"GET /b?policy", "PUT /b?p%6flicy", "GET /b?policyStatus",
                              "GET /b?publicAccessBlock", "PUT /b?ownershipControls"})
    EXPECT_EQ(Of(request), "!AccessDenied") << request;
  // 501 is what clients that ask for lists by habit (s3cmd on a copy) take for "there are none".
  for (const char* request : {"GET /b?acl", "PUT /b/k?acl", "GET /b/k?a%63l"})
    EXPECT_EQ(Of(request), "!NotImplemented") << request;
  for (const char* request :
       {"GET /b?versioning", "PUT /b?lifecycle", "GET /b/k?tagging", "GET /b/k?torrent",
        "POST /b/k?select&select-type=2", "POST /b/k?restore", "GET /b/k?attributes",
        "GET /b/k?new-subresource", "GET /b/k?list-type=2", "PUT /b/k?versionId=1", "POST /b",
        "GET /b/k?uploads", "GET /b/k?x-amz-acl=public-read", "DELETE /b/k?delete"})
    EXPECT_EQ(Of(request), "!NotImplemented") << request;
  for (const char* request : {"PUT /", "OPTIONS /b/k", "PATCH /b/k", "POST /b/k"})
    EXPECT_EQ(Of(request), "!MethodNotAllowed") << request;
  EXPECT_EQ(Of("PUT /b/k", "x-amz-acl: public-read\r\n"), "!AccessDenied");
  EXPECT_EQ(Of("PUT /b/k", "x-amz-grant-read: id=1\r\n"), "!AccessDenied");
  EXPECT_EQ(Of("PUT /b/k", "x-amz-acl: private\r\n"), "PutObject b k");
  EXPECT_EQ(Of("PUT /b/k", "x-amz-rename-source: /o/x\r\n"), "!NotImplemented");
  EXPECT_EQ(Of("PUT /b/k", "X-Amz-Object-Lock-Mode: GOVERNANCE\r\n"), "!NotImplemented");
  EXPECT_EQ(Of("PUT /b/k", "x-amz-meta-a: b\r\nx-amz-checksum-crc32: AAAAAA==\r\n"),
            "PutObject b k");
}

TEST(Classify, ChecksumsInTheQueryOfAnUploadMeanNothing) {
  const std::string of_nothing =
      "x-amz-checksum-crc32=AAAAAA%3D%3D&x-amz-sdk-checksum-algorithm=CRC32";
  EXPECT_EQ(Of("PUT /b/k?" + of_nothing), "PutObject b k");
  EXPECT_EQ(Of("PUT /b/k?partNumber=1&uploadId=u&X-Amz-Checksum-Sha256=x"), "UploadPart b k");
  EXPECT_EQ(Of("GET /b/k?" + of_nothing), "!NotImplemented");
  EXPECT_EQ(Of("POST /b/k?uploadId=u&x-amz-checksum-crc32=x"), "!NotImplemented");
  for (const char* other : {"x-amz-checksum-type=FULL_OBJECT", "x-amz-checksum-new=x",
                            "x-amz-checksum-", "x-amz-meta-a=b"})
    EXPECT_EQ(Of("PUT /b/k?" + std::string(other)), "!NotImplemented") << other;
}

TEST(Classify, KnowsWhoAsksForChecksums) {
  EXPECT_FALSE(Classified("GET /b/k").target.checksum_mode);
  EXPECT_TRUE(Classified("GET /b/k", "x-amz-checksum-mode: ENABLED\r\n").target.checksum_mode);
  EXPECT_TRUE(Classified("HEAD /b/k?x-amz-checksum-mode=ENABLED").target.checksum_mode);
  EXPECT_TRUE(Classified("GET /b/k?X-Amz-Checksum-Mode=enabled").target.checksum_mode);
  EXPECT_FALSE(Classified("GET /b/k", "x-amz-checksum-mode: no\r\n").target.checksum_mode);
}

TEST(Classify, DecodesAKeyOnceAndRefusesNamesThatCouldLeaveTheirMount) {
  EXPECT_EQ(Of("GET /b/a%252Fb"), "GetObject b a%2Fb");
  EXPECT_EQ(Of("GET /b/a%2Fb"), "GetObject b a/b");
  EXPECT_EQ(Of("GET /b//a//b/"), "GetObject b /a//b/");
  EXPECT_EQ(Of("GET /b/...a/.b/..c"), "GetObject b ...a/.b/..c");
  for (const char* path : {"/b/..", "/b/../o/k", "/b/%2e%2e/o/k", "/b/%2E%2E%2Fo/k", "/b/a/./k",
                           "/b/a/..", "/b/./k", "/b/a/.%2e/k"})
    EXPECT_EQ(Of(std::string("GET ") + path), "!InvalidURI") << path;
  EXPECT_EQ(Of("GET /../o/k"), "!InvalidBucketName");
  EXPECT_EQ(Of("GET /%2e%2e/o/k"), "!InvalidBucketName");
  EXPECT_EQ(Of("GET //o/k"), "!InvalidBucketName");
  EXPECT_EQ(Of("GET /b%2Fo/k"), "!InvalidBucketName");
  EXPECT_EQ(Of("GET /b/%zz"), "!InvalidURI");
  EXPECT_EQ(Of("GET /b/" + std::string(1024, 'k')), "GetObject b " + std::string(1024, 'k'));
  EXPECT_EQ(Of("GET /b/" + std::string(1025, 'k')), "!KeyTooLongError");
  EXPECT_EQ(Of("GET /b/%20" + std::string(1024, 'k')), "!KeyTooLongError");
}

TEST(Classify, ReadsVirtualHosts) {
  EXPECT_EQ(Classified("GET /a/k", "", "s3.local", "b.S3.local:9000").Summary(), "GetObject b a/k");
  EXPECT_EQ(Classified("GET /", "", "s3.local", "a.b.s3.local").Summary(), "ListObjects a.b ");
  EXPECT_EQ(Classified("GET /a/k", "", "s3.local", "xs3.local").Summary(), "GetObject a k");
  EXPECT_EQ(Classified("GET /a/k", "", "", "b.s3.local").Summary(), "GetObject a k");
  EXPECT_EQ(Classified("GET /a/k", "", "s3.local", "[::1]:9000").Summary(), "GetObject a k");
}

TEST(Classify, ChecksPartNumbers) {
  EXPECT_EQ(Classified("GET /b/k?partNumber=10000").target.part_number, 10000u);
  for (const char* bad : {"0", "10001", "-1", "x", "", "99999999999"})
    EXPECT_EQ(Of("GET /b/k?partNumber=" + std::string(bad)), "!InvalidArgument") << bad;
  EXPECT_EQ(Of("PUT /b/k?uploadId=u"), "!InvalidArgument");
  EXPECT_EQ(Of("GET /b?list-type=1"), "!InvalidArgument");
}

TEST(Classify, MarksCustomerKeys) {
  const Classified sse("GET /b/k", "x-amz-server-side-encryption-customer-algorithm: AES256\r\n");
  EXPECT_TRUE(sse.target.sse_customer);
  EXPECT_FALSE(Classified("GET /b/k").target.sse_customer);
}

TEST(ParseCopySource, SplitsDecodesAndRefuses) {
  CopySource source;
  EXPECT_FALSE(ParseCopySource("/b/a%20k?versionId=v%2F1", &source));
  EXPECT_EQ(source.bucket, "b");
  EXPECT_EQ(source.key, "a k");
  EXPECT_EQ(source.version_id, "v%2F1");
  CopySource encoded;
  EXPECT_FALSE(ParseCopySource("b%2Fk", &encoded));
  EXPECT_EQ(encoded.key, "k");
  for (const char* bad :
       {"", "/", "b", "/b/", "b/../o", "b%2F..%2Fo", "/b/k?acl",
        "/b/k?versionId=", "/b/k?versionId=1&x=2", "/b/%zz", "arn:aws:s3:::x/k"}) {
    CopySource refused;
    EXPECT_EQ(ParseCopySource(bad, &refused).code, ErrorCode::kInvalidArgument) << bad;
  }
}

TEST(FateOf, ForwardsOnlyWhatIsKnown) {
  EXPECT_EQ(FateOf(Operation::kPutObject, "X-Amz-Meta-A", ""), HeaderFate::kForward);
  EXPECT_EQ(FateOf(Operation::kPutObject, "Authorization", ""), HeaderFate::kDrop);
  EXPECT_EQ(FateOf(Operation::kPutObject, "x-amz-copy-source-range", ""), HeaderFate::kRefuse);
  EXPECT_EQ(FateOf(Operation::kUploadPartCopy, "x-amz-copy-source-range", ""),
            HeaderFate::kForward);
  EXPECT_EQ(FateOf(Operation::kGetObject, "x-amz-checksum-mode", ""), HeaderFate::kForward);
  EXPECT_EQ(FateOf(Operation::kGetObject, "x-amz-new", ""), HeaderFate::kRefuse);
}

TEST(WithoutAwsChunked, LeavesWhatBelongsToTheObject) {
  EXPECT_EQ(WithoutAwsChunked("aws-chunked"), "");
  EXPECT_EQ(WithoutAwsChunked("AWS-Chunked, gzip"), "gzip");
  EXPECT_EQ(WithoutAwsChunked("zstd,aws-chunked ,br"), "zstd,br");
  EXPECT_EQ(WithoutAwsChunked(""), "");
  EXPECT_EQ(WithoutAwsChunked(" , ,"), "");
}

TEST(Error, WritesTheXmlThatClientsParse) {
  char buffer[1024];
  EXPECT_EQ(WriteErrorXml({ErrorCode::kNoSuchKey, {}}, {"/b/<k>&", "4F", "node-1"}, buffer),
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>NoSuchKey</Code><Message>The "
            "specified key does not exist.</Message><Resource>/b/&lt;k&gt;&amp;</Resource>"
            "<RequestId>4F</RequestId><HostId>node-1</HostId></Error>");
  ErrorContext range{.resource = "/b/k", .request_id = "4F", .host_id = {}, .region = {}};
  range.range = "bytes=0-9";
  range.object_bytes = 0;
  EXPECT_EQ(
      WriteErrorXml({ErrorCode::kInvalidRange, {}}, range, buffer),
      "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>InvalidRange</Code><Message>The "
      "requested range is not satisfiable</Message><RangeRequested>bytes=0-9</RangeRequested>"
      "<ActualObjectSize>0</ActualObjectSize><Resource>/b/k</Resource><RequestId>4F</RequestId>"
      "<HostId></HostId></Error>");
  char small[32];
  EXPECT_EQ(WriteErrorXml({ErrorCode::kNoSuchKey, {}}, {"/b/k"}, small), "");
  for (int i = 1; i < static_cast<int>(ErrorCode::kCount); ++i) {
    const auto code = static_cast<ErrorCode>(i);
    EXPECT_FALSE(Describe(code).code.empty()) << i;
    EXPECT_GE(Describe(code).http_status, 304) << i;
    EXPECT_EQ(ErrorCodeFromName(Describe(code).code), code);
  }
}

}  // namespace
}  // namespace sluice::s3
