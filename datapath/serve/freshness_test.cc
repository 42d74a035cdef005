// The stated bound for changes made elsewhere: an answer's age counts from the question, whatever
// was kept: lists, versions of objects, absence.
#include <atomic>

#include "datapath/testing/server_rig.h"

namespace sluice::serve {
namespace {

using testing::Answer;
using testing::ScriptOrigin;
using testing::ServerRig;
using testing::TestClient;

constexpr std::chrono::seconds kTtl{5};

class FreshnessTest : public ServerRig {
 protected:
  base::Clock& clock() override { return fake_clock_; }
  void Start() {
    control::Config config = BaseConfig();
    config.threads = 1;
    config.cache.metadata_ttl = kTtl;
    StartServer(config);
  }
  // What the origin is asked from now on it decides at once, and its answer is on its way until
  // Deliver().
  void DelayAnswers() {
    held_.store(true);
    origin_.SetTamper([this](const origin::Request& request, ScriptOrigin::Reply& reply) {
      if (request.key.empty()) {
        reply.status = 200;
        reply.body = list_;
        reply.content_length = list_.size();
      }
      const bool slow = request.key != "in/other";
      if (!slow) return;
      asked_.fetch_add(1);
      if (held_.load()) reply.wait = [this] { return held_.load(); };
    });
  }
  void Deliver() {
    held_.store(false);
    fake_clock_.Advance(std::chrono::milliseconds(2));  // the script looks every millisecond
    Turn();
  }
  // The loop has run, and has seen what was sent to it before.
  void Turn() {
    TestClient client = NewClient();
    EXPECT_EQ(Get(client, "other").body, "x");
  }
  void SetList(const std::string& key) {
    list_ =
        "<ListBucketResult><Name>bucket</Name><IsTruncated>false</IsTruncated><Contents><Key>in/" +
        key + "</Key><Size>1</Size><ETag>\"e\"</ETag></Contents></ListBucketResult>";
  }
  Answer List(TestClient& client) {
    client.SendRaw(Head("GET", "/data", {}, "list-type=2"));
    return client.Receive();
  }

