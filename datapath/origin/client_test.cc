#include "datapath/origin/client.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>

#include "datapath/origin/imposter_for_test.h"
#include "datapath/s3/sigv4_verify.h"

namespace sluice::origin {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::Imposter;
using testing::Peer;

std::string Answer(int status, const std::string& body, const std::string& extra = "") {
  return "HTTP/1.1 " + std::to_string(status) +
         " X\r\nContent-Length: " + std::to_string(body.size()) + "\r\n" + extra + "\r\n" + body;
}

struct Recorder : ResponseHandler {
  void OnHead(const http1::Response& response) override {
    status = response.status;
    etag = response.headers.Get(http1::HeaderId::kEtag);
    if (on_head) on_head();
  }
  std::span<char> BodyBuffer(std::uint64_t left) override {
    if (direct.empty()) return {};
    EXPECT_LE(left + body.size(), direct.size());
    return std::span<char>(direct).subspan(body.size());
  }
  void OnData(std::span<const char> bytes) override {
    in_place = in_place && bytes.data() == direct.data() + body.size();
    body.append(bytes.data(), bytes.size());
    if (on_data) on_data();
  }
  void OnSendable() override {
    while (sent < upload.size()) {
      const std::size_t taken = exchange->Send(std::span<const char>(upload).subspan(sent));
      if (taken == 0) return;
      sent += taken;
    }
  }
  void OnDone(const base::Status& result) override {
    EXPECT_FALSE(done);
    done = true;
    outcome = result;
    if (on_done) on_done();
  }
  std::unique_ptr<Exchange> exchange;
  int status = 0;
  std::string etag, body, upload;
  std::size_t sent = 0;
  std::vector<char> direct;
  bool in_place = true;
  bool done = false;
  base::Status outcome;
  std::function<void()> on_head, on_data, on_done;
};

class ClientTest : public ::testing::Test {
 protected:
  void Connect(const std::string& url, std::shared_ptr<TlsContext> tls = nullptr) {
    options_.name = "test";
    options_.endpoint = *Endpoint::Parse(url);
    options_.region = "us-east-1";
    options_.access_key_id = "AK";
    options_.secret_access_key = "secret";
    options_.tls = std::move(tls);
    client_ = Client::Create(*loop_, resolver_, options_, circuit_);
  }
  static Request Get(const std::string& key) {
    Request request;
    request.bucket = "b";
    request.key = key;
    return request;
  }
  void Start(Recorder& recorder, Request request) {
    recorder.exchange = client_->Start(std::move(request), &recorder);
    EXPECT_FALSE(recorder.done);  // never from inside
  }
  bool Until(const std::function<bool()>& done) {
    const auto deadline = clock_.Mono() + seconds(testing::kPatienceSeconds);
    while (!done()) {
      if (clock_.Mono() > deadline) return false;
      loop_->RunOnce(milliseconds(10));
    }
    return true;
  }
  void Run(Recorder& recorder, Request request) {
    Start(recorder, std::move(request));
    ASSERT_TRUE(Until([&] { return recorder.done; }));
  }
  // What a GET gives: "200 body" or the error's code.
  std::string Fetch(const std::string& key) {
    Recorder recorder;
    Run(recorder, Get(key));
    return recorder.outcome.ok() ? std::to_string(recorder.status) + " " + recorder.body
                                 : std::string(CodeName(recorder.outcome.code()));
  }

