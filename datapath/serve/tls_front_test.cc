// TLS towards clients, over real sockets: names, versions, bodies of every way of sending, clients
// that do nothing, and certificates that change meanwhile.
#include "datapath/serve/tls_front.h"

#include <filesystem>

#include "controller/base/authority.h"
#include "controller/base/file.h"
#include "datapath/testing/tls_client.h"

namespace sluice::serve {
namespace {

using testing::Answer;
using testing::ServerRig;
using testing::TlsClient;

class TlsFrontTest : public ServerRig {
 protected:
  void SetUp() override {
    std::string pattern = std::filesystem::temp_directory_path() / "sluice-tls-XXXXXX";
    folder_ = ::mkdtemp(pattern.data());
    ca_ = MakeAuthority();
    Issue(ca_, "data", {"data.lab", "*.data.lab"});
    Issue(ca_, "other", {"other.lab"});
  }
  void TearDown() override {
    ServerRig::TearDown();
    std::filesystem::remove_all(folder_);
  }
  base::Clock& clock() override { return fake_clock_; }
  base::KeyPair MakeAuthority() {
    return base::CertificateAuthority::Create("test", real_clock_.Wall(), std::chrono::hours(24))
        .value();
  }
  // FOLDER/name.pem and name.key. OpenSSL judges by the machine's own clock.
  void Issue(const base::KeyPair& authority, const std::string& name,
             const std::vector<std::string>& names, base::Duration life = std::chrono::hours(2),
             base::Duration ago = base::Duration::zero()) {
    auto loaded = base::CertificateAuthority::Load(authority).value();
    const auto made = loaded.IssueServer(names, real_clock_.Wall() - ago, life);
    ASSERT_TRUE(made.ok()) << made.status().ToString();
    ASSERT_TRUE(base::WriteFileAtomic(Path(name, "key"), made->key_pem, 0600).ok());
    ASSERT_TRUE(base::WriteFileAtomic(Path(name, "pem"), made->certificate.certificate_pem).ok());
  }
  std::string Path(const std::string& name, const std::string& kind) const {
    return folder_ + "/" + name + "." + kind;
  }
  control::Config TlsConfig() {
    control::Config config = BaseConfig();
    config.threads = 1;  // whoever connects wakes the one loop
    config.listeners = {{.address = "127.0.0.1:0",
                         .certificates = {{Path("data", "pem"), Path("data", "key")},
                                          {Path("other", "pem"), Path("other", "key")}}}};
    return config;
  }
  void Start() {
    fake_clock_.StepWall(real_clock_.Wall() - fake_clock_.Wall());
    StartServer(TlsConfig());
  }
  Answer TlsGet(TlsClient& client, const std::string& key) {
    client.Send(Head("GET", "/data/" + key));
    return client.Receive();
  }
  // Its next look is due, and it waits for it: only then is it counted from the present time.
  void LookAgain() {
    ASSERT_TRUE(Until([this] { return fake_clock_.waiters() == 1; }));
    fake_clock_.Advance(kCertificateLook);
  }
  std::string ShownTo(const std::string& name) {
    return TlsClient(address(), {.name = name, .ca = ""}).subject();
  }

