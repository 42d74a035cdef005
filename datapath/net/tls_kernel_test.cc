// A server's side of TLS over TCP, whoever encrypts: the kernel where it has TLS
// (tests/integration/datapath/kernel_tls runs these under one that does), else OpenSSL. What the
// peer reads is the same.
#include <gtest/gtest.h>
#include <openssl/ssl.h>

#include <fstream>
#include <string>

#include "datapath/net/stream_pair_for_test.h"
#include "datapath/net/tls_for_test.h"
#include "datapath/net/tls_stream.h"

namespace sluice::net {
namespace {

struct Suite {
  const char* name;
  int version;
  const char* tls12;  // ciphers offered
  const char* tls13;
};

constexpr Suite kSuites[] = {
    {"Tls13Aes128", TLS1_3_VERSION, nullptr, "TLS_AES_128_GCM_SHA256"},
    {"Tls13Aes256", TLS1_3_VERSION, nullptr, "TLS_AES_256_GCM_SHA384"},
    {"Tls13ChaCha", TLS1_3_VERSION, nullptr, "TLS_CHACHA20_POLY1305_SHA256"},
    {"Tls12Aes128", TLS1_2_VERSION, "ECDHE-ECDSA-AES128-GCM-SHA256", nullptr},
    {"Tls12Aes256", TLS1_2_VERSION, "ECDHE-ECDSA-AES256-GCM-SHA384", nullptr},
};

bool KernelHasTls() {
  std::ifstream file("/proc/sys/net/ipv4/tcp_available_ulp");
  for (std::string word; file >> word;)
    if (word == "tls") return true;
  return false;
}

// How many connections the kernel was given keys to send with.
long KernelSenders() {
  std::ifstream file("/proc/net/tls_stat");
  std::string name;
  for (long value = 0; file >> name >> value;)
    if (name == "TlsTxSw") return value;
  return 0;
}

class KernelTlsTest : public testing::TestWithParam<std::tuple<PollerKind, Suite>> {
 protected:
  void SetUp() override {
    const PollerKind kind = std::get<PollerKind>(GetParam());
    const ring::PollerChoice choice = ring::ChoosePoller(kind);
    if (choice.kind != kind) GTEST_SKIP() << choice.why;
    loop_ = EventLoop::Create(clock_, kind).value();
    contexts_ = ServerOfTests(clock_);
    const long senders = KernelSenders();
    Connect();
    EXPECT_EQ(IsEncryptedByKernel(*server_), KernelHasTls());
    EXPECT_EQ(KernelSenders() - senders, KernelHasTls() ? 1 : 0);
  }
  void TearDown() override {
    client_.reset();
    server_.reset();
    if (context_ != nullptr) SSL_CTX_free(context_);
  }
  void Connect() {
    const Suite& suite = std::get<Suite>(GetParam());
    context_ = SSL_CTX_new(TLS_client_method());
    SSL_CTX_set_max_proto_version(context_, suite.version);
    if (suite.tls12 != nullptr) {
      ASSERT_EQ(SSL_CTX_set_cipher_list(context_, suite.tls12), 1);
    }
    if (suite.tls13 != nullptr) {
      ASSERT_EQ(SSL_CTX_set_ciphersuites(context_, suite.tls13), 1);
    }
    listener_ = Listener::Listen(
                    *loop_, *Address::Parse("127.0.0.1:0"), {},
                    [this](UniqueFd fd, const Address& peer) {
                      auto raw = AdoptSocket(*loop_, std::move(fd), peer, {}, nullptr).value();
                      server_ = contexts_->Accept(std::move(raw), &server_events_).value();
                    },
                    [](const base::Status& error) { FAIL() << error.ToString(); })
                    .value();
    auto raw = net::Connect(*loop_, listener_->bound(), OptionsTowards(listener_->bound()), nullptr)
                   .value();
    ssl_ = SSL_new(context_);
    client_ = MakeTlsStream(std::move(raw), ssl_, TlsRole::kClient, &client_events_);
    ASSERT_TRUE(
        RunUntil(*loop_, [this] { return client_events_.connected && server_events_.connected; }));
  }
  IoResult::State ReadToTheEnd(std::string* into) {
    IoResult::State state = IoResult::State::kBlocked;
    EXPECT_TRUE(RunUntil(
        *loop_, [&] { return (state = ReadInto(*client_, into)) != IoResult::State::kBlocked; }));
    return state;
  }

