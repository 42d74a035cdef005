// Flow control, uploads, connections shared, and leaving at any time.
#include "datapath/origin/client_for_test.h"

namespace sluice::origin {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::Answer;
using testing::ClientTest;
using testing::Imposter;
using testing::Peer;
using testing::Recorder;

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