  std::string folder_;
  base::KeyPair ca_;
  base::FakeClock fake_clock_;
};

TEST_F(TlsFrontTest, BodiesOfEverySizeComeWholeOnOneConnection) {
  Start();
  TlsClient client(address(), {.ca = ca_.certificate_pem});
  ASSERT_TRUE(client.up()) << client.verdict();
  EXPECT_EQ(client.version(), TLS1_3_VERSION);
  int seed = 0;
  for (const std::size_t size : {0ul, 1ul, 16384ul, 16385ul, 65536ul, 300'000ul, 9'000'000ul}) {
    const std::string key = std::to_string(size);
    const std::string body = Body(size, ++seed);
    origin_.Put("in/" + key, "\"v\"", body);
    for (int i = 0; i < 2; ++i) {  // miss and hit
      const Answer answer = TlsGet(client, key);
      EXPECT_EQ(answer.status, 200) << size;
      ASSERT_TRUE(answer.body == body) << size;
    }
  }
}

TEST_F(TlsFrontTest, UploadsOfManyRecordsAndPipelinedRequestsAreRead) {
  Start();
  TlsClient client(address(), {.ca = ca_.certificate_pem});
  const std::string body = Body(1'000'000, 3);
  client.Send(Head("PUT", "/data/up", {}, {}, body.size()) + body + Head("GET", "/data/up") +
              Head("GET", "/data/up"));
  EXPECT_EQ(client.Receive().status, 200);
  EXPECT_TRUE(client.Receive().body == body);
  EXPECT_TRUE(client.Receive().body == body);
}

TEST_F(TlsFrontTest, TheNameAskedForChoosesTheCertificate) {
  Start();
  EXPECT_EQ(ShownTo("data.lab"), "data.lab");
  EXPECT_EQ(ShownTo("a.data.lab"), "data.lab");
  EXPECT_EQ(ShownTo("other.lab"), "other.lab");
  EXPECT_EQ(ShownTo("unknown.lab"), "data.lab");
  EXPECT_EQ(ShownTo(""), "data.lab");
  const TlsClient wrong(address(), {.name = "unknown.lab", .ca = ca_.certificate_pem});
  EXPECT_FALSE(wrong.up());
  EXPECT_EQ(wrong.verdict(), X509_V_ERR_HOSTNAME_MISMATCH);
  const TlsClient right(address(), {.name = "other.lab", .ca = ca_.certificate_pem});
  EXPECT_TRUE(right.up());
}

TEST_F(TlsFrontTest, OnlyTls12And13WithForwardSecrecyAndHttp11) {
  Start();
  EXPECT_FALSE(TlsClient(address(), {.ca = "", .max_version = TLS1_1_VERSION}).up());
  const TlsClient old(address(), {.ca = "", .max_version = TLS1_2_VERSION});
  ASSERT_TRUE(old.up());
  EXPECT_EQ(old.version(), TLS1_2_VERSION);
  EXPECT_TRUE(old.cipher().starts_with("ECDHE-") && old.cipher().find("CBC") == std::string::npos)
      << old.cipher();
  EXPECT_TRUE(TlsClient(address(), {.ca = "", .alpn = "\x02h2\x08http/1.1"}).up());
  EXPECT_FALSE(TlsClient(address(), {.ca = "", .alpn = "\x02h2"}).up());
}

TEST_F(TlsFrontTest, AClientThatNeverShakesHandsIsCutAndItsMemoryComesBack) {
  Start();
  const std::uint64_t before = server_->cache().pool().buffers_used();
  {
    testing::TestClient silent(address());
    testing::TestClient half(address());
    half.SendRaw(std::string_view("\x16\x03\x01\x02\x00\x01", 6));
    ASSERT_TRUE(Until([&] {
      return server_->cache().pool().buffers_used() >= before + 2 * kTlsConnectionBytes;
    }));
    EXPECT_TRUE(TlsClient(address(), {.ca = ""}).up());  // by then their deadlines run
    fake_clock_.Advance(kHandshakeDeadline);
    const testing::TestClient waker(address());
    EXPECT_TRUE(silent.Ended());
    EXPECT_TRUE(half.Ended());
  }
  EXPECT_EQ(server_->metrics().tls_handshakes_too_slow.Total(), 2u);
  testing::TestClient plain(address());
  plain.SendRaw("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
  // It, and the one that left before it had said anything.
  EXPECT_TRUE(Until([&] { return server_->metrics().tls_handshakes_failed.Total() == 2; }));
  // What may be left is one idle buffer of the loop's.
  EXPECT_TRUE(
      Until([&] { return server_->cache().pool().buffers_used() <= before + sizeof(Scratch); }));
  EXPECT_TRUE(Until([&] {
    return server_->RenderMetrics().find("sluice_agent_tls_connections{site=\"lab\"} 0") !=
           std::string::npos;
  }));
}

TEST_F(TlsFrontTest, ConnectionsAreRefusedWhenThePoolHasNoRoomForThem) {
  Start();
  store::MemoryPool& pool = server_->cache().pool();
  std::uint64_t taken = 0;
  while (pool.TryReserve(store::MemoryPool::Use::kBuffer, kTlsConnectionBytes))
    taken += kTlsConnectionBytes;
  EXPECT_FALSE(TlsClient(address(), {.ca = ""}).up());
  EXPECT_GE(server_->metrics().throttled_tls.Total(), 1u);
  pool.Release(store::MemoryPool::Use::kBuffer, taken);
  EXPECT_TRUE(TlsClient(address(), {.ca = ""}).up());
}

TEST_F(TlsFrontTest, StrangersThatTakeEveryTlsPlaceLeaveRoomForSignedRequestsInPlain) {
  fake_clock_.StepWall(real_clock_.Wall() - fake_clock_.Wall());
  control::Config config = TlsConfig();
  config.listeners.insert(config.listeners.begin(), {.address = "127.0.0.1:0"});
  StartServer(config);
  origin_.Put("in/a", "\"v\"", "bytes");
  const net::Address tls = server_->bound()[1];
  std::vector<std::unique_ptr<testing::TestClient>> strangers;
  while (server_->metrics().throttled_tls.Total() == 0) {
    ASSERT_LT(strangers.size(), 100u);
    const std::uint64_t before = server_->metrics().connections_accepted.Total();
    strangers.push_back(std::make_unique<testing::TestClient>(tls));
    ASSERT_TRUE(Until([&] {
      return server_->metrics().connections_accepted.Total() > before ||
             server_->metrics().throttled_tls.Total() > 0;
    }));
  }
  EXPECT_TRUE(strangers.back()->Ended());
  EXPECT_FALSE(TlsClient(tls, {.ca = ""}).up());
  testing::TestClient plain = NewClient();
  EXPECT_EQ(Get(plain, "a").body, "bytes");
  strangers.clear();
  EXPECT_TRUE(Until([&] { return TlsClient(tls, {.ca = ""}).up(); }));
}

TEST_F(TlsFrontTest, AReaderThatStallsGetsTheRestAndTheEndIsTold) {
  Start();
  const std::string body = Body(8 << 20, 7);
  origin_.Put("in/big", "\"v\"", body);
  TlsClient client(address(), {.ca = ca_.certificate_pem});
  client.Send(Head("GET", "/data/big", {{"connection", "close"}}));
  ASSERT_TRUE(client.ReadMore());  // and then nothing, until others were served
  for (int i = 0; i < 5; ++i) {
    TlsClient another(address(), {.ca = ca_.certificate_pem});
    EXPECT_TRUE(TlsGet(another, "big").body == body);
  }
  const Answer answer = client.Receive();
  EXPECT_TRUE(answer.body == body);
  EXPECT_TRUE(client.Ended());
}

TEST_F(TlsFrontTest, NewFilesAreShownToNewConnectionsAndOldOnesGoOn) {
  Start();
  origin_.Put("in/a", "\"v\"", "bytes");
  TlsClient old(address(), {.ca = ca_.certificate_pem});
  EXPECT_EQ(TlsGet(old, "a").body, "bytes");
  const base::KeyPair next = MakeAuthority();
  Issue(next, "data", {"data.lab", "renewed.lab"});
  LookAgain();
  ASSERT_TRUE(Until([&] { return TlsClient(address(), {.ca = next.certificate_pem}).up(); }));
  EXPECT_EQ(ShownTo("renewed.lab"), "data.lab");
  EXPECT_EQ(TlsGet(old, "a").body, "bytes");
}

TEST_F(TlsFrontTest, BrokenFilesChangeNothingAndAreToldUntilTheyAreMended) {
  Start();
  const std::string good = base::ReadFile(Path("data", "pem")).value();
  const auto look = [&] {
    auto config = std::make_shared<control::Config>(TlsConfig());
    config->version = "again";
    ASSERT_TRUE(server_->Apply(std::move(config)).ok());
  };
  const std::string other = base::ReadFile(Path("other", "pem")).value();
  for (const std::string& broken : {std::string("no PEM"), good.substr(0, 300), other}) {
    ASSERT_TRUE(base::WriteFileAtomic(Path("data", "pem"), broken).ok());
    look();
    ASSERT_EQ(server_->Problems().size(), 1u);
    EXPECT_NE(server_->Problems()[0].find(Path("data", "")), std::string::npos);
    EXPECT_TRUE(TlsClient(address(), {.ca = ca_.certificate_pem}).up());
    EXPECT_NE(server_->RenderMetrics().find("tls_listeners_unreadable{site=\"lab\"} 1"),
              std::string::npos);
  }
  EXPECT_GE(server_->metrics().tls_reload_failures.Total(), 3u);
  ASSERT_TRUE(base::WriteFileAtomic(Path("data", "pem"), good).ok());
  look();
  EXPECT_TRUE(server_->Problems().empty());
  EXPECT_NE(server_->RenderMetrics().find("tls_listeners_unreadable{site=\"lab\"} 0"),
            std::string::npos);
}

TEST_F(TlsFrontTest, AnEndedCertificateIsShownAndToldAsAProblem) {
  Issue(ca_, "data", {"data.lab"}, std::chrono::seconds(-30));
  Start();
  const TlsClient client(address(), {.ca = ca_.certificate_pem});
  EXPECT_FALSE(client.up());
  EXPECT_EQ(client.verdict(), X509_V_ERR_CERT_HAS_EXPIRED);
  ASSERT_EQ(server_->Problems().size(), 1u);
  EXPECT_NE(server_->Problems()[0].find("has ended"), std::string::npos);
  EXPECT_EQ(server_->Certificates().state, control::CertificateStanding::State::kEnded);
  EXPECT_NE(server_->RenderMetrics().find("sluice_agent_tls_certificate_not_after_seconds{"),
            std::string::npos);
}

TEST_F(TlsFrontTest, AListenerWithoutReadableCertificatesDoesNotStart) {
  control::Config config = TlsConfig();
  config.listeners[0].certificates[0].key_file = Path("none", "key");
  auto server = Server::Create(std::make_shared<control::Config>(config), clock(), {});
  ASSERT_FALSE(server.ok());
  EXPECT_NE(server.status().message().find("none.key"), std::string::npos);
}

TEST_F(TlsFrontTest, AListenerThatWaitsForItsFilesServesTheOthersAndTakesThemWhenTheyCome) {
  using State = control::CertificateStanding::State;
  fake_clock_.StepWall(real_clock_.Wall() - fake_clock_.Wall());
  control::Config config = TlsConfig();
  config.listeners[0].wait_for_files = true;
  config.listeners[0].certificates = {{Path("late", "pem"), Path("late", "key")}};
  config.listeners.push_back({.address = "127.0.0.1:0"});
  StartServer(config);
  origin_.Put("in/a", "\"v\"", "bytes");
  EXPECT_EQ(server_->Certificates().state, State::kMissing);
  EXPECT_NE(server_->Certificates().problem.find("late.pem"), std::string::npos);
  EXPECT_FALSE(TlsClient(address(), {.ca = ""}).up());
  testing::TestClient plain(server_->bound()[1]);
  EXPECT_EQ(Get(plain, "a").body, "bytes");
  EXPECT_NE(server_->RenderMetrics().find("tls_listeners_unreadable{site=\"lab\"} 1"),
            std::string::npos);

  Issue(ca_, "late", {"data.lab"});
  LookAgain();
  ASSERT_TRUE(Until([&] { return server_->Certificates().state == State::kShown; }));
  TlsClient client(address(), {.ca = ca_.certificate_pem});
  ASSERT_TRUE(client.up());
  EXPECT_EQ(TlsGet(client, "a").body, "bytes");

  std::filesystem::remove(Path("late", "key"));
  LookAgain();
  ASSERT_TRUE(Until([&] { return server_->Certificates().state == State::kMissing; }));
  EXPECT_TRUE(TlsClient(address(), {.ca = ca_.certificate_pem}).up()) << "the former is shown";
}

}  // namespace
}  // namespace sluice::serve