  base::FakeClock fake_clock_;
  std::atomic<bool> held_{false};
  std::atomic<int> asked_{0};
  std::string list_;  // changed only while no question is on its way to the origin
};

TEST_F(FreshnessTest, AListIsAsOldAsItsQuestionNotAsItsAnswer) {
  Start();
  origin_.Put("in/other", "\"o\"", "x");
  SetList("old");
  DelayAnswers();
  Turn();
  TestClient first = NewClient();
  first.SendRaw(Head("GET", "/data", {}, "list-type=2"));
  ASSERT_TRUE(Until([&] { return asked_.load() == 1; }));
  SetList("new");  // elsewhere
  fake_clock_.Advance(kTtl + std::chrono::seconds(1));
  Deliver();
  EXPECT_NE(first.Receive().body.find("old"), std::string::npos);  // its question came before
  TestClient second = NewClient();
  Answer answer = List(second);
  EXPECT_EQ(answer.headers["x-sluice-cache"], "miss");
  EXPECT_NE(answer.body.find("new"), std::string::npos);
  EXPECT_EQ(List(second).headers["x-sluice-cache"], "hit");
  EXPECT_EQ(asked_.load(), 2);
}

TEST_F(FreshnessTest, AVersionIsConfirmedAsOfItsQuestion) {
  Start();
  origin_.Put("in/other", "\"o\"", "x");
  origin_.Put("in/a", "\"v1\"", "old bytes");
  DelayAnswers();
  Turn();
  TestClient first = NewClient();
  first.SendRaw(Head("GET", "/data/a"));
  ASSERT_TRUE(Until([&] { return asked_.load() == 1; }));
  origin_.Put("in/a", "\"v2\"", "new bytes");  // elsewhere
  fake_clock_.Advance(kTtl + std::chrono::seconds(1));
  Deliver();
  EXPECT_EQ(first.Receive().body, "old bytes");
  EXPECT_EQ(Get("a").body, "new bytes");
}

TEST_F(FreshnessTest, ALateCallerIsNotToldWhatWasAskedTooLongAgo) {
  Start();
  origin_.Put("in/other", "\"o\"", "x");
  origin_.Put("in/a", "\"v1\"", "old bytes");
  DelayAnswers();
  Turn();
  TestClient first = NewClient();
  first.SendRaw(Head("GET", "/data/a"));
  ASSERT_TRUE(Until([&] { return asked_.load() == 1; }));
  TestClient early = NewClient();
  early.SendRaw(Head("GET", "/data/a"));
  Turn();  // it has joined the first
  origin_.Put("in/a", "\"v2\"", "new bytes");
  fake_clock_.Advance(kTtl + std::chrono::seconds(1));
  std::vector<TestClient> late;
  for (int i = 0; i < 3; ++i) {
    late.push_back(NewClient());
    late.back().SendRaw(Head("GET", "/data/a"));
  }
  Turn();
  EXPECT_EQ(asked_.load(), 1);
  Deliver();
  EXPECT_EQ(first.Receive().body, "old bytes");
  EXPECT_EQ(early.Receive().body, "old bytes");
  for (TestClient& client : late) EXPECT_EQ(client.Receive().body, "new bytes");
  EXPECT_EQ(asked_.load(), 2);  // one more for all three
}

TEST_F(FreshnessTest, AHeadRevalidatesAsOfItsQuestion) {
  Start();
  origin_.Put("in/other", "\"o\"", "x");
  origin_.Put("in/a", "\"v1\"", "old bytes");
  EXPECT_EQ(Get("a").body, "old bytes");
  fake_clock_.Advance(kTtl + std::chrono::seconds(1));
  DelayAnswers();
  TestClient first = NewClient();
  first.SendRaw(Head("HEAD", "/data/a"));
  ASSERT_TRUE(Until([&] { return asked_.load() == 1; }));
  origin_.Put("in/a", "\"v2\"", "new bytes");
  fake_clock_.Advance(kTtl + std::chrono::seconds(1));
  Deliver();
  EXPECT_EQ(first.Receive(http1::Method::kHead).headers["ETag"], "\"v1\"");
  EXPECT_EQ(Get("a").body, "new bytes");
}

TEST_F(FreshnessTest, AMountMayHaveABoundOfItsOwnShorterOrLonger) {
  control::Config config = BaseConfig();
  config.threads = 1;
  config.cache.metadata_ttl = kTtl;
  config.mounts[0].metadata_ttl = std::chrono::seconds(1);
  StartServer(config);
  DelayAnswers();
  held_.store(false);
  SetList("old");
  origin_.Put("in/a", "\"v1\"", "old bytes");
  TestClient client = NewClient();
  EXPECT_EQ(Get(client, "a").body, "old bytes");
  EXPECT_NE(List(client).body.find("old"), std::string::npos);
  origin_.Put("in/a", "\"v2\"", "new bytes");
  SetList("new");
  fake_clock_.Advance(std::chrono::seconds(2));  // kTtl is longer
  EXPECT_EQ(Get(client, "a").body, "new bytes");
  EXPECT_NE(List(client).body.find("new"), std::string::npos);

  config.mounts[0].metadata_ttl = std::chrono::hours(1);
  ASSERT_TRUE(server_->Apply(std::make_shared<control::Config>(config)).ok());
  EXPECT_EQ(Get(client, "a").body, "new bytes");
  origin_.Put("in/a", "\"v3\"", "newest");
  fake_clock_.Advance(2 * kTtl);
  EXPECT_EQ(Get(client, "a").body, "new bytes");
  config.mounts[0].metadata_ttl.reset();
  ASSERT_TRUE(server_->Apply(std::make_shared<control::Config>(config)).ok());
  EXPECT_EQ(Get(client, "a").body, "newest");
}

}  // namespace
}  // namespace sluice::serve