  base::RealClock clock_;
  std::unique_ptr<EventLoop> loop_;
  std::shared_ptr<const TlsServer> contexts_;
  SSL_CTX* context_ = nullptr;
  SSL* ssl_ = nullptr;  // the client's, owned by client_
  Recorder client_events_, server_events_;
  std::unique_ptr<Listener> listener_;
  std::unique_ptr<Stream> client_, server_;
};

// As an answer goes: its head with `more`, then pages, through a socket that is often full.
TEST_P(KernelTlsTest, AHeadAndPagesArriveAsTheyAreAndTheEndIsTold) {
  const std::string head = "HTTP/1.1 200 OK\r\n\r\n", body = Pattern(5'000'000);
  std::string got;
  for (int answer = 0; answer < 3; ++answer) {
    std::size_t sent = 0;
    while (sent < head.size() + body.size()) {
      const bool in_head = sent < head.size();
      const std::string_view left = in_head ? std::string_view(head).substr(sent)
                                            : std::string_view(body).substr(sent - head.size());
      const IoResult result =
          in_head ? server_->Write(left, true) : server_->SendPages(left, false);
      ASSERT_TRUE(result.ok() || result.blocked()) << result.error;
      sent += result.bytes;
      if (!result.blocked()) continue;
      ReadInto(*client_, &got);
      loop_->RunOnce(std::chrono::milliseconds(1));
    }
  }
  server_->ShutdownWrite();
  EXPECT_EQ(ReadToTheEnd(&got), IoResult::State::kEof);
  EXPECT_TRUE(got == head + body + head + body + head + body);
}

TEST_P(KernelTlsTest, SmallAnswersToSmallQuestionsKeepTheirOrder) {
  for (int i = 0; i < 200; ++i) {
    const std::string question = "question " + std::to_string(i), answer = Pattern(100 + i * 40);
    ASSERT_EQ(client_->Write(question, false).bytes, question.size());
    std::string asked, got;
    char buffer[256];
    ASSERT_TRUE(RunUntil(*loop_, [&] {
      const IoResult result = server_->Read(buffer);
      if (result.ok()) asked.append(buffer, result.bytes);
      return asked == question;
    }));
    const iovec pieces[2] = {{const_cast<char*>(answer.data()), 50},
                             {const_cast<char*>(answer.data()) + 50, answer.size() - 50}};
    ASSERT_EQ(server_->Write(pieces, false).bytes, answer.size());
    ASSERT_TRUE(
        RunUntil(*loop_, [&] { return ReadInto(*client_, &got), got.size() >= answer.size(); }));
    ASSERT_EQ(got, answer);
  }
}

TEST_P(KernelTlsTest, AnAbortIsNoEnd) {
  ASSERT_TRUE(
      RunUntil(*loop_, [&] { return server_->Write(std::string_view("half"), false).ok(); }));
  server_->Abort();
  server_.reset();
  std::string got;
  EXPECT_EQ(ReadToTheEnd(&got), IoResult::State::kBroken);
}

// The keys we send with change (by OpenSSL), or the connection ends; what arrived is right.
TEST_P(KernelTlsTest, APeerThatAsksForNewKeysGetsThemOrAnEnd) {
  if (std::get<Suite>(GetParam()).version != TLS1_3_VERSION) return;  // has no such thing
  const std::string first = "first", more = "more";
  ASSERT_TRUE(RunUntil(*loop_, [&] { return server_->Write(first, false).ok(); }));
  std::string got, asked;
  ASSERT_TRUE(RunUntil(*loop_, [&] { return ReadInto(*client_, &got), got == first; }));
  ASSERT_EQ(SSL_key_update(ssl_, SSL_KEY_UPDATE_REQUESTED), 1);
  ASSERT_TRUE(client_->Write(std::string_view("new"), false).ok());
  char buffer[256];
  ASSERT_TRUE(RunUntil(*loop_, [&] {
    const IoResult result = server_->Read(buffer);
    if (result.ok()) asked.append(buffer, result.bytes);
    return asked == "new";
  }));
  const IoResult next = server_->Write(more, false);
  if (IsEncryptedByKernel(*server_)) {
    EXPECT_EQ(next.state, IoResult::State::kBroken);
    return;
  }
  ASSERT_TRUE(next.ok());
  ASSERT_TRUE(RunUntil(*loop_, [&] { return ReadInto(*client_, &got), got == first + more; }));
}

INSTANTIATE_TEST_SUITE_P(, KernelTlsTest,
                         testing::Combine(testing::ValuesIn(kPollers), testing::ValuesIn(kSuites)),
                         [](const auto& over) {
                           return std::string(std::get<Suite>(over.param).name) + "_" +
                                  ring::PollerKindName(std::get<PollerKind>(over.param));
                         });

}  // namespace
}  // namespace sluice::net
