// Requests, answers and failures, against an origin by script.
#include "datapath/origin/client_for_test.h"
#include "datapath/s3/sigv4_verify.h"

namespace sluice::origin {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::Answer;
using testing::ClientTest;
using testing::Imposter;
using testing::Peer;
using testing::Recorder;

TEST_F(ClientTest, SendsASignedRequestThatVerifies) {
  std::string head;
  Imposter origin({[&](Peer& peer) {
    head = peer.ReadHead();
    peer.Send(Answer(200, "x"));
  }});
  Connect(origin.url());
  Request request = Get("a b/\xc3\xa4");
  request.query = "versionId=3";
  request.headers = {{"range", "bytes=0-9"}, {"if-match", "\"e\""}};
  Recorder recorder;
  Run(recorder, std::move(request));
  ASSERT_TRUE(recorder.outcome.ok()) << recorder.outcome.ToString();
  http1::RequestParser parser;
  ASSERT_EQ(parser.Parse(head).state, http1::ParseState::kDone) << head;
  EXPECT_EQ(parser.request().target, "/b/a%20b/%C3%A4?versionId=3");
  s3::Query query;
  s3::Auth auth;
  s3::SigningKeyCache keys;
  ASSERT_FALSE(query.Parse(parser.request().query));
  ASSERT_FALSE(s3::ParseAuth(parser.request(), query, &auth));
  EXPECT_FALSE(
      s3::Verify(parser.request(), query, auth, {"secret", "", "us-east-1"}, clock_.Wall(), &keys));
}

TEST_F(ClientTest, KeepsAConnectionAndAsksOnItAgain) {
  Imposter origin({[](Peer& peer) { peer.Always(Answer(200, "body", "ETag: \"e\"\r\n")); }});
  Connect(origin.url());
  for (int i = 0; i < 5; ++i) EXPECT_EQ(Fetch("k"), "200 body");
  EXPECT_EQ(origin.accepted(), 1);
  EXPECT_EQ(client_->stats().connects, 1u);
  EXPECT_EQ(client_->stats().bytes_received, 20u);
}

TEST_F(ClientTest, AKeptConnectionThatDiedCostsNothing) {
  Imposter origin({[](Peer& peer) {
                     peer.ReadHead();
                     peer.Send(Answer(200, "first"));
                     peer.ReadHead();  // takes the next request and says nothing
                   },
                   [](Peer& peer) { peer.Always(Answer(200, "second")); }});
  Connect(origin.url());
  EXPECT_EQ(Fetch("k"), "200 first");
  EXPECT_EQ(Fetch("k"), "200 second");
  EXPECT_EQ(client_->stats().retries, 0u);
}

TEST_F(ClientTest, ReadsABodyOfKnownLengthInPlace) {
  const std::string body(3 << 20, 'x');
  Imposter origin({[&](Peer& peer) {
    peer.ReadHead();
    peer.Send("HTTP/1.1 206 X\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n");
    peer.Send(body);
    peer.WaitForClose();
  }});
  Connect(origin.url());
  Recorder recorder;
  recorder.direct.resize(body.size());
  // The head may bring the first bytes along; whoever wants them in place copies those.
  recorder.on_data = [&] {
    if (!recorder.in_place) {
      std::memcpy(recorder.direct.data(), recorder.body.data(), recorder.body.size());
      recorder.in_place = recorder.body.size() < http1::kMaxHeadBytes;
    }
  };
  Run(recorder, Get("k"));
  EXPECT_TRUE(recorder.in_place);
  EXPECT_TRUE(std::equal(body.begin(), body.end(), recorder.direct.begin()));
}

TEST_F(ClientTest, ReadsChunkedAndClosedBodies) {
  Imposter origin({[](Peer& peer) {
    peer.ReadHead();
    peer.Send(
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 X\r\nTransfer-Encoding: "
        "chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n");
    peer.ReadHead();
    peer.Send("HTTP/1.1 200 X\r\n\r\nuntil");
    peer.Send(" the end");
  }});
  Connect(origin.url());
  EXPECT_EQ(Fetch("k"), "200 abcde");
  EXPECT_EQ(Fetch("k"), "200 until the end");
  EXPECT_EQ(origin.accepted(), 1);
}

TEST_F(ClientTest, RetriesWhatPassesButNotForEver) {
  Imposter origin({[](Peer& peer) {
    peer.ReadHead();
    peer.Send(Answer(503, "<Error/>"));
    peer.ReadHead();
    peer.Send(Answer(200, "after"));
    peer.Always(Answer(503, "always"));
  }});
  Connect(origin.url());
  EXPECT_EQ(Fetch("k"), "200 after");
  EXPECT_EQ(client_->stats().retries, 1u);
  EXPECT_EQ(Fetch("k"), "503 always");
  EXPECT_EQ(client_->stats().retries, 3u);
  EXPECT_EQ(origin.accepted(), 1);  // what was not wanted was drained
  Request post = Get("k");
  post.method = http1::Method::kPost;
  post.body = "<x/>";
  Recorder once;
  Run(once, std::move(post));
  EXPECT_EQ(once.status, 503);
  EXPECT_EQ(client_->stats().retries, 3u);
}

TEST_F(ClientTest, TellsATruncatedOrMalformedBodyFromAWholeOne) {
  Imposter origin({[](Peer& peer) {
                     peer.ReadHead();
                     peer.Send("HTTP/1.1 200 X\r\nContent-Length: 10\r\n\r\nshort");
                   },
                   [](Peer& peer) {
                     peer.ReadHead();
                     peer.Send("HTTP/1.1 200 X\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n");
                     peer.WaitForClose();
                   },
                   [](Peer& peer) {
                     peer.ReadHead();
                     peer.Send("HTTP/1.1 200 X\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n");
                     peer.Reset();
                   }});
  Connect(origin.url());
  for (int i = 0; i < 3; ++i) EXPECT_EQ(Fetch("k"), "DataLoss") << i;
}

TEST_F(ClientTest, RefusesAnAnswerThatIsNotHttp) {
  Imposter origin({[](Peer& peer) {
    peer.ReadHead();
    peer.Send("SSH-2.0-x\r\n\r\n");
    peer.WaitForClose();
  }});
  Connect(origin.url());
  EXPECT_EQ(Fetch("k"), "Unavailable");
}

TEST_F(ClientTest, ASilentOriginIsGivenUpAndThenNotAskedForAWhile) {
  Imposter origin({[](Peer& peer) { peer.WaitForClose(); }});
  options_.deadlines.first_byte = milliseconds(30);
  Connect(origin.url());
  EXPECT_EQ(Fetch("k"), "DeadlineExceeded");
  EXPECT_EQ(client_->stats().timeouts, 3u);  // each attempt
  EXPECT_EQ(Fetch("k"), "Unavailable");      // the fourth failure opened the circuit
  Recorder refused;
  Run(refused, Get("k"));
  EXPECT_EQ(refused.outcome.reason(), "CircuitOpen");
  EXPECT_GT(refused.outcome.retry_after().count(), 0);
  EXPECT_EQ(origin.accepted(4), 4);  // it was not asked
}

TEST_F(ClientTest, ARefusedConnectionIsUnavailable) {
  std::string url;
  {
    url = Imposter({[](Peer&) {}}).url();
  }
  Connect(url);
  EXPECT_EQ(Fetch("k"), "Unavailable");
  EXPECT_EQ(client_->stats().connect_failures, 3u);
  EXPECT_EQ(client_->stats().connections, 0u);
}

TEST_F(ClientTest, TheHeadDeadlineEndsEverythingBeforeTheHead) {
  Imposter origin({[](Peer& peer) { peer.WaitForClose(); }});
  Connect(origin.url());
  Request request = Get("k");
  request.head_deadline = milliseconds(40);
  Recorder recorder;
  Run(recorder, std::move(request));
  EXPECT_EQ(recorder.outcome.code(), base::Code::kDeadlineExceeded);
  EXPECT_EQ(client_->stats().timeouts, 1u);
}

TEST_F(ClientTest, SilenceInsideABodyIsADeadline) {
  Imposter origin({[](Peer& peer) {
    peer.ReadHead();
    peer.Send("HTTP/1.1 200 X\r\nContent-Length: 10\r\n\r\nshort");
    peer.WaitForClose();
  }});
  options_.deadlines.idle = milliseconds(40);
  Connect(origin.url());
  EXPECT_EQ(Fetch("k"), "DeadlineExceeded");
}

}  // namespace
}  // namespace sluice::origin
