// Tokens, certificates and CAs that change in their files while a client runs.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <new>
#include <string>
#include <utility>
#include <vector>

#include "controller/client/credentials.h"
#include "controller/client/limits.h"
#include "controller/client/testing_support.h"

namespace sluice::client {
namespace {

using namespace std::chrono_literals;
using base::Code;
using http::testing::Answer;
using http::testing::Imposter;
using http::testing::ImposterConnection;
using http::testing::ImposterTls;
using http::testing::TestCa;
using ::testing::HasSubstr;

// Credentials that all lie in files of the folder.
Config AllInFiles(const ScratchFolder& folder) {
  Config config;
  config.server = "https://h";
  config.token_file = folder.File("token");
  config.ca_file = folder.File("ca");
  config.cert_file = folder.File("cert");
  config.key_file = folder.File("key");
  return config;
}

TEST(Rotation, ARefusedTokenIsReadAgainFromItsFile) {
  ScratchFolder folder;
  folder.Write("token", "old\n");
  Imposter server([](ImposterConnection& c) {
    while (const auto request = c.ReadRequest()) {
      const bool known = http::FindHeader(request->headers, "Authorization") == "Bearer new";
      c.Send(known ? Answer(200, kSiteAnswer)
                   : Answer(401, R"({"kind":"Status","reason":"Unauthorized"})"));
    }
  });
  Config config;
  config.server = server.url();
  config.token_file = folder.File("token");
  const auto client = NewClient(config).value();
  EXPECT_EQ(client->Get(kSites, {"", "x"}).status().code(), Code::kUnauthenticated);
  EXPECT_EQ(server.requests().size(), 1u) << "the same token is not tried twice";
  folder.Write("token", "new");
  EXPECT_TRUE(client->Get(kSites, {"", "x"}).ok());
  std::filesystem::remove(folder.File("token"));
  EXPECT_TRUE(client->Get(kSites, {"", "x"}).ok()) << "a lost file leaves the token as it was";
}

TEST(Rotation, ATokenFileIsReadAgainWithoutARefusal) {
  ScratchFolder folder;
  folder.Write("token", "one");
  base::FakeClock clock;
  Config config;
  config.server = "https://h";
  config.token_file = folder.File("token");
  const auto credentials = Credentials::Make(config, clock).value();
  folder.Write("token", "two");
  EXPECT_EQ((*credentials->Current(clock.Mono() + 1s))->token, "one");
  clock.Advance(10s);
  EXPECT_EQ((*credentials->Current(clock.Mono() + 1s))->token, "two");
  EXPECT_EQ((*credentials->Current(clock.Mono() + 1s))->tls_version, 1u);
}

TEST(Rotation, AnEmptyFileIsNoRotationAndRefusedAtTheStart) {
  ScratchFolder folder;
  const TestCa ca;
  const TestCa::Issued user = ca.Issue("user", "DNS:user");
  const std::vector<std::pair<std::string, std::string>> files = {
      {"token", "one"}, {"ca", ca.cert_pem()}, {"cert", user.cert_pem}, {"key", user.key_pem}};
  for (const auto& [name, text] : files) folder.Write(name, text);
  base::FakeClock clock;
  const Config config = AllInFiles(folder);
  const auto credentials = Credentials::Make(config, clock).value();
  const auto before = *credentials->Current(clock.Mono() + 1s);
  for (const auto& [name, text] : files) folder.Write(name, name == "ca" ? " \r\n\t\n" : "");
  clock.Advance(kFileRecheck);
  const auto after = *credentials->Current(clock.Mono() + 1s);
  EXPECT_EQ(after->token, "one");
  EXPECT_EQ(after->tls_version, before->tls_version);
  EXPECT_EQ(after->tls->ca_pem, ca.cert_pem());
  for (const auto& [name, text] : files) {
    for (const auto& [each, whole] : files) folder.Write(each, each == name ? "" : whole);
    const base::Status refused = NewClient(config).status();
    EXPECT_EQ(refused.code(), Code::kInvalidArgument) << name;
    EXPECT_THAT(refused.message(), HasSubstr(folder.File(name)));
  }
}

TEST(Rotation, AFileThatIsLostHoldsUpNoOther) {
  ScratchFolder folder;
  const TestCa ca;
  const TestCa::Issued user = ca.Issue("user", "DNS:user");
  const TestCa::Issued renewed = ca.Issue("user", "DNS:user");
  folder.Write("token", "one");
  folder.Write("ca", ca.cert_pem());
  folder.Write("cert", user.cert_pem);
  folder.Write("key", user.key_pem);
  base::FakeClock clock;
  const Config config = AllInFiles(folder);
  const auto credentials = Credentials::Make(config, clock).value();
  const auto next = [&] {
    clock.Advance(kFileRecheck);
    return *credentials->Current(clock.Mono() + 1s);
  };
  std::filesystem::remove(folder.File("ca"));
  std::filesystem::remove(folder.File("key"));
  folder.Write("cert", renewed.cert_pem);
  folder.Write("token", "two");
  auto now = next();
  EXPECT_EQ(now->token, "two");
  EXPECT_EQ(now->tls->ca_pem, ca.cert_pem());
  EXPECT_EQ(now->tls->cert_pem, user.cert_pem) << "as long as its key is not there";
  EXPECT_EQ(now->tls_version, 1u);
  folder.Write("key", renewed.key_pem);
  std::filesystem::remove(folder.File("token"));
  now = next();
  EXPECT_EQ(now->token, "two");
  EXPECT_EQ(now->tls->cert_pem, renewed.cert_pem);
  EXPECT_EQ(now->tls->key_pem, renewed.key_pem);
}

// As client-go takes the two.
TEST(Rotation, ATokensFileWinsOverItsTextWhichStandsWhileTheFileWasNeverRead) {
  ScratchFolder folder;
  base::FakeClock clock;
  Config config;
  config.server = "https://h";
  config.token = "text";
  config.token_file = folder.File("token");
  const auto credentials = Credentials::Make(config, clock).value();
  const auto token = [&] {
    clock.Advance(kFileRecheck);
    return (*credentials->Current(clock.Mono() + 1s))->token;
  };
  EXPECT_EQ(token(), "text");
  folder.Write("token", "file\n");
  EXPECT_EQ(token(), "file");
  std::filesystem::remove(folder.File("token"));
  EXPECT_EQ(token(), "file") << "what was read last";
  folder.Write("token", "renewed");
  EXPECT_EQ(token(), "renewed");
  EXPECT_EQ((*Credentials::Make(config, clock).value()->Current(clock.Mono() + 1s))->token,
            "renewed");
}

// Fails once where a reading of the files ends.
class FailingClock final : public base::Clock {
 public:
  base::WallTime Wall() const override { return real_.Wall(); }
  base::MonoTime Mono() const override {
    if (std::exchange(fails_, false)) throw std::bad_alloc();
    return real_.Mono();
  }
  bool WaitUntil(std::unique_lock<std::mutex>& lock, std::condition_variable& cv,
                 base::MonoTime deadline, const std::function<bool()>& ready) override {
    return real_.WaitUntil(lock, cv, deadline, ready);
  }
  void FailOnce() { fails_ = true; }

