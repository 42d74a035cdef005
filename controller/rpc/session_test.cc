#include "controller/rpc/session.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "controller/rpc/wire_for_test.h"

namespace sluice::rpc {
namespace {

using std::chrono::seconds;
using ::testing::HasSubstr;
using wire::Data;
using wire::Head;
using wire::Message;

// Keeps what it is told, and its call.
struct Recorder final : Handler {
  explicit Recorder(std::shared_ptr<Call> its_call) : call(std::move(its_call)) {}
  void OnMessage(std::string_view message) override { messages.emplace_back(message); }
  void OnSent() override { ++sent; }
  void OnHalfClose() override { ++half_closes; }
  void OnEnd() override { ++ends; }
  std::shared_ptr<Call> call;
  std::vector<std::string> messages;
  int sent = 0, half_closes = 0, ends = 0;
};

class SessionTest : public ::testing::Test {
 protected:
  SessionTest() {
    service_.most_request_bytes = 1000;
    service_.most_answer_bytes = 1 << 20;
    service_.methods["/s/Echo"] = Unary([](const std::shared_ptr<Call>& call, std::string_view in) {
      Reply(*call, "echo " + std::string(in));
    });
    service_.methods["/s/Stream"] = [this](std::shared_ptr<Call> call) {
      recorders_.push_back(std::make_shared<Recorder>(std::move(call)));
      return recorders_.back();
    };
    Open();
  }
  void Open(std::size_t budget_bytes = 1 << 20) {
    session_.reset();
    budget_ = std::make_unique<Budget>(budget_bytes);
    session_ = std::make_unique<Session>(Session::Host{service_, *budget_, clock_, mailbox_, [] {}},
                                         std::make_shared<Peer>());
  }
  // Takes what the server has to say.
  base::Status Settle() {
    for (int round = 0; round < 100; ++round) {
      for (auto& task : mailbox_->TakeAll()) task();
      std::string out;
      SLUICE_RETURN_IF_ERROR(session_->Take(out, 16 << 10));
      if (out.empty()) break;
      heard_.Hear(out);
    }
    return base::OkStatus();
  }
  base::Status Say(std::string_view bytes) {
    SLUICE_RETURN_IF_ERROR(session_->Feed(bytes));
    return Settle();
  }
  void Pass(base::Duration time) {
    clock_.Advance(time);
    if (session_->Due() <= clock_.Mono()) session_->Expire();
    EXPECT_TRUE(Settle().ok());
  }
  std::shared_ptr<Recorder> OpenStream(std::uint32_t id) {
    EXPECT_TRUE(Say(Head(id, "/s/Stream") + Data(id, Message("hello"))).ok());
    return recorders_.back();
  }
  const std::string& Status(std::uint32_t id) { return heard_.On(id).fields["grpc-status"]; }
  const std::string& Text(std::uint32_t id) { return heard_.On(id).fields["grpc-message"]; }

