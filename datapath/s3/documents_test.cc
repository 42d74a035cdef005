// Lists and the other XML documents.
#include "datapath/s3/documents.h"

#include <gtest/gtest.h>

#include "datapath/s3/limits.h"
#include "datapath/s3/list.h"
#include "datapath/s3/xml_read.h"

namespace sluice::s3 {
namespace {

ListRequest Asked(const std::string& text, bool v2 = true) {
  Query query;
  EXPECT_FALSE(query.Parse(text));
  ListRequest request;
  const Error error = ParseListRequest(query, v2, &request);
  EXPECT_FALSE(error) << error.text();
  return request;
}
ErrorCode Refused(const std::string& text) {
  Query query;
  EXPECT_FALSE(query.Parse(text));
  ListRequest request;
  return ParseListRequest(query, true, &request).code;
}

TEST(ListRequest, ReadsWhatClientsSend) {
  const ListRequest request = Asked(
      "list-type=2&prefix=a%2Fb+c%2B&delimiter=%2F&max-keys=5&encoding-type=url&start-after=x&"
      "fetch-owner=true&continuation-token=t%3D");
  EXPECT_EQ(request.prefix, "a/b c+");
  EXPECT_EQ(request.delimiter, "/");
  EXPECT_EQ(request.max_keys, 5u);
  EXPECT_TRUE(request.encode_url && request.fetch_owner);
  EXPECT_EQ(request.start_after, "x");
  EXPECT_EQ(request.continuation_token, "t=");
  EXPECT_EQ(Asked("max-keys=100000").max_keys, 1000u);
  EXPECT_EQ(Asked("max-keys=0").max_keys, 0u);
  EXPECT_EQ(Asked("marker=m%20", false).marker, "m ");
  for (const char* bad : {"max-keys=-1", "max-keys=", "max-keys=x", "max-keys=2147483648",
                          "encoding-type=base64", "fetch-owner=maybe", "continuation-token="})
    EXPECT_EQ(Refused(bad), ErrorCode::kInvalidArgument) << bad;
}

TEST(ListRequest, AsksTheOriginBelowTheMount) {
  EXPECT_EQ(OriginListQuery(Asked("prefix=p&delimiter=/&start-after=s"), "team a/"),
            "delimiter=%2F&encoding-type=url&list-type=2&max-keys=1000&prefix=team%20a%2Fp&"
            "start-after=team%20a%2Fs");
  EXPECT_EQ(OriginListQuery(Asked("", false), "a/"), "encoding-type=url&max-keys=1000&prefix=a%2F");
  EXPECT_EQ(OriginListQuery(Asked("continuation-token=x%2B"), ""),
            "continuation-token=x%2B&encoding-type=url&list-type=2&max-keys=1000");
}

const char kPage[] =
    "<?xml version=\"1.0\"?><ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">"
    "<Name>training</Name><Prefix>a%2F</Prefix><EncodingType>url</EncodingType><KeyCount>4</"
    "KeyCount>"
    "<IsTruncated>true</IsTruncated><NextContinuationToken>tok</NextContinuationToken>"
    "<Contents><Key>a%2F</Key><Size>0</Size></Contents>"
    "<Contents><Key>a/b%20+%26%0D</Key><LastModified>2026-01-01T00:00:00.000Z</LastModified>"
    "<ETag>&quot;e&quot;</ETag><Size>5000000000000</Size><Owner><ID>o</ID></Owner>"
    "<StorageClass>GLACIER</StorageClass></Contents>"
    "<Contents><Key>elsewhere/x</Key><Size>1</Size></Contents>"
    "<CommonPrefixes><Prefix>a/sub/</Prefix></CommonPrefixes></ListBucketResult>";

TEST(ListPage, IsReadStrippedAndWrittenForTheClient) {
  ListPage page = *ParseListPage(kPage);
  ASSERT_EQ(page.objects.size(), 3u);
  EXPECT_EQ(page.objects[1].key, "a/b  &\r");
  EXPECT_EQ(page.objects[1].bytes, 5000000000000u);
  StripPrefix("a/", true, &page);
  ASSERT_EQ(page.objects.size(), 1u);  // the folder itself and the stranger are gone
  const std::string xml = WriteListPage("data", Asked("encoding-type=url&delimiter=/"), page);
  EXPECT_EQ(xml,
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<ListBucketResult "
            "xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Name>data</Name><Prefix></Prefix>"
            "<NextContinuationToken>tok</NextContinuationToken><KeyCount>2</KeyCount>"
            "<MaxKeys>1000</MaxKeys><Delimiter>/</Delimiter><EncodingType>url</EncodingType>"
            "<IsTruncated>true</IsTruncated><Contents><Key>b%20%20%26%0D</Key>"
            "<LastModified>2026-01-01T00:00:00.000Z</LastModified><ETag>&quot;e&quot;</ETag>"
            "<Size>5000000000000</Size><StorageClass>GLACIER</StorageClass></Contents>"
            "<CommonPrefixes><Prefix>sub/</Prefix></CommonPrefixes></ListBucketResult>");
  // What we write is what we read.
  const ListPage again = *ParseListPage(xml);
  EXPECT_EQ(again.objects[0].key, page.objects[0].key);
  EXPECT_EQ(again.common_prefixes, page.common_prefixes);
  EXPECT_EQ(again.next, "tok");
}

TEST(ListPage, EscapesKeysWhenTheClientDidNotAskForEncoding) {
  ListPage page;
  page.objects.push_back({.key = "<&>\"\r"});
  const std::string xml = WriteListPage("b", Asked(""), page);
  EXPECT_NE(xml.find("<Key>&lt;&amp;&gt;&quot;&#13;</Key>"), std::string::npos) << xml;
  EXPECT_EQ(ParseListPage(xml)->objects[0].key, "<&>\"\r");
}

TEST(ListPage, RefusesWhatIsNotAList) {
  for (const char* bad :
       {"", "<x/>", "<ListBucketResult>", "<Error><Code>x</Code></Error>",
        "<ListBucketResult><Contents><Size>x</Size></Contents></ListBucketResult>",
        "<!DOCTYPE a [<!ENTITY b \"c\">]><ListBucketResult><Name>&b;</Name></ListBucketResult>"})
    EXPECT_EQ(ParseListPage(bad).status().code(), base::Code::kInvalidArgument) << bad;
  std::string many = "<ListBucketResult>";
  for (std::size_t i = 0; i <= kMaxListKeys; ++i) many += "<Contents><Key>k</Key></Contents>";
  EXPECT_FALSE(ParseListPage(many + "</ListBucketResult>").ok());
  std::string deep;
  for (int i = 0; i <= kMaxXmlDepth; ++i) deep += "<ListBucketResult>";
  EXPECT_FALSE(ParseListPage(deep).ok());
  EXPECT_EQ(ParseListPage(std::string(kMaxXmlBytes + 1, ' ')).status().code(),
            base::Code::kResourceExhausted);
}

TEST(Documents, ReadAnOriginsError) {
  const OriginError error =
      *ParseErrorXml("<Error><Code>NoSuchKey</Code><Message>m &amp; n</Message></Error>");
  EXPECT_EQ(error.code, "NoSuchKey");
  EXPECT_EQ(error.message, "m & n");
  EXPECT_FALSE(ParseErrorXml("<html></html>").ok());
}

TEST(Documents, DeleteRequestsRoundTripAndKeepTenantsApart) {
  const DeleteRequest request = *ParseDeleteRequest(
      "<Delete "
      "xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Object><Key>a&amp;b</Key></Object>"
      "<Object><Key>c</Key><VersionId>1</VersionId></Object><Quiet>true</Quiet></Delete>");
  ASSERT_EQ(request.entries.size(), 2u);
  EXPECT_TRUE(request.quiet);
  const DeleteRequest again = *ParseDeleteRequest(WriteDeleteRequest(request));
  EXPECT_EQ(again.entries[0].key, "a&b");
  EXPECT_EQ(again.entries[1].version_id, "1");
  for (const char* bad : {"<Delete/>", "<Delete><Object><Key></Key></Object></Delete>", "<Other/>",
                          "<Delete><Object><Key>a/../../other/k</Key></Object></Delete>",
                          "<Delete><Object><Key>a</Key><ETag>e</ETag></Object></Delete>"})
    EXPECT_FALSE(ParseDeleteRequest(bad).ok()) << bad;
  std::string many = "<Delete>";
  for (std::size_t i = 0; i <= kMaxDeleteKeys; ++i) many += "<Object><Key>k</Key></Object>";
  EXPECT_FALSE(ParseDeleteRequest(many + "</Delete>").ok());
}

TEST(Documents, DeleteResultsRoundTrip) {
  const std::vector<DeleteOutcome> outcomes = *ParseDeleteResult(
      "<DeleteResult><Deleted><Key>a</Key><DeleteMarker>true</DeleteMarker></Deleted>"
      "<Error><Key>b</Key><Code>AccessDenied</Code><Message>no</Message></Error></DeleteResult>");
  ASSERT_EQ(outcomes.size(), 2u);
  EXPECT_EQ(outcomes[1].error_code, "AccessDenied");
  const auto again = *ParseDeleteResult(WriteDeleteResult(outcomes));
  EXPECT_EQ(again[0].delete_marker, "true");
  EXPECT_EQ(again[1].error_message, "no");
}

TEST(Documents, RenameKeepsTheRestOfADocument) {
  EXPECT_EQ(
      *RenameObject("<ListPartsResult><Bucket>training</Bucket><Key>team/k</Key>"
                    "<Part><PartNumber>1</PartNumber><Key>x</Key></Part><Empty/>"
                    "</ListPartsResult>",
                    "data", "k&"),
      "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<ListPartsResult "
      "xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Bucket>data</Bucket><Key>k&amp;</Key>"
      "<Part><PartNumber>1</PartNumber><Key>x</Key></Part><Empty></Empty></ListPartsResult>");
  EXPECT_FALSE(RenameObject("<a><b></a>", "b", "k").ok());
}

// The names told for a query, then the token of the next page; or "!Code".
std::string BucketsFor(const std::string& text) {
  Query query;
  EXPECT_FALSE(query.Parse(text));
  BucketPage page;
  if (const Error error = ReadBucketPage(query, "us-east-1", &page))
    return "!" + std::string(Describe(error.code).code);
  const std::string xml = WriteBuckets(
      "t", page, {{"data-a", "now"}, {"data-b", "now"}, {"data-c", "now"}, {"other", "now"}});
  std::string told;
  const auto take = [&](std::string_view name) {
    const std::string open = "<" + std::string(name) + ">";
    for (std::size_t at = xml.find(open); at != std::string::npos; at = xml.find(open, at + 1)) {
      const std::size_t begin = at + open.size();
      told += xml.substr(begin, xml.find('<', begin) - begin) + " ";
    }
  };
  take("Name");
  take("ContinuationToken");
  return told;
}

TEST(Documents, BucketsAreToldInPagesAsAskedFor) {
  EXPECT_EQ(BucketsFor(""), "data-a data-b data-c other ");
  EXPECT_EQ(BucketsFor("prefix=data-"), "data-a data-b data-c ");
  EXPECT_EQ(BucketsFor("prefix=none"), "");
  EXPECT_EQ(BucketsFor("max-buckets=2"), "data-a data-b data-b ");
  EXPECT_EQ(BucketsFor("max-buckets=2&continuation-token=data-b"), "data-c other ");
  EXPECT_EQ(BucketsFor("max-buckets=2&prefix=data-&continuation-token=data-b"), "data-c ");
  EXPECT_EQ(BucketsFor("bucket-region=us-east-1&max-buckets=10000"), "data-a data-b data-c other ");
  EXPECT_EQ(BucketsFor("bucket-region=eu-west-1"), "");
  for (const char* bad : {"max-buckets=0", "max-buckets=10001", "max-buckets=-3",
                          "max-buckets=", "max-buckets=2x", "continuation-token=a%2Fb"})
    EXPECT_EQ(BucketsFor(bad), "!InvalidArgument") << bad;
}

TEST(Documents, BucketsAndLocations) {
  EXPECT_NE(WriteBuckets("t", {}, {{"data", "2026-01-01T00:00:00Z"}})
                .find("<Bucket><Name>data</Name><CreationDate>2026-01-01T00:00:00Z"),
            std::string::npos);
  EXPECT_NE(WriteLocation("eu-west-1").find(">eu-west-1</LocationConstraint>"), std::string::npos);
  EXPECT_NE(WriteLocation("us-east-1").find("/>"), std::string::npos);
}

}  // namespace
}  // namespace sluice::s3