 private:
  base::RealClock real_;
  mutable bool fails_ = false;
};

TEST(Rotation, AReadingThatThrowsLetsTheNextOneRead) {
  ScratchFolder folder;
  folder.Write("token", "one");
  FailingClock clock;
  Config config;
  config.server = "https://h";
  config.token_file = folder.File("token");
  const auto credentials = Credentials::Make(config, clock).value();
  const base::MonoTime soon = clock.Mono() + 5s;
  const auto refused = credentials->Current(soon).value();
  folder.Write("token", "two");
  const auto next = [&] {
    return credentials->CurrentUnless(refused, Credentials::Unknown::kUser, soon);
  };
  clock.FailOnce();
  EXPECT_THROW(static_cast<void>(next()), std::bad_alloc);
  const auto read = next();
  ASSERT_TRUE(read.ok()) << read.status().ToString();
  EXPECT_EQ((*read)->token, "two");
}

TEST(Rotation, ANewCaIsReadWhenTheServerIsNotRecognised) {
  TestCa first;
  TestCa second;
  const TestCa::Issued cert = second.Issue("api", "IP:127.0.0.1");
  Imposter server(AnswerWithSite, ImposterTls{cert.cert_pem, cert.key_pem, ""});
  ScratchFolder folder;
  folder.Write("ca.pem", first.cert_pem());
  Config config;
  config.server = server.url();
  config.ca_file = folder.File("ca.pem");
  const auto client = NewClient(config).value();
  EXPECT_EQ(client->Get(kSites, {"", "x"}).status().reason(), "CertificateInvalid");
  folder.Write("ca.pem", second.cert_pem());
  const auto answer = client->Get(kSites, {"", "x"});
  EXPECT_TRUE(answer.ok()) << answer.status().ToString();
}

class CertificateFiles : public ::testing::Test {
 protected:
  void WriteKey(const TestCa::Issued& user) const { folder_.Write("key.pem", user.key_pem); }
  void WriteCert(const TestCa::Issued& user) const { folder_.Write("cert.pem", user.cert_pem); }
  std::unique_ptr<Client> ClientOf(const Imposter& server) {
    Config config;
    config.server = server.url();
    config.ca_pem = ca_.cert_pem();
    config.cert_file = folder_.File("cert.pem");
    config.key_file = folder_.File("key.pem");
    return NewClient(config, clock_).value();
  }
  ImposterTls Taking(const TestCa& users) const {
    return {server_.cert_pem, server_.key_pem, users.cert_pem()};
  }
  ScratchFolder folder_;
  TestCa ca_;
  TestCa::Issued server_ = ca_.Issue("api", "IP:127.0.0.1");
  base::FakeClock clock_;
};

TEST_F(CertificateFiles, AreReadAgainWhileRunning) {
  TestCa before;
  TestCa after;
  Imposter server(AnswerWithSite, Taking(after));
  const TestCa::Issued renewed = after.Issue("user", "DNS:user");
  const TestCa::Issued old = before.Issue("user", "DNS:user");
  WriteCert(old);
  WriteKey(old);
  const auto client = ClientOf(server);
  EXPECT_FALSE(client->Get(kSites, {"", "x"}).ok());
  WriteCert(renewed);
  WriteKey(renewed);
  clock_.Advance(kFileRecheck);
  const auto answer = client->Get(kSites, {"", "x"});
  EXPECT_TRUE(answer.ok()) << answer.status().ToString();
}

TEST_F(CertificateFiles, ACertificateWhoseKeyIsNotThereYetLeavesTheOldPairInUse) {
  Imposter server(AnswerWithSite, Taking(ca_));
  const TestCa::Issued old = ca_.Issue("user", "DNS:user");
  const TestCa::Issued renewed = ca_.Issue("user", "DNS:user");
  WriteCert(old);
  WriteKey(old);
  const auto client = ClientOf(server);
  EXPECT_TRUE(client->Get(kSites, {"", "x"}).ok());
  WriteCert(renewed);
  clock_.Advance(kFileRecheck);
  EXPECT_TRUE(client->Get(kSites, {"", "x"}).ok());
  EXPECT_EQ(server.connections(), 1) << "the pair of before, and its connection";
  WriteKey(renewed);
  clock_.Advance(kFileRecheck);
  EXPECT_TRUE(client->Get(kSites, {"", "x"}).ok());
  EXPECT_EQ(server.connections(), 2) << "the new pair, by a handshake of its own";
}

TEST(Rotation, AMissingFileIsNamedAtTheStart) {
  Config config;
  config.server = "https://h";
  config.ca_file = "/nowhere/ca.pem";
  EXPECT_THAT(NewClient(config).status().message(), HasSubstr("/nowhere/ca.pem"));
}

}  // namespace
}  // namespace sluice::client
