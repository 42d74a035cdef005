#include "datapath/serve/directory.h"

#include <gtest/gtest.h>

#include "datapath/serve/lists.h"
#include "datapath/serve/object_head.h"

namespace sluice::serve {
namespace {

using s3::Access;
using s3::ErrorCode;

class DirectoryTest : public ::testing::Test {
 protected:
  DirectoryTest() {
    auto config = std::make_shared<control::Config>();
    config->origins = {{.name = "lake", .endpoint = "http://x"}};
    config->mounts = {{"/data", "lake", "big", "curated/"},
                      {"/data/raw", "lake", "raw", ""},
                      {"/data/raw/secret", "lake", "vault", "s/"}};
    config->tenants = {
        {"a",
         {{"AK", "s", ""}},
         {{"/data", control::kRead}, {"/data/raw", control::kRead | control::kList}}},
        {"b", {{"BK", "s", ""}, {"BK2", "s2", ""}}, {{"/data/raw/secret", control::kRead}}}};
    directory_ = std::make_unique<Directory>(config, metrics_);
    a_ = directory_->FindKey("AK")->tenant;
    b_ = directory_->FindKey("BK2")->tenant;
  }
  ErrorCode Try(const TenantEntry* tenant, std::string_view bucket, std::string_view key,
                Access access = Access::kRead) {
    return directory_->Resolve(*tenant, bucket, key, access).error.code;
  }
  std::string OriginOf(std::string_view key) {
    const MountEntry* mount = directory_->MountOf("data", key);
    std::string out = mount->origin_bucket + ":";
    Directory::AppendOriginKey(*mount, key, &out);
    return out;
  }

