// Over sockets and TLS, by a peer that follows no rules but those it is told to.
#include "controller/rpc/server.h"

#include <gtest/gtest.h>

#include <atomic>
#include <filesystem>
#include <mutex>
#include <set>
#include <string>
#include <thread>

#include "controller/rpc/peer_for_test.h"
#include "controller/testing/wait.h"

namespace sluice::rpc {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::seconds;
using wire::ClientOf;
using wire::Identity;
using wire::NewAuthority;
using wire::PeerOptions;
using wire::TestPeer;
using wire::Wall;

bool AtLast(const std::function<bool()>& fact) { return testing_kit::WaitUntil(fact, seconds(20)); }

class ServerTest : public ::testing::Test {
 protected:
  ServerTest() {
    options_.client_certificates = true;
    options_.threads = 2;
    options_.handshake_deadline = seconds(20);
  }
  ~ServerTest() override {
    if (server_) server_->Stop(milliseconds(0));
  }
  base::KeyPair ServerPair() const {
    auto made = *authority_.IssueServer({"x"}, Wall(), hours(1));
    return {made.certificate.certificate_pem, made.key_pem};
  }
  void Start() {
    server_ = *Server::New(options_);
    server_->Handle("/s/Echo", Unary([](const std::shared_ptr<Call>& call, std::string_view in) {
                      Reply(*call, std::string(in) + " from " +
                                       (call->peer().uris.empty() ? std::string("nobody")
                                                                  : call->peer().uris.front()));
                    }));
    server_->Handle("/s/Big", [this](std::shared_ptr<Call> call) {
      ++begun_;
      return std::make_shared<Sender>(std::move(call), *this);
    });
    ASSERT_TRUE(server_->SetCertificate(ServerPair(), authority_.certificate_pem()).ok());
    ASSERT_TRUE(server_->Start().ok());
  }
  // Sends one big message at the first that comes.
  struct Sender final : Handler {
    Sender(std::shared_ptr<Call> its_call, ServerTest& its_test)
        : call(std::move(its_call)), test(its_test) {}
    void OnMessage(std::string_view) override { call->Send(test.big_); }
    void OnSent() override { ++test.sent_; }
    void OnEnd() override { ++test.ended_; }
    std::shared_ptr<Call> call;
    ServerTest& test;
  };
  bool Refuses(const PeerOptions& options) {
    TestPeer peer(server_->port());
    return !peer.Shake(options);
  }
  bool Echoes(TestPeer& peer, std::uint32_t id = 1) {
    return peer.Say(wire::Head(id, "/s/Echo") + wire::Data(id, wire::Message("hi"), true)) &&
           peer.ReadUntil([&] { return peer.heard.On(id).ended; }) &&
           peer.heard.On(id).fields["grpc-status"] == "0";
  }