  base::FakeClock clock_;
  const std::shared_ptr<Mailbox> mailbox_ = std::make_shared<Mailbox>();
  Service service_;
  std::vector<std::shared_ptr<Recorder>> recorders_;
  std::unique_ptr<Budget> budget_;
  std::unique_ptr<Session> session_;
  wire::Listener heard_;
};

TEST_F(SessionTest, AUnaryCallIsAnsweredWhateverPiecesItComesIn) {
  const std::string bytes = wire::Preface() + Head(1, "/s/Echo") + Data(1, Message("x"), true);
  for (std::size_t step = 1; step < bytes.size(); step += 7) {
    wire::Listener heard;
    Open();
    for (std::size_t at = 0; at < bytes.size(); at += step) {
      ASSERT_TRUE(session_->Feed(std::string_view(bytes).substr(at, step)).ok());
    }
    for (auto& task : mailbox_->TakeAll()) task();
    std::string out;
    ASSERT_TRUE(session_->Take(out, 1 << 20).ok());
    heard.Hear(out);
    EXPECT_EQ(heard.On(1).data, Message("echo x"));
    EXPECT_EQ(heard.On(1).fields[":status"], "200");
    EXPECT_EQ(heard.On(1).fields["content-type"], "application/grpc");
    EXPECT_EQ(heard.On(1).fields["grpc-status"], "0");
    EXPECT_TRUE(heard.On(1).ended);
    EXPECT_FALSE(heard.On(1).reset);
  }
}

TEST_F(SessionTest, AStreamCarriesMessagesBothWaysAndEndsWithItsStatus) {
  ASSERT_TRUE(Say(wire::Preface()).ok());
  const auto stream = OpenStream(1);
  EXPECT_EQ(stream->messages, std::vector<std::string>{"hello"});
  stream->call->Send(std::make_shared<std::string>("one"));
  ASSERT_TRUE(Settle().ok());
  EXPECT_EQ(stream->sent, 1);
  stream->call->Send(std::make_shared<std::string>("two"));
  stream->call->Finish(base::Aborted("50% of\nit"));
  ASSERT_TRUE(Settle().ok());
  EXPECT_EQ(heard_.On(1).data, Message("one") + Message("two"));
  EXPECT_EQ(Status(1), "10");
  EXPECT_EQ(Text(1), "50%25 of%0Ait");
  EXPECT_TRUE(heard_.On(1).reset) << "the peer had not closed its half";
  EXPECT_EQ(heard_.On(1).reset_code, static_cast<std::uint32_t>(NGHTTP2_NO_ERROR));
  EXPECT_EQ(stream->ends, 1);
  stream->call->Send(std::make_shared<std::string>("late"));
  stream->call->Finish(base::OkStatus());
  ASSERT_TRUE(Settle().ok());
  EXPECT_EQ(stream->ends, 1);
}

TEST_F(SessionTest, EveryWayACallEndsIsToldOnce) {
  ASSERT_TRUE(Say(wire::Preface()).ok());
  const auto reset = OpenStream(1);
  const auto closed = OpenStream(3);
  const auto cut = OpenStream(5);
  ASSERT_TRUE(Say(wire::Reset(1)).ok());
  EXPECT_EQ(reset->ends, 1);
  ASSERT_TRUE(Say(Data(3, "", true)).ok());
  EXPECT_EQ(closed->half_closes, 1);
  EXPECT_EQ(closed->ends, 0);
  session_.reset();
  EXPECT_EQ(closed->ends, 1);
  EXPECT_EQ(cut->ends, 1);
  EXPECT_EQ(reset->ends, 1);
  EXPECT_EQ(budget_->used(), 0u);
}

TEST_F(SessionTest, WhatIsNoCallOfOursIsRefused) {
  ASSERT_TRUE(Say(wire::Preface() + Head(1, "/s/Nothing")).ok());
  EXPECT_EQ(Status(1), "12");
  EXPECT_TRUE(heard_.On(1).ended);
  ASSERT_TRUE(Say(Head(3, "/s/Echo", {}, false, "text/html")).ok());
  EXPECT_EQ(heard_.On(3).fields[":status"], "415");
  EXPECT_TRUE(heard_.On(3).ended);
  ASSERT_TRUE(Say(Head(5, "/s/Echo", {{"long", std::string(kMaxHeadBytes, 'x')}})).ok());
  EXPECT_TRUE(heard_.On(5).reset);
  ASSERT_TRUE(Say(Head(7, "/s/Echo", {}, true)).ok());
  EXPECT_EQ(Status(7), "12") << "the request is missing";
  ASSERT_TRUE(Say(Head(9, "/s/Echo", {{"grpc-timeout", "soon"}})).ok());
  EXPECT_EQ(Status(9), "13");
  ASSERT_TRUE(Say(Head(11, "/s/Echo") + Data(11, Message("x").substr(0, 4), true)).ok());
  EXPECT_EQ(Status(11), "3") << "cut within its prefix";
}

TEST_F(SessionTest, AMessageOverTheBoundIsRefusedBeforeItComes) {
  ASSERT_TRUE(Say(wire::Preface() + Head(1, "/s/Stream")).ok());
  ASSERT_TRUE(Say(Data(1, std::string("\0\0\x10\0\0", 5))).ok());
  EXPECT_EQ(Status(1), "8");
  EXPECT_THAT(Text(1), HasSubstr("at most 1000"));
  EXPECT_EQ(recorders_.back()->ends, 1);
  EXPECT_TRUE(recorders_.back()->messages.empty());
}

TEST_F(SessionTest, OtherProtocolsAndGarbageBreakTheConnection) {
  EXPECT_FALSE(Say("GET / HTTP/1.1\r\nHost: x\r\n\r\n").ok());
  Open();
  EXPECT_FALSE(Say(std::string(100, '\xA5')).ok());
  Open();
  ASSERT_TRUE(Say(wire::Preface()).ok());
  // A frame of four million bytes is announced: told off by its head.
  ASSERT_TRUE(Say(std::string("\x40\0\0\0\0\0\0\0\1", 9)).ok());
  EXPECT_TRUE(heard_.gone_away);
  EXPECT_EQ(heard_.gone_away_code, static_cast<std::uint32_t>(NGHTTP2_FRAME_SIZE_ERROR));
  EXPECT_TRUE(session_->over());
}

TEST_F(SessionTest, APeerThatFloodsIsToldToCalmDownAndLetGo) {
  const std::string head = Head(1, "/s/Stream");
  for (const std::string& one : {wire::Ping(), wire::Frame(NGHTTP2_SETTINGS, 0, 0, ""), Data(1, ""),
                                 wire::Frame(NGHTTP2_PRIORITY, 0, 1, "abcde")}) {
    Open();
    wire::Listener heard;
    ASSERT_TRUE(session_->Feed(wire::Preface() + head).ok());
    int said = 0;
    for (; said < 1000 && !session_->over(); ++said) {
      ASSERT_TRUE(session_->Feed(one).ok());
      std::string out;
      ASSERT_TRUE(session_->Take(out, 16 << 10).ok());
      heard.Hear(out);
    }
    EXPECT_LE(said, kIdleFrames);
    EXPECT_EQ(heard.gone_away_code, static_cast<std::uint32_t>(NGHTTP2_ENHANCE_YOUR_CALM));
    EXPECT_EQ(recorders_.back()->ends, 0);
    session_.reset();
    EXPECT_EQ(recorders_.back()->ends, 1);
  }
}

TEST_F(SessionTest, CallsThatAreBegunAndResetCountAsAFlood) {
  ASSERT_TRUE(Say(wire::Preface()).ok());
  std::uint32_t id = 1;
  for (; id < 2000 && !session_->over(); id += 2) {
    ASSERT_TRUE(Say(Head(id, "/s/Stream") + wire::Reset(id)).ok());
  }
  EXPECT_LE(id, static_cast<std::uint32_t>(kIdleFrames) + 2);
  EXPECT_EQ(heard_.gone_away_code, static_cast<std::uint32_t>(NGHTTP2_ENHANCE_YOUR_CALM));
}

TEST_F(SessionTest, PingsAtAReasonablePaceAreAnsweredForEver) {
  ASSERT_TRUE(Say(wire::Preface()).ok());
  const auto stream = OpenStream(1);
  for (int i = 0; i < 1000; ++i) {
    ASSERT_TRUE(Say(wire::Ping()).ok());
    clock_.Advance(seconds(1));
  }
  EXPECT_EQ(heard_.pongs, 1000);
  EXPECT_FALSE(heard_.gone_away);
}

TEST_F(SessionTest, AFloodThatReadsNothingIsCut) {
  ASSERT_TRUE(session_->Feed(wire::Preface()).ok());
  std::string pings;
  for (int i = 0; i < kIdleFrames / 2; ++i) pings += wire::Ping();
  EXPECT_FALSE(session_->Feed(pings).ok()) << "answers would pile up";
}

TEST_F(SessionTest, NoMoreCallsAtOnceThanTheBound) {
  ASSERT_TRUE(Say(wire::Preface()).ok());
  for (std::uint32_t i = 0; i < kCallsAtOnce + 2; ++i) OpenStream(2 * i + 1);
  EXPECT_EQ(recorders_.size(), kCallsAtOnce);
  EXPECT_TRUE(heard_.On(2 * kCallsAtOnce + 1).reset);
}

TEST_F(SessionTest, WhatWaitsForASlowReaderIsTheSendersOwnBuffer) {
  ASSERT_TRUE(Say(wire::Preface()).ok());
  const auto stream = OpenStream(1);
  const auto message = std::make_shared<const std::string>(1 << 20, 'x');
  const std::size_t before = budget_->used();
  stream->call->Send(message);
  ASSERT_TRUE(Settle().ok());
  EXPECT_EQ(heard_.On(1).data.size(), 65535u) << "the window it gave us";
  EXPECT_TRUE(session_->message_waits());
  EXPECT_EQ(message.use_count(), 2);
  EXPECT_LT(budget_->used(), before + 2000);
  for (int i = 0; i < 40; ++i) {
    ASSERT_TRUE(Say(wire::Window(0, 30000) + wire::Window(1, 30000)).ok());
  }
  EXPECT_EQ(heard_.On(1).data, Message(*message));
  EXPECT_EQ(stream->sent, 1);
  EXPECT_EQ(message.use_count(), 1);
}

TEST_F(SessionTest, AStreamThatIsFinishedWhileItsPeerReadsNothingIsCutInTime) {
  ASSERT_TRUE(Say(wire::Preface()).ok());
  const auto stream = OpenStream(1);
  stream->call->Send(std::make_shared<const std::string>(1 << 20, 'x'));
  stream->call->Finish(base::Unauthenticated("the certificate has ended"));
  ASSERT_TRUE(Settle().ok());
  EXPECT_FALSE(heard_.On(1).reset);
  Pass(kLastWords);
  EXPECT_TRUE(heard_.On(1).reset);
  EXPECT_EQ(stream->ends, 1);
}

TEST_F(SessionTest, ACallWithoutItsRequestOrBeyondItsTimeIsEnded) {
  ASSERT_TRUE(Say(wire::Preface() + Head(1, "/s/Echo")).ok());
  ASSERT_TRUE(Say(Head(3, "/s/Stream", {{"grpc-timeout", "5S"}}) + Data(3, Message("x"))).ok());
  Pass(seconds(5));
  EXPECT_EQ(Status(3), "4");
  EXPECT_EQ(Status(1), "");
  Pass(kFirstMessage);
  EXPECT_EQ(Status(1), "4");
}

TEST_F(SessionTest, AnIdleOrOldConnectionIsClosedAndOneWithACallStays) {
  ASSERT_TRUE(Say(wire::Preface()).ok());
  const auto stream = OpenStream(1);
  Pass(10 * kIdleConnection);
  EXPECT_FALSE(session_->over());
  EXPECT_EQ(session_->Due(), base::MonoTime::max()) << "a stream at rest costs no time";
  ASSERT_TRUE(Say(wire::Reset(1)).ok());
  Pass(kIdleConnection);
  EXPECT_TRUE(session_->over());

  service_.most_age = seconds(60);
  Open();
  ASSERT_TRUE(Say(wire::Preface()).ok());
  const auto second = OpenStream(1);
  Pass(seconds(60));
  EXPECT_FALSE(session_->over());
  EXPECT_TRUE(heard_.gone_away);
  ASSERT_TRUE(Say(Head(3, "/s/Stream")).ok());
  EXPECT_EQ(recorders_.size(), 2u) << "no new calls";
  second->call->Finish(base::OkStatus());
  ASSERT_TRUE(Settle().ok());
  EXPECT_TRUE(session_->over());
}

TEST_F(SessionTest, WithoutMemoryLeftNothingIsKept) {
  service_.most_request_bytes = 60'000;
  ASSERT_TRUE(Say(wire::Preface()).ok());
  const std::size_t bare = budget_->used();
  Open(bare + 20'000);
  ASSERT_TRUE(Say(wire::Preface() + Head(1, "/s/Stream")).ok());
  const std::string half = Message(std::string(50'000, 'x')).substr(0, 40'000);
  for (std::size_t at = 0; at < half.size(); at += 10'000) {
    ASSERT_TRUE(Say(Data(1, half.substr(at, 10'000))).ok());
  }
  EXPECT_EQ(Status(1), "8");
  EXPECT_EQ(recorders_.back()->ends, 1);
  Open(1000);
  EXPECT_FALSE(Say(wire::Preface()).ok()) << "not even for the connection";
}

}  // namespace
}  // namespace sluice::rpc
