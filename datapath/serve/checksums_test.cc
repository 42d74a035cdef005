// Checksums of objects: brought by what asks for the whole, told to who asks, never with a part.
#include "datapath/testing/server_rig.h"

namespace sluice::serve {
namespace {

using testing::Answer;
using testing::ScriptOrigin;
using testing::ServerRig;
using testing::TestClient;

constexpr const char* kSum = "x-amz-checksum-crc32";
const s3::OutgoingHeader kMode{"x-amz-checksum-mode", "ENABLED"};

class ChecksumsTest : public ServerRig {
 protected:
  base::Clock& clock() override { return fake_clock_; }
  // As Amazon's: checksums to who asks for the whole, and with a part those of a part.
  void Start() {
    origin_.SetTamper([this](const origin::Request& request, ScriptOrigin::Reply& reply) {
      std::string seen = request.method == http1::Method::kHead ? "HEAD" : "GET";
      bool asks = false;
      for (const auto& [name, value] : request.headers) {
        asks = asks || name == "x-amz-checksum-mode";
        if (name == "range") seen += " part";
      }
      if (asks) seen += " sums";
      asked_.push_back(seen);
      if (asks && has_sums_ && reply.status < 300) {
        reply.headers.emplace_back(kSum, reply.status == 200 ? "d2hvbGU=" : "cGFydA==");
        reply.headers.emplace_back("x-amz-checksum-type", "FULL_OBJECT");
      }
    });
    StartServer();
  }
  // Read while nothing is on its way to the origin.
  std::vector<std::string> Asked() { return std::exchange(asked_, {}); }
  static bool Told(const Answer& answer) {
    const bool sum = answer.headers.contains(kSum);
    EXPECT_EQ(sum, answer.headers.contains("x-amz-checksum-type"));
    if (sum) {
      EXPECT_EQ(answer.headers.at(kSum), "d2hvbGU=");
    }
    return sum;
  }
  Answer HeadOf(std::string_view key, std::vector<s3::OutgoingHeader> headers = {}) {
    TestClient client = NewClient();
    client.SendRaw(Head("HEAD", "/data/" + std::string(key), std::move(headers)));
    return client.Receive(http1::Method::kHead);
  }
  using Seen = std::vector<std::string>;

  base::FakeClock fake_clock_;
  std::vector<std::string> asked_;  // under the origin's mutex while the server runs
  bool has_sums_ = true;
};

TEST_F(ChecksumsTest, OneColdReadOfTheWholeBringsThemAndEveryHitTellsThemToWhoAsks) {
  Start();
  origin_.Put("in/a", "\"v1\"", Body(3 * kChunk + 5, 1));
  const Answer cold = Get("a", {kMode});
  EXPECT_TRUE(cold.body == Body(3 * kChunk + 5, 1));
  EXPECT_EQ(cold.headers.at("x-sluice-cache"), "miss");
  EXPECT_TRUE(Told(cold));
  EXPECT_EQ(Asked(), Seen{"GET sums"});
  const Answer hit = Get("a", {kMode});
  EXPECT_EQ(hit.headers.at("x-sluice-cache"), "hit");
  EXPECT_TRUE(Told(hit));
  EXPECT_TRUE(Told(HeadOf("a", {kMode})));
  EXPECT_FALSE(Told(Get("a")));
  EXPECT_FALSE(Told(HeadOf("a")));
  const Answer part = Get("a", {{"range", "bytes=1-2"}, kMode});
  EXPECT_EQ(part.status, 206);
  EXPECT_FALSE(Told(part));
  const Answer same = Get("a", {{"if-none-match", "\"v1\""}, kMode});
  EXPECT_EQ(same.status, 304);
  EXPECT_FALSE(Told(same));
  EXPECT_EQ(Asked(), Seen{});
}

TEST_F(ChecksumsTest, WhatWasReadWithoutThemIsAskedForThemOnce) {
  Start();
  origin_.Put("in/a", "\"v1\"", "bytes");
  EXPECT_FALSE(Told(Get("a")));
  EXPECT_FALSE(Told(Get("a", {{"range", "bytes=1-2"}, kMode})));
  EXPECT_EQ(Asked(), Seen{"GET part"});
  for (int i = 0; i < 3; ++i) {
    const Answer answer = Get("a", {kMode});
    EXPECT_TRUE(Told(answer));
    EXPECT_EQ(answer.body, "bytes");
  }
  EXPECT_EQ(Asked(), Seen{"HEAD sums"});
  // An origin that has none is not asked again either.
  has_sums_ = false;
  origin_.Put("in/b", "\"v1\"", "");
  for (int i = 0; i < 3; ++i) EXPECT_FALSE(Told(Get("b", {kMode})));
  EXPECT_EQ(Asked(), Seen{"GET sums"});
}

TEST_F(ChecksumsTest, OfALongObjectTheFirstWindowComesWithThemAndTheRestByRanges) {
  Start();
  const std::string body = Body(kFillWindowBytes + 3 * kChunk + 7, 2);
  origin_.Put("in/long", "\"v1\"", body);
  const Answer cold = Get("long", {kMode});
  ASSERT_TRUE(cold.body == body);
  EXPECT_TRUE(Told(cold));
  EXPECT_EQ(Asked(), (Seen{"GET sums", "GET part"}));
  EXPECT_LE(origin_.bytes_sent(), body.size() + 2 * kChunk) << "the whole was not read to its end";
}

TEST_F(ChecksumsTest, WhoJoinsALoadThatDidNotAskIsToldAllTheSame) {
  Start();
  origin_.Put("in/a", "\"v1\"", "bytes");
  origin_.Hold(true);
  TestClient plain = NewClient();
  TestClient asking = NewClient();
  plain.SendRaw(Head("GET", "/data/a"));
  asking.SendRaw(Head("GET", "/data/a", {kMode}));
  origin_.Hold(false);
  std::atomic<bool> stop{false};
  std::thread time([&] {  // held answers look again every millisecond
    while (!stop.load()) {
      fake_clock_.Advance(std::chrono::milliseconds(1));
      // No faster than real time, or the origin's deadline passes before its answer is read.
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
  });
  const Answer first = plain.Receive();
  const Answer second = asking.Receive();
  stop.store(true);
  time.join();
  EXPECT_EQ(first.body, "bytes");
  EXPECT_FALSE(Told(first));
  EXPECT_EQ(second.body, "bytes");
  EXPECT_TRUE(Told(second));
}

TEST_F(ChecksumsTest, AnotherVersionHasItsOwn) {
  Start();
  origin_.Put("in/a", "\"v1\"", "bytes");
  EXPECT_TRUE(Told(Get("a", {kMode})));
  has_sums_ = false;
  origin_.Put("in/a", "\"v2\"", "other");
  fake_clock_.Advance(std::chrono::hours(2));
  EXPECT_EQ(Get("a", {kMode}).body, "other");
  EXPECT_FALSE(Told(Get("a", {kMode})));
}

TEST_F(ChecksumsTest, ThoseInTheQueryOfAnUploadAreNotPassedOn) {
  Start();
  TestClient client = NewClient();
  client.SendRaw(Head("PUT", "/data/up", {},
                      "x-amz-checksum-crc32=AAAAAA%3D%3D&x-amz-sdk-checksum-algorithm=CRC32", 5) +
                 "hello");
  EXPECT_EQ(client.Receive().status, 200);
  EXPECT_EQ(origin_.upload_query(), "");
  EXPECT_EQ(Get("up").body, "hello");
}

}  // namespace
}  // namespace sluice::serve
