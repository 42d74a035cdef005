// TLS towards an origin: who is trusted, and who is not. Certificates are made by the test.
#include "datapath/origin/tls.h"

#include <gtest/gtest.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "datapath/origin/client.h"
#include "datapath/origin/imposter_for_test.h"

namespace sluice::origin {
namespace {

using testing::Imposter;
using testing::Peer;

struct Identity {
  EVP_PKEY* key = nullptr;
  X509* certificate = nullptr;
  ~Identity() {
    X509_free(certificate);
    EVP_PKEY_free(key);
  }
};

// Signed by `issuer`, or by itself when that is nullptr. `san`: "IP:127.0.0.1", "" for an
// authority. `days`: how long it is still good.
std::unique_ptr<Identity> Make(const char* name, const Identity* issuer, const std::string& san,
                               int days = 1) {
  auto made = std::make_unique<Identity>();
  made->key = EVP_EC_gen("P-256");
  X509* const x = made->certificate = X509_new();
  X509_set_version(x, 2);
  static long serial = 1;
  ASN1_INTEGER_set(X509_get_serialNumber(x), serial++);
  X509_gmtime_adj(X509_getm_notBefore(x), -2 * 86400);
  X509_gmtime_adj(X509_getm_notAfter(x), days * 86400L);
  X509_set_pubkey(x, made->key);
  X509_NAME_add_entry_by_txt(X509_get_subject_name(x), "CN", MBSTRING_ASC,
                             reinterpret_cast<const unsigned char*>(name), -1, -1, 0);
  X509_set_issuer_name(x, X509_get_subject_name(issuer != nullptr ? issuer->certificate : x));
  X509V3_CTX context;
  X509V3_set_ctx(&context, issuer != nullptr ? issuer->certificate : x, x, nullptr, nullptr, 0);
  const auto extend = [&](int nid, const char* value) {
    X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, &context, nid, value);
    ASSERT_NE(extension, nullptr);
    X509_add_ext(x, extension, -1);
    X509_EXTENSION_free(extension);
  };
  if (san.empty()) {
    extend(NID_basic_constraints, "critical,CA:TRUE");
  } else {
    extend(NID_subject_alt_name, san.c_str());
  }
  X509_sign(x, issuer != nullptr ? issuer->key : made->key, EVP_sha256());
  return made;
}

std::string Pem(const Identity& identity) {
  BIO* bio = BIO_new(BIO_s_mem());
  PEM_write_bio_X509(bio, identity.certificate);
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio, &data);
  std::string text(data, static_cast<std::size_t>(size));
  BIO_free(bio);
  return text;
}

struct Recorder : ResponseHandler {
  void OnHead(const http1::Response& response) override { status = response.status; }
  void OnData(std::span<const char> bytes) override { body.append(bytes.data(), bytes.size()); }
  void OnSendable() override {
    sent += exchange->Send(std::span<const char>(upload).subspan(sent));
  }
  void OnDone(const base::Status& result) override {
    done = true;
    outcome = result;
  }
  std::unique_ptr<Exchange> exchange;
  int status = 0;
  std::string body, upload;
  std::size_t sent = 0;
  bool done = false;
  base::Status outcome;
};

// An origin at a loopback address that is checked by a name, which no resolver has to know.
class KnownAs final : public TlsContext {
 public:
  KnownAs(std::shared_ptr<TlsContext> real, std::string name)
      : real_(std::move(real)), name_(std::move(name)) {}
  base::StatusOr<std::unique_ptr<net::Stream>> Wrap(std::unique_ptr<net::Stream> raw,
                                                    const std::string&,
                                                    net::StreamHandler* handler) override {
    return real_->Wrap(std::move(raw), name_, handler);
  }

 private:
  const std::shared_ptr<TlsContext> real_;
  const std::string name_;
};

class TlsTest : public ::testing::Test {
 protected:
  void Serve(const Identity& identity, Imposter::Script script) {
    server_ = SSL_CTX_new(TLS_server_method());
    SSL_CTX_use_certificate(server_, identity.certificate);
    SSL_CTX_use_PrivateKey(server_, identity.key);
    origin_ = std::make_unique<Imposter>(std::vector<Imposter::Script>{std::move(script)}, server_);
  }
  void TearDown() override {
    client_.reset();
    origin_.reset();
    SSL_CTX_free(server_);
  }
  // Runs one exchange against the origin, trusting `ca_pem`.
  void Run(const std::string& ca_pem, Request request, Recorder* recorder) {
    if (client_ == nullptr) {
      ClientOptions options;
      options.name = "tls";
      options.endpoint = *Endpoint::Parse(origin_->url("https"));
      options.region = "us-east-1";
      options.access_key_id = "AK";
      options.secret_access_key = "secret";
      auto tls = TlsContext::Create(ca_pem);
      ASSERT_TRUE(tls.ok()) << tls.status().ToString();
      options.tls = *tls;
      if (!known_as_.empty()) options.tls = std::make_shared<KnownAs>(*tls, known_as_);
      client_ = Client::Create(*loop_, resolver_, std::move(options), std::make_shared<Circuit>());
    }
    recorder->exchange = client_->Start(std::move(request), recorder);
    const auto deadline = clock_.Mono() + std::chrono::seconds(testing::kPatienceSeconds);
    while (!recorder->done && clock_.Mono() < deadline)
      loop_->RunOnce(std::chrono::milliseconds(10));
    ASSERT_TRUE(recorder->done);
    recorder->exchange.reset();
  }
  static Request Get() {
    Request request;
    request.bucket = "b";
    request.key = "k";
    return request;
  }
  base::Status Outcome(const std::string& ca_pem) {
    Recorder recorder;
    Run(ca_pem, Get(), &recorder);
    return recorder.outcome;
  }