  base::RealClock clock_;
  std::unique_ptr<net::EventLoop> loop_ = *net::EventLoop::Create(clock_);
  net::Resolver resolver_{clock_};
  std::shared_ptr<Circuit> circuit_ = std::make_shared<Circuit>();
  ClientOptions options_;
  std::unique_ptr<Client> client_;
};

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
  EXPECT_EQ(origin.accepted(), 4);  // it was not asked
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

TEST_F(ClientTest, APausedReaderHoldsTheOriginBack) {
  const std::string body(8 << 20, 'x');
  Imposter origin({[&](Peer& peer) {
    peer.ReadHead();
    peer.Send(Answer(200, body));
    peer.WaitForClose();
  }});
  options_.deadlines.idle = milliseconds(1000);
  Connect(origin.url());
  Recorder recorder;
  recorder.on_head = [&] { recorder.exchange->Pause(); };
  Start(recorder, Get("k"));
  ASSERT_TRUE(Until([&] { return recorder.status == 200; }));
  const base::MonoTime until = clock_.Mono() + milliseconds(1200);  // past the idle deadline
  while (clock_.Mono() < until) loop_->RunOnce(milliseconds(10));
  EXPECT_EQ(recorder.body.size(), 0u);
  EXPECT_FALSE(recorder.done);
  recorder.on_data = [&] { recorder.exchange->Pause(); };
  recorder.exchange->Resume();
  ASSERT_TRUE(Until([&] { return !recorder.body.empty(); }));
  loop_->RunOnce(milliseconds(10));
  EXPECT_LE(recorder.body.size(), kScratchBytes);
  recorder.on_data = nullptr;
  recorder.exchange->Resume();
  ASSERT_TRUE(Until([&] { return recorder.done; }));
  EXPECT_TRUE(recorder.outcome.ok());
  EXPECT_EQ(recorder.body.size(), body.size());
}

TEST_F(ClientTest, StreamsABodyUpAsTheOriginTakesIt) {
  std::string head, got;
  const std::size_t size = 6 << 20;
  Imposter origin({[&](Peer& peer) {
    head = peer.ReadHead();
    got = peer.ReadBytes(size);
    peer.Send(Answer(200, "", "ETag: \"new\"\r\n"));
    peer.WaitForClose();
  }});
  Connect(origin.url());
  Recorder recorder;
  recorder.upload.resize(size);
  for (std::size_t i = 0; i < size; ++i) recorder.upload[i] = static_cast<char>(i * 31 >> 7);
  Request request = Get("k");
  request.method = http1::Method::kPut;
  request.stream_bytes = size;
  request.headers = {{"x-amz-meta-a", "b"}};
  Run(recorder, std::move(request));
  EXPECT_EQ(recorder.status, 200);
  EXPECT_EQ(recorder.etag, "\"new\"");
  EXPECT_TRUE(got == recorder.upload);
  EXPECT_NE(head.find("content-length: 6291456\r\n"), std::string::npos);
  EXPECT_EQ(client_->stats().bytes_sent, size);
}

TEST_F(ClientTest, AnUploadMayBeRefusedBeforeItIsRead) {
  Imposter origin({[](Peer& peer) {
    peer.ReadHead();
    peer.Send(Answer(403, "<Error/>"));
    peer.WaitForClose();
  }});
  Connect(origin.url());
  Recorder recorder;
  recorder.upload.assign(64, 'x');  // never the whole
  Request request = Get("k");
  request.method = http1::Method::kPut;
  request.stream_bytes = 1 << 20;
  Run(recorder, std::move(request));
  EXPECT_TRUE(recorder.outcome.ok()) << recorder.outcome.ToString();
  EXPECT_EQ(recorder.status, 403);
  ASSERT_TRUE(Until([&] { return client_->stats().connections == 0; }));  // not used again
}

TEST_F(ClientTest, AnUploadThatBeganIsNotRetried) {
  Imposter origin({[](Peer& peer) {
    peer.ReadHead();
    peer.ReadBytes(10);
    peer.Reset();
  }});
  Connect(origin.url());
  Recorder recorder;
  recorder.upload.assign(10, 'x');
  Request request = Get("k");
  request.method = http1::Method::kPut;
  request.stream_bytes = 20;
  Run(recorder, std::move(request));
  EXPECT_EQ(recorder.outcome.code(), base::Code::kUnavailable);
  EXPECT_EQ(origin.accepted(), 1);
}

TEST_F(ClientTest, UsesNoMoreConnectionsThanAllowedAndServesInOrder) {
  for (const std::size_t allowed : {1u, 3u}) {
    Imposter origin({[](Peer& peer) { peer.Always(Answer(200, "x")); }});
    options_.max_connections = allowed;
    Connect(origin.url());
    std::vector<std::unique_ptr<Recorder>> all;
    std::vector<int> order;
    for (int i = 0; i < 20; ++i) {
      all.push_back(std::make_unique<Recorder>());
      all.back()->on_done = [&order, i] { order.push_back(i); };
      Start(*all.back(), Get("k"));
    }
    EXPECT_LE(client_->stats().connections, allowed);
    ASSERT_TRUE(Until([&] { return order.size() == 20; }));
    EXPECT_LE(origin.accepted(), static_cast<int>(allowed));
    EXPECT_TRUE(allowed > 1 || std::is_sorted(order.begin(), order.end()));
  }
}

TEST_F(ClientTest, AnExchangeMayBeDroppedAnywhere) {
  Imposter origin({[](Peer& peer) { peer.Always(Answer(200, std::string(1000, 'x'))); }});
  Connect(origin.url());
  Recorder queued, at_head, at_data, at_done;
  Start(queued, Get("k"));
  queued.exchange.reset();
  at_head.on_head = [&] { at_head.exchange.reset(); };
  Start(at_head, Get("k"));
  ASSERT_TRUE(Until([&] { return at_head.status == 200; }));
  at_data.on_data = [&] { at_data.exchange.reset(); };
  Start(at_data, Get("k"));
  ASSERT_TRUE(Until([&] { return !at_data.body.empty(); }));
  at_done.on_done = [&] {
    at_done.exchange.reset();
    at_done.exchange = client_->Start(Get("k"), &at_data);
  };
  Start(at_done, Get("k"));
  ASSERT_TRUE(Until([&] { return at_done.done; }));
  EXPECT_FALSE(queued.done || at_head.done || at_data.done);
  at_done.exchange.reset();
  EXPECT_EQ(Fetch("k"), "200 " + std::string(1000, 'x'));
}

TEST_F(ClientTest, TheClientItselfMayBeDroppedInsideACallback) {
  for (const bool truncated : {false, true}) {
    Imposter origin({[truncated](Peer& peer) {
      peer.ReadHead();
      peer.Send("HTTP/1.1 200 X\r\nContent-Length: 5\r\n\r\n" +
                std::string(truncated ? "bod" : "body!"));
    }});
    Connect(origin.url());
    Recorder recorder;
    recorder.on_done = [&] {
      recorder.exchange.reset();
      client_.reset();
    };
    Start(recorder, Get("k"));
    ASSERT_TRUE(Until([&] { return recorder.done; }));
    EXPECT_EQ(recorder.outcome.ok(), !truncated);
    loop_->RunOnce(milliseconds(1));
  }
}

TEST_F(ClientTest, RefusesHeadersThatDoNotFit) {
  Imposter origin({[](Peer& peer) { peer.Always(Answer(200, "x")); }});
  Connect(origin.url());
  Request request = Get("k");
  request.headers = {{"x-amz-meta-a", std::string(kOutgoingHeadBytes, 'x')}};
  Recorder recorder;
  Run(recorder, std::move(request));
  EXPECT_EQ(recorder.outcome.code(), base::Code::kInvalidArgument);
  EXPECT_EQ(Fetch("k"), "200 x");  // on the same connection
  EXPECT_EQ(origin.accepted(), 1);
}

TEST_F(ClientTest, ANameThatDoesNotExistFails) {
  options_.deadlines.connect = seconds(10);
  Connect("http://no..such..name:9");  // an empty label: refused without asking the network
  const std::string code = Fetch("k");
  EXPECT_TRUE(code == "NotFound" || code == "Unavailable") << code;
}

}  // namespace
}  // namespace sluice::origin