  AgentMetrics metrics_{1, "lab"};
  std::unique_ptr<Directory> directory_;
  const TenantEntry* a_ = nullptr;
  const TenantEntry* b_ = nullptr;
};

TEST_F(DirectoryTest, TheLongestMountDecides) {
  EXPECT_EQ(OriginOf("x/y"), "big:curated/x/y");
  EXPECT_EQ(OriginOf("raw/x"), "raw:x");
  EXPECT_EQ(OriginOf("raw/secret/k"), "vault:s/k");
  EXPECT_EQ(OriginOf("rawx"), "big:curated/rawx");  // a name that only begins alike
}

TEST_F(DirectoryTest, AGrantOnTheOuterMountDoesNotReachIntoAnInnerOne) {
  EXPECT_EQ(Try(a_, "data", "raw/x"), ErrorCode::kNone);
  EXPECT_EQ(Try(a_, "data", "raw/secret/k"), ErrorCode::kAccessDenied);
  EXPECT_EQ(Try(b_, "data", "raw/secret/k"), ErrorCode::kNone);
  EXPECT_EQ(Try(b_, "data", "x"), ErrorCode::kAccessDenied);
}

TEST_F(DirectoryTest, VerbsAreGrantedOneByOne) {
  EXPECT_EQ(Try(a_, "data", "raw/x", Access::kList), ErrorCode::kNone);
  EXPECT_EQ(Try(a_, "data", "x", Access::kList), ErrorCode::kAccessDenied);
  EXPECT_EQ(Try(a_, "data", "raw/x", Access::kWrite), ErrorCode::kAccessDenied);
  EXPECT_EQ(Try(a_, "data", "raw/x", Access::kDelete), ErrorCode::kAccessDenied);
}

TEST_F(DirectoryTest, UnknownBucketsAndKeysSaySo) {
  EXPECT_EQ(Try(a_, "nope", "x"), ErrorCode::kNoSuchBucket);
  EXPECT_EQ(directory_->FindKey("ak"), nullptr);
  EXPECT_FALSE(directory_->ResolveBucket(*b_, "data"));
  EXPECT_EQ(directory_->Buckets(*a_), std::vector<std::string_view>{"data"});
}

TEST_F(DirectoryTest, CacheNamesGiveTheOriginKeyBack) {
  std::string name;
  Directory::AppendCacheName(*directory_->MountOf("data", "x/y"), "x/y", &name);
  EXPECT_EQ(Directory::OriginKeyOf(name), "curated/x/y");
}

TEST_F(DirectoryTest, AListReadBeforeAWriteIsNotKept) {
  store::MemoryPool pool(64 << 20);
  ListCache lists(pool);
  const MountEntry& mount = *directory_->MountOf("data", "x");
  const MountEntry& other = *directory_->MountOf("data", "raw/x");
  const auto entry = std::make_shared<ListCache::Entry>(ListCache::Entry{"<xml/>", {}});
  const std::uint64_t generation = lists.Generation(mount);
  lists.Put(mount, "q", generation, entry);
  EXPECT_EQ(lists.Get(mount, "q"), entry);
  EXPECT_EQ(lists.Get(other, "q"), nullptr);  // never shared between mounts
  lists.ForgetMount(mount);
  EXPECT_EQ(lists.Get(mount, "q"), nullptr);
  lists.Put(mount, "q", generation, entry);
  EXPECT_EQ(lists.Get(mount, "q"), nullptr);
}

TEST(ObjectHead, KeepsWhatIsTheObjectsAndDropsTheRest) {
  http1::Headers headers;
  headers.Add("ETag", "\"e\"");
  headers.Add("Content-Type", "image/png");
  headers.Add("x-amz-meta-Camera", "left");
  headers.Add("x-amz-request-id", "origin's own");
  headers.Add("Server", "origin");
  auto meta = MetaFromHead(headers, 10);
  ASSERT_TRUE(meta.ok());
  EXPECT_EQ(meta->rendered,
            "ETag: \"e\"\r\nContent-Type: image/png\r\nx-amz-meta-Camera: left\r\n");
}

TEST(ObjectHead, RefusesWhatMustNotBeCached) {
  http1::Headers none;
  EXPECT_FALSE(MetaFromHead(none, 10).ok());
  http1::Headers secret;
  secret.Add("ETag", "\"e\"");
  secret.Add("x-amz-server-side-encryption-customer-algorithm", "AES256");
  EXPECT_FALSE(MetaFromHead(secret, 10).ok());
  http1::Headers huge;
  huge.Add("ETag", "\"e\"");
  const std::string value(14'000, 'x');
  huge.Add("x-amz-meta-a", value);
  EXPECT_FALSE(MetaFromHead(huge, 10).ok());
}

TEST(ObjectHead, AnOverrideCannotEndItsLine) {
  store::ObjectMeta meta;
  meta.etag = "\"e\"";
  meta.headers = {{"Content-Type", "image/png"}};
  s3::Query query;
  ASSERT_FALSE(query.Parse("response-content-type=a%0d%0aSet-Cookie:x"));
  EXPECT_EQ(RenderMetaWithOverrides(meta, query), "ETag: \"e\"\r\nContent-Type: image/png\r\n");
  s3::Query good;
  ASSERT_FALSE(good.Parse("response-content-type=text%2Fcsv"));
  EXPECT_EQ(RenderMetaWithOverrides(meta, good), "ETag: \"e\"\r\nContent-Type: text/csv\r\n");
}

TEST(Histogram, PutsObservationsIntoCumulativeBuckets) {
  Histogram histogram(1);
  histogram.Observe(std::chrono::microseconds(90));
  histogram.Observe(std::chrono::milliseconds(200));
  histogram.Observe(std::chrono::seconds(60));
  std::string text;
  histogram.Render(&text, "t", "a=\"b\"");
  EXPECT_NE(text.find("t_bucket{a=\"b\",le=\"0.0001\"} 1\n"), std::string::npos);
  EXPECT_NE(text.find("t_bucket{a=\"b\",le=\"0.25\"} 2\n"), std::string::npos);
  EXPECT_NE(text.find("t_bucket{a=\"b\",le=\"+Inf\"} 3\n"), std::string::npos);
  EXPECT_NE(text.find("t_count{a=\"b\"} 3\n"), std::string::npos);
}

}  // namespace
}  // namespace sluice::serve
