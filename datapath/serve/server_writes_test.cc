// Writes through the server, and the reads that meet them.
#include "datapath/serve/server.h"
#include "datapath/testing/server_rig.h"

namespace sluice::serve {
namespace {

using testing::Answer;
using testing::ServerRig;
using testing::TestClient;
using Reply = testing::ScriptOrigin::Reply;

class ServerWritesTest : public ServerRig {};

TEST_F(ServerWritesTest, UploadsPassThroughAndAreSeenAtOnce) {
  StartServer();
  origin_.Put("in/a", "\"v1\"", "old");
  EXPECT_EQ(Get("a").body, "old");
  TestClient client = NewClient();
  client.SendRaw(Head("PUT", "/data/a", {{"expect", "100-continue"}}, {}, 5));
  EXPECT_EQ(client.Receive().status, 100);
  client.SendRaw("fresh");
  EXPECT_EQ(client.Receive().status, 200);
  EXPECT_EQ(Get(client, "a").body, "fresh");  // on the same connection
}

// botocore 1.43 cannot read the next answer on a connection behind one that came without the word.
TEST_F(ServerWritesTest, AnUploadOfNothingThatWaitsIsToldToGoOn) {
  StartServer();
  TestClient client = NewClient();
  client.SendRaw(Head("PUT", "/data/a", {{"expect", "100-continue"}}, {}, 0));
  EXPECT_EQ(client.Receive().status, 100);
  EXPECT_EQ(client.Receive().status, 200);
  EXPECT_EQ(Get(client, "a").body, "");
}

TEST_F(ServerWritesTest, AReadUnderWayDuringAWriteDoesNotBringTheOldBytesBack) {
  StartServer();
  origin_.Put("in/a", "\"v1\"", "old");
  TestClient reader = NewClient();
  std::atomic<bool> asked{false};
  origin_.SetTamper([&](const origin::Request&, Reply&) { asked = true; });
  reader.SendRaw(Head("GET", "/data/a"));
  ASSERT_TRUE(Until([&] { return asked.load(); }));
  EXPECT_EQ(reader.Receive().body, "old");
  TestClient writer = NewClient();
  writer.SendRaw(Head("PUT", "/data/a", {}, {}, 3) + "new");
  EXPECT_EQ(writer.Receive().status, 200);
  EXPECT_EQ(Get("a").body, "new");
}

TEST_F(ServerWritesTest, AReadThatJoinsALoadBegunBeforeAWriteSeesTheWrite) {
  StartServer();
  origin_.Put("in/a", "\"v1\"", "old");
  // The first read's answer is decided (old), and kept back until the write is acknowledged.
  std::atomic<int> asked{0};
  std::atomic<bool> hold{true};
  origin_.SetTamper([&](const origin::Request& request, Reply& reply) {
    if (request.method != http1::Method::kGet || ++asked > 1) return;
    reply.wait = [&] { return hold.load(); };
  });
  TestClient first = NewClient();
  first.SendRaw(Head("GET", "/data/a"));
  ASSERT_TRUE(Until([&] { return asked.load() == 1; }));
  TestClient writer = NewClient();
  writer.SendRaw(Head("PUT", "/data/a", {}, {}, 3) + "new");
  ASSERT_EQ(writer.Receive().status, 200);
  TestClient second = NewClient();
  const std::uint64_t waits = server_->cache().pool().buffers_used();
  second.SendRaw(Head("GET", "/data/a"));  // joins the load of the first
  ASSERT_TRUE(Until([&] { return server_->cache().pool().buffers_used() > waits; }));
  hold = false;
  EXPECT_EQ(second.Receive().body, "new");
  EXPECT_EQ(first.Receive().status, 200);
  EXPECT_EQ(Get("a").body, "new");
  // And when the origin goes away, the old bytes are not what is left.
  origin_.SetTamper(
      [](const origin::Request&, Reply& reply) { reply.instead = base::Unavailable("away"); });
  EXPECT_NE(Get("a").body, "old");
}

TEST_F(ServerWritesTest, AChecksumBehindTheBodyReachesTheOriginBehindTheBody) {
  StartServer();
  const std::string framed = "3\r\nabc\r\n0\r\nx-amz-checksum-crc32:NSRBwg==\r\n\r\n";
  // The client cuts its chunks as it likes; the origin gets one.
  const std::string sent = "1\r\na\r\n2\r\nbc\r\n0\r\nx-amz-checksum-crc32:NSRBwg==\r\n\r\n";
  TestClient client = NewClient();
  client.SendRaw(Head("PUT", "/data/a",
                      {{"content-encoding", "aws-chunked"},
                       {"x-amz-decoded-content-length", "3"},
                       {"x-amz-trailer", "x-amz-checksum-crc32"}},
                      {}, sent.size(), "STREAMING-UNSIGNED-PAYLOAD-TRAILER") +
                 sent);
  EXPECT_EQ(client.Receive().status, 200);
  EXPECT_EQ(Get(client, "a").body, framed);  // this origin keeps what it was sent
  const std::string wrong = "3\r\nabd\r\n0\r\nx-amz-checksum-crc32:NSRBwg==\r\n\r\n";
  client.SendRaw(Head("PUT", "/data/b",
                      {{"content-encoding", "aws-chunked"},
                       {"x-amz-decoded-content-length", "3"},
                       {"x-amz-trailer", "x-amz-checksum-crc32"}},
                      {}, wrong.size(), "STREAMING-UNSIGNED-PAYLOAD-TRAILER") +
                 wrong);
  EXPECT_EQ(client.Receive().status, 400);
  EXPECT_EQ(Get("b").status, 404);
}

TEST_F(ServerWritesTest, AnUploadOfNothingIsCheckedAndKeepsTheConnection) {
  StartServer();
  TestClient client = NewClient();
  for (int i = 0; i < 2; ++i) {
    client.SendRaw(Head("PUT", "/data/a", {{"x-amz-checksum-crc32", "AAAAAA=="}}, {}, 0));
    const Answer answer = client.Receive();
    EXPECT_EQ(answer.status, 200) << answer.body;
    EXPECT_FALSE(answer.headers.contains("Connection"));
  }
  EXPECT_EQ(Get(client, "a").status, 200);
  client.SendRaw(Head("PUT", "/data/b", {{"x-amz-checksum-crc32", "AAAAAQ=="}}, {}, 0));
  EXPECT_EQ(client.Receive().status, 400);
  EXPECT_EQ(Get(client, "b").status, 404);
}

TEST_F(ServerWritesTest, RepeatedMetadataReachesTheOriginAsOneValue) {
  StartServer();
  std::string head =
      Head("PUT", "/data/a", {{"x-amz-meta-key", "one,two"}, {"x-amz-meta-other", "x"}}, {}, 3);
  const std::string line = "x-amz-meta-key: one,two\r\n";  // signed alike in two lines
  ASSERT_NE(head.find(line), std::string::npos) << head;
  head.replace(head.find(line), line.size(), "x-amz-meta-key: one\r\nx-amz-meta-key: two\r\n");
  TestClient client = NewClient();
  client.SendRaw(head + "abc");
  EXPECT_EQ(client.Receive().status, 200) << head;
  std::vector<std::string> sent;
  for (const auto& [name, value] : origin_.upload_headers())
    if (name.starts_with("x-amz-meta-")) sent.push_back(name + ": " + value);
  EXPECT_EQ(sent, (std::vector<std::string>{"x-amz-meta-key: one,two", "x-amz-meta-other: x"}));
}

TEST_F(ServerWritesTest, AnOriginsErrorIsToldInItsWordsButNeitherItsNamesNorItsViewOfUs) {
  StartServer();
  const auto deleted = [&](int status, const std::string& code, const std::string& message) {
    origin_.SetTamper([=](const origin::Request&, Reply& reply) {
      reply.status = status;
      reply.headers.clear();
      reply.body = "<Error><Code>" + code + "</Code><Message>" + message + "</Message></Error>";
      reply.content_length = reply.body.size();
    });
    TestClient client = NewClient();
    client.SendRaw(Head("DELETE", "/data/a"));
    return client.Receive();
  };
  const auto tells = [](const Answer& answer, int status, std::string_view text) {
    EXPECT_EQ(answer.status, status) << answer.body;
    EXPECT_NE(answer.body.find(text), std::string::npos) << answer.body;
  };
  tells(deleted(409, "OperationAborted", "Not &lt;now&gt;."), 409,
        "<Code>OperationAborted</Code><Message>Not &lt;now&gt;.</Message>");
  const Answer named = deleted(400, "EntityTooSmall", "no room for in/a");
  tells(named, 400, "<Code>EntityTooSmall</Code><Message>Invalid Request</Message>");
  tells(deleted(403, "InvalidAccessKeyId", "who is LAKE?"), 403, "<Code>AccessDenied</Code>");
  tells(deleted(400, "Not a word", "x"), 400, "<Code>InvalidRequest</Code>");
}

}  // namespace
}  // namespace sluice::serve