  const base::CertificateAuthority authority_ = NewAuthority();
  const Identity good_ = ClientOf(authority_, Wall(), hours(1));
  const std::shared_ptr<const std::string> big_ =
      std::make_shared<const std::string>((4 << 20) - 100, 'x');
  std::atomic<int> begun_{0}, sent_{0}, ended_{0};
  ServerOptions options_;
  std::unique_ptr<Server> server_;
};

TEST_F(ServerTest, ACallKnowsItsPeerByCertificate) {
  Start();
  TestPeer peer(server_->port());
  ASSERT_TRUE(peer.Shake({good_}));
  ASSERT_TRUE(Echoes(peer));
  EXPECT_EQ(peer.heard.On(1).data, wire::Message("hi from test:n1"));
  TestPeer older(server_->port());
  ASSERT_TRUE(older.Shake({good_, TLS1_2_VERSION}));
  EXPECT_TRUE(Echoes(older));
}

// Whoever connects has the authority's, and each certificate costs both ends.
TEST_F(ServerTest, SendsItsOwnCertificateAndNotTheAuthoritys) {
  Start();
  TestPeer peer(server_->port());
  ASSERT_TRUE(peer.Shake({good_}));
  EXPECT_EQ(peer.certificates(), 1);
}

TEST_F(ServerTest, NobodyIsLetInWithoutAGoodCertificateTlsAndHttp2) {
  Start();
  EXPECT_TRUE(Refuses({})) << "no certificate";
  EXPECT_TRUE(Refuses({{}, TLS1_2_VERSION}));
  EXPECT_TRUE(Refuses({ClientOf(NewAuthority(), Wall(), hours(1))})) << "of another authority";
  EXPECT_TRUE(Refuses({ClientOf(authority_, Wall() - hours(2), hours(1))})) << "ended";
  EXPECT_TRUE(Refuses({ClientOf(authority_, Wall() + hours(2), hours(1))})) << "not yet good";
  EXPECT_TRUE(Refuses({good_, TLS1_1_VERSION}));
  EXPECT_TRUE(Refuses({good_, 0, "http/1.1"}));
  EXPECT_TRUE(Refuses({good_, 0, ""})) << "no protocol is named";
  EXPECT_FALSE(Refuses({good_}));
}

TEST_F(ServerTest, AsksNoCertificateWhereItWantsNone) {
  options_.client_certificates = false;
  Start();
  TestPeer peer(server_->port());
  ASSERT_TRUE(peer.Shake({}));
  ASSERT_TRUE(Echoes(peer));
  EXPECT_EQ(peer.heard.On(1).data, wire::Message("hi from nobody"));
}

TEST_F(ServerTest, WhoeverSaysNothingOrNonsenseIsCutAndTheOthersAreServed) {
  options_.handshake_deadline = seconds(5);  // those that shake hands keep it however slow we are
  Start();
  TestPeer silent(server_->port()), plain(server_->port()), garbage(server_->port());
  TestPeer half(server_->port());
  plain.SayPlain("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
  garbage.SayPlain(std::string(500, '\xA5'));
  half.SayPlain(std::string("\x16\x03\x01\x02\x00\x01", 6));  // a ClientHello begins
  TestPeer inside(server_->port());
  ASSERT_TRUE(inside.Shake({good_}));
  inside.Say(std::string(500, '\xA5'));
  TestPeer good(server_->port());
  ASSERT_TRUE(good.Shake({good_}));
  EXPECT_TRUE(Echoes(good));
  EXPECT_TRUE(plain.IsClosed());
  EXPECT_TRUE(garbage.IsClosed());
  EXPECT_TRUE(inside.IsClosed());
  EXPECT_TRUE(silent.IsClosed());
  EXPECT_TRUE(half.IsClosed());
  EXPECT_TRUE(Echoes(good, 3));
  EXPECT_TRUE(AtLast([&] { return server_->connections() == 1; }));
}

TEST_F(ServerTest, ManySilentConnectionsKeepNobodyOutForLong) {
  options_.threads = 1;
  options_.most_handshakes = 4;
  Start();
  std::vector<std::unique_ptr<TestPeer>> silent;
  for (int i = 0; i < 6; ++i) silent.push_back(std::make_unique<TestPeer>(server_->port()));
  const auto before = std::chrono::steady_clock::now();
  TestPeer good(server_->port());
  EXPECT_TRUE(good.Shake({good_}));
  EXPECT_LT(std::chrono::steady_clock::now() - before, options_.handshake_deadline);
}

TEST_F(ServerTest, NoMoreConnectionsThanTheBound) {
  options_.most_connections = 2;
  Start();
  {
    // Each is counted before the next one comes: two threads take them, in whatever order.
    TestPeer one(server_->port());
    ASSERT_TRUE(one.Shake({good_}));
    TestPeer two(server_->port());
    ASSERT_TRUE(two.Shake({good_}));
    TestPeer three(server_->port());
    EXPECT_TRUE(three.IsClosed());
    EXPECT_TRUE(Echoes(one));
  }
  ASSERT_TRUE(AtLast([&] { return server_->connections() == 0; }));
  EXPECT_FALSE(Refuses({good_}));
}

TEST_F(ServerTest, ASlowReaderHoldsUpNobodyAndGetsItAllWhenItReads) {
  Start();
  TestPeer slow(server_->port());
  ASSERT_TRUE(slow.Shake({good_}));
  ASSERT_TRUE(slow.Say(wire::Window(0, 64 << 20) + wire::Head(1, "/s/Big") +
                       wire::Window(1, 64 << 20) + wire::Data(1, wire::Message("go"))));
  ASSERT_TRUE(AtLast([&] { return begun_ == 1; }));
  for (int i = 0; i < 4; ++i) {
    TestPeer quick(server_->port());
    ASSERT_TRUE(quick.Shake({good_}));
    EXPECT_TRUE(Echoes(quick));
  }
  const std::string whole = wire::Message(*big_);
  EXPECT_TRUE(slow.ReadUntil([&] { return slow.heard.On(1).data.size() >= whole.size(); }));
  EXPECT_TRUE(slow.heard.On(1).data == whole);
  EXPECT_TRUE(AtLast([&] { return sent_ == 1; }));
  EXPECT_EQ(ended_, 0);
}

TEST_F(ServerTest, ANewCertificateIsForNewConnectionsAndOpenOnesStay) {
  Start();
  TestPeer before(server_->port());
  ASSERT_TRUE(before.Shake({good_}));
  const auto other = NewAuthority();
  const auto made = *other.IssueServer({"x"}, Wall(), hours(1));
  const base::KeyPair next{made.certificate.certificate_pem, made.key_pem};
  EXPECT_FALSE(server_->SetCertificate({next.certificate_pem, good_.key_pem}, "").ok());
  ASSERT_TRUE(server_->SetCertificate(next, other.certificate_pem()).ok());
  EXPECT_TRUE(Echoes(before));
  EXPECT_TRUE(Refuses({good_})) << "its authority is trusted no more";
  TestPeer after(server_->port());
  ASSERT_TRUE(after.Shake({ClientOf(other, Wall(), hours(1))}));
  EXPECT_EQ(after.certificate(), next.certificate_pem);
  EXPECT_NE(before.certificate(), after.certificate());
}

TEST_F(ServerTest, AtItsStopEveryCallEndsAndNothingListens) {
  Start();
  const int port = server_->port();
  TestPeer peer(port), silent(port);
  ASSERT_TRUE(peer.Shake({good_}));
  ASSERT_TRUE(peer.Say(wire::Head(1, "/s/Big")));
  ASSERT_TRUE(AtLast([&] { return begun_ == 1; }));
  const auto before = std::chrono::steady_clock::now();
  server_->Stop(milliseconds(300));
  EXPECT_LT(std::chrono::steady_clock::now() - before, seconds(5));
  EXPECT_EQ(ended_, 1);
  EXPECT_TRUE(peer.ReadUntil([&] { return peer.heard.gone_away; }));
  EXPECT_TRUE(silent.IsClosed());
  options_.address = "127.0.0.1:" + std::to_string(port);
  Start();
  EXPECT_FALSE(Refuses({good_})) << "the port is free at once";
}

TEST_F(ServerTest, ConnectionsAndCallsHaveNoThreadsOfTheirOwn) {
  Start();
  // By their numbers: one of a former test that was joined may still be shown for a moment.
  const auto threads = [] {
    std::set<std::string> numbers;
    for (const auto& task : std::filesystem::directory_iterator("/proc/self/task")) {
      numbers.insert(task.path().filename());
    }
    return numbers;
  };
  const auto before = threads();
  std::vector<std::unique_ptr<TestPeer>> peers;
  for (int i = 0; i < 20; ++i) {
    peers.push_back(std::make_unique<TestPeer>(server_->port()));
    ASSERT_TRUE(peers.back()->Shake({good_}));
    ASSERT_TRUE(peers.back()->Say(wire::Head(1, "/s/Big") + wire::Head(3, "/s/Big")));
  }
  ASSERT_TRUE(AtLast([&] { return begun_ == 40; }));
  for (const std::string& number : threads()) EXPECT_TRUE(before.contains(number)) << number;
}

TEST_F(ServerTest, APortIsNotSharedAndAnAddressIsNamed) {
  Start();
  ServerOptions same = options_;
  same.address = "127.0.0.1:" + std::to_string(server_->port());
  const auto second = *Server::New(same);
  ASSERT_TRUE(second->SetCertificate(ServerPair(), authority_.certificate_pem()).ok());
  EXPECT_EQ(second->Start().code(), base::Code::kUnavailable);
  EXPECT_EQ(Server::New({.address = "9443"}).status().code(), base::Code::kInvalidArgument);
}

// What other threads do to a call while its peer does what it likes.
TEST_F(ServerTest, CallsAreSentToAndFinishedFromOtherThreadsWhileTheyEnd) {
  std::mutex mutex;
  std::vector<std::shared_ptr<Call>> open;
  options_.client_certificates = false;
  server_ = *Server::New(options_);
  struct Keeper final : Handler {
    void OnMessage(std::string_view) override {}
  };
  server_->Handle("/s/Keep", [&](std::shared_ptr<Call> call) {
    const std::lock_guard lock(mutex);
    open.push_back(std::move(call));
    return std::make_shared<Keeper>();
  });
  ASSERT_TRUE(server_->SetCertificate(ServerPair(), "").ok());
  ASSERT_TRUE(server_->Start().ok());
  std::atomic<bool> done{false};
  std::thread finisher([&] {
    while (!done) {
      std::vector<std::shared_ptr<Call>> some;
      {
        const std::lock_guard lock(mutex);
        some.swap(open);
      }
      for (const auto& call : some) {
        Reply(*call, "bye");
        call->Finish(base::Aborted("twice"));
      }
    }
  });
  for (int i = 0; i < 20; ++i) {
    TestPeer peer(server_->port());
    ASSERT_TRUE(peer.Shake({}));
    for (std::uint32_t id = 1; id < 12; id += 2) peer.Say(wire::Head(id, "/s/Keep"));
    if (i % 2 == 0) {
      EXPECT_TRUE(peer.ReadUntil([&] { return peer.heard.On(11).ended; }));
    } else {
      peer.Say(wire::Reset(3));
    }
  }
  server_->Stop(milliseconds(100));
  done = true;
  finisher.join();
}

}  // namespace
}  // namespace sluice::rpc