  std::string known_as_;  // not empty: the origin's name, whatever its endpoint
  base::RealClock clock_;
  std::unique_ptr<net::EventLoop> loop_ = *net::EventLoop::Create(clock_);
  net::Resolver resolver_{clock_};
  SSL_CTX* server_ = nullptr;
  std::unique_ptr<Imposter> origin_;
  std::unique_ptr<Client> client_;
  const std::unique_ptr<Identity> ca_ = Make("ca", nullptr, "");
};

void Ok(Peer& peer) { peer.Always("HTTP/1.1 200 X\r\nContent-Length: 2\r\n\r\nok"); }

TEST_F(TlsTest, TalksToAnOriginItsAuthorityVouchesForAndKeepsTheConnection) {
  Serve(*Make("origin", ca_.get(), "IP:127.0.0.1"), Ok);
  for (int i = 0; i < 3; ++i) {
    Recorder recorder;
    Run(Pem(*ca_), Get(), &recorder);
    EXPECT_TRUE(recorder.outcome.ok()) << recorder.outcome.ToString();
    EXPECT_EQ(recorder.body, "ok");
  }
  EXPECT_EQ(origin_->accepted(), 1);
}

TEST_F(TlsTest, CarriesLargeBodiesBothWays) {
  const std::size_t size = 5 << 20;
  std::string got;
  Serve(*Make("origin", ca_.get(), "IP:127.0.0.1"), [&](Peer& peer) {
    peer.ReadHead();
    got = peer.ReadBytes(size);
    peer.Send("HTTP/1.1 200 X\r\nContent-Length: " + std::to_string(size) + "\r\n\r\n" + got);
    peer.WaitForClose();
  });
  Request request = Get();
  request.method = http1::Method::kPut;
  request.stream_bytes = size;
  Recorder recorder;
  recorder.upload.resize(size);
  for (std::size_t i = 0; i < size; ++i) recorder.upload[i] = static_cast<char>(i * 131 >> 9);
  Run(Pem(*ca_), std::move(request), &recorder);
  EXPECT_TRUE(recorder.outcome.ok()) << recorder.outcome.ToString();
  EXPECT_TRUE(got == recorder.upload);
  EXPECT_TRUE(recorder.body == recorder.upload);
}

TEST_F(TlsTest, RefusesAnUnknownAuthority) {
  Serve(*Make("origin", ca_.get(), "IP:127.0.0.1"), Ok);
  const base::Status status = Outcome(Pem(*Make("another", nullptr, "")));
  EXPECT_EQ(status.code(), base::Code::kUnauthenticated) << status.ToString();
  EXPECT_EQ(client_->stats().connects, 1u);  // trying again would not help
}

TEST_F(TlsTest, RefusesACertificateForAnotherName) {
  Serve(*Make("origin", ca_.get(), "IP:127.0.0.2,DNS:localhost"), Ok);
  EXPECT_EQ(Outcome(Pem(*ca_)).code(), base::Code::kUnauthenticated);
}

TEST_F(TlsTest, RefusesACertificateThatHasTheNameInItsSubjectAlone) {
  Serve(*Make("origin.test", ca_.get(), "email:admin@origin.test"), Ok);
  known_as_ = "origin.test";
  EXPECT_EQ(Outcome(Pem(*ca_)).code(), base::Code::kUnauthenticated);
}

TEST_F(TlsTest, TheDotOfAWholeNameIsNoPartOfWhatIsChecked) {
  Serve(*Make("origin", ca_.get(), "DNS:origin.test"), Ok);
  known_as_ = "origin.test.";
  const base::Status status = Outcome(Pem(*ca_));
  EXPECT_TRUE(status.ok()) << status.ToString();
}

TEST_F(TlsTest, RefusesAnExpiredCertificate) {
  Serve(*Make("origin", ca_.get(), "IP:127.0.0.1", -1), Ok);
  EXPECT_EQ(Outcome(Pem(*ca_)).code(), base::Code::kUnauthenticated);
}

TEST_F(TlsTest, AnEndWithoutCloseNotifyIsNotTheEndOfABody) {
  Serve(*Make("origin", ca_.get(), "IP:127.0.0.1"), [](Peer& peer) {
    peer.ReadHead();
    peer.Send("HTTP/1.1 200 X\r\n\r\nuntil the");
    peer.EndWithoutNotice();
  });
  EXPECT_EQ(Outcome(Pem(*ca_)).code(), base::Code::kDataLoss);
}

TEST(TlsContext, RefusesTextWithoutACertificate) {
  EXPECT_EQ(TlsContext::Create("not a certificate").status().code(), base::Code::kInvalidArgument);
  EXPECT_TRUE(TlsContext::Create("").ok());
}

}  // namespace
}  // namespace sluice::origin
