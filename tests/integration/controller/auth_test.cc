// Who we are to a real API server and by which way we go there: credential plugins, proxies, a name
// the server goes by, and what a kubelet changes under a pod while it runs.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>

#include "controller/base/digest.h"
#include "controller/base/file.h"
#include "controller/client/limits.h"
#include "controller/client/testing_support.h"
#include "controller/http/url.h"
#include "controller/testing/api_server.h"
#include "controller/testing/command.h"
#include "controller/testing/status_matchers.h"

namespace sluice::client {
namespace {

using http::testing::Imposter;
using http::testing::ImposterConnection;
using nlohmann::json;
using testing_kit::ApiServer;
using testing_kit::IsOk;

// One of the names in its certificate; nobody resolves it.
constexpr char kName[] = "kubernetes.default.svc";

class AuthTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (server_ == nullptr) return;  // it did not start, and SetUpTestSuite failed
    const Config admin = LoadKubeconfig(server_->kubeconfig()).value();
    admin_ = NewClient(admin).value();
    url_ = http::ParseUrl(admin.server).value();
    ca_ = base::ReadFile(Pki("ca.crt"), kMaxCredentialFileBytes).value();
  }

  std::string Pki(const std::string& name) const { return server_->state() + "/pki/" + name; }
  // Of a service account, made where there is none.
  std::string TokenOf(const std::string& name) {
    const std::string path = "/api/v1/namespaces/default/serviceaccounts";
    const auto made =
        admin_->Raw("POST", path, json{{"metadata", {{"name", name}}}}.dump()).status();
    EXPECT_TRUE(made.ok() || made.reason() == "AlreadyExists") << made.ToString();
    const auto token = admin_->Raw("POST", path + "/" + name + "/token", R"({"spec":{}})");
    EXPECT_THAT(token, IsOk());
    return token.ok() ? json::parse(*token)["status"]["token"] : json("none");
  }
  static std::string Account(const std::string& name) {
    return "system:serviceaccount:default:" + name;
  }
  // Whom the server takes us for; else what went wrong.
  static std::string WhoAmI(Client& client) {
    const auto answer =
        client.Raw("POST", "/apis/authentication.k8s.io/v1/selfsubjectreviews",
                   R"({"kind":"SelfSubjectReview","apiVersion":"authentication.k8s.io/v1"})");
    if (!answer.ok()) return answer.status().ToString();
    return json::parse(*answer)["status"]["userInfo"]["username"];
  }
  // A kubeconfig's client, from a file as people have it.
  std::unique_ptr<Client> ClientOf(const std::string& server, const std::string& cluster,
                                   const std::string& user) {
    folder_.Write("config",
                  "current-context: a\ncontexts: [{name: a, context: {cluster: c, user: u}}]\n"
                  "clusters: [{name: c, cluster: {server: '" +
                      server + "', certificate-authority-data: " + base::Base64Encode(ca_) +
                      cluster + "}}]\nusers: [{name: u, user: {" + user + "}}]\n");
    return NewClient(LoadKubeconfig(folder_.File("config")).value()).value();
  }
  std::string Address() const { return "https://" + url_.host + ":" + std::to_string(url_.port); }

  static inline std::unique_ptr<ApiServer> server_;
  ScratchFolder folder_;
  std::unique_ptr<Client> admin_;
  http::Url url_;
  std::string ca_;
};

// The tests that leave the server as it is share one.
class Auth : public AuthTest {
 protected:
  static void SetUpTestSuite() {
    auto started = ApiServer::Start();
    ASSERT_THAT(started, IsOk());
    server_ = std::move(started).value();
  }
  static void TearDownTestSuite() { server_.reset(); }
  void SetUp() override {
    ASSERT_NE(server_, nullptr);
    AuthTest::SetUp();
  }
};

TEST_F(Auth, APluginsTokenIsTakenAndAskedForAnewWhenTheServerRefusesIt) {
  folder_.Write("good", TokenOf("plugin"));
  folder_.Write("plugin", R"sh(cd "$(dirname "$0")"
if [ -e asked ]; then token=$(cat good); else token=revoked; fi
echo "$KUBERNETES_EXEC_INFO" >> asked
printf '{"kind":"ExecCredential","apiVersion":"client.authentication.k8s.io/v1",'
printf '"status":{"token":"%s"}}' "$token"
)sh");
  const auto client = ClientOf(Address(), "",
                               "exec: {apiVersion: client.authentication.k8s.io/v1, command: sh, "
                               "args: ['" +
                                   folder_.File("plugin") +
                                   "'], interactiveMode: Never, provideClusterInfo: true}");
  EXPECT_EQ(WhoAmI(*client), Account("plugin"));
  EXPECT_EQ(WhoAmI(*client), Account("plugin"));
  const std::string asked = base::ReadFile(folder_.File("asked"), 1 << 20).value();
  EXPECT_EQ(std::count(asked.begin(), asked.end(), '\n'), 2) << "once after the refusal";
  EXPECT_EQ(json::parse(asked.substr(0, asked.find('\n')))["spec"]["cluster"]["server"], Address());
}

TEST_F(Auth, APluginsCertificateIsTaken) {
  json said = {{"kind", "ExecCredential"}, {"apiVersion", "client.authentication.k8s.io/v1"}};
  for (const auto& [field, file] :
       {std::pair{"clientCertificateData", "admin.crt"}, {"clientKeyData", "admin.key"}}) {
    said["status"][field] = base::ReadFile(Pki(file), kMaxCredentialFileBytes).value();
  }
  folder_.Write("said", said.dump());
  const auto client = ClientOf(Address(), "",
                               "exec: {apiVersion: client.authentication.k8s.io/v1, command: cat, "
                               "args: ['" +
                                   folder_.File("said") + "'], interactiveMode: Never}");
  EXPECT_EQ(WhoAmI(*client), "admin");
}

TEST_F(Auth, EveryRequestGoesByTheProxyOfTheKubeconfig) {
  auto proxy = std::make_unique<Imposter>([this](ImposterConnection& c) {
    if (!c.ReadRequest()) return;
    c.Send("HTTP/1.1 200 Connected\r\n\r\n");
    c.RelayTo(url_.port, url_.host);
  });
  const auto client = ClientOf(std::string("https://") + kName + ":6443",
                               ", proxy-url: '" + proxy->url() + "'", "token: " + TokenOf("proxy"));
  EXPECT_EQ(WhoAmI(*client), Account("proxy"));
  EXPECT_THAT(client->Raw("GET", "/api", ""), IsOk());
  const auto asked = proxy->requests();
  ASSERT_EQ(asked.size(), 1u) << "one tunnel for both";
  EXPECT_EQ(asked[0].method, "CONNECT");
  EXPECT_EQ(asked[0].target, std::string(kName) + ":6443");
  EXPECT_EQ(http::FindHeader(asked[0].headers, "Authorization"), "");
  proxy.reset();
  EXPECT_FALSE(client->Raw("GET", "/api", "").ok()) << "there is no other way";
}

TEST_F(Auth, AServerBehindAnotherAddressIsKnownByTheNameThatIsGivenForIt) {
  // No name of the certificate is the door's address.
  Imposter door([this](ImposterConnection& c) { c.RelayTo(url_.port, url_.host); });
  const std::string at = "https://127.0.0.1:" + std::to_string(door.port());
  const std::string user = "token: " + TokenOf("named");
  const auto refused = [&](const std::string& more) {
    return ClientOf(at, more, user)->Raw("GET", "/api", "").status().reason();
  };
  EXPECT_EQ(refused(""), "CertificateInvalid");
  EXPECT_EQ(refused(", tls-server-name: other.test"), "CertificateInvalid");
  const auto client = ClientOf(at, std::string(", tls-server-name: ") + kName, user);
  EXPECT_EQ(WhoAmI(*client), Account("named"));
}

// A volume as the kubelet changes it: all files at once, by a link.
class ProjectedVolume {
 public:
  explicit ProjectedVolume(std::filesystem::path folder) : folder_(std::move(folder)) {
    std::filesystem::create_directory(folder_);
  }
  std::string path() const { return folder_.string(); }
  void Publish(const std::map<std::string, std::string>& files) {
    namespace fs = std::filesystem;
    const fs::path data = "..2026_11_23_12_00_0" + std::to_string(++number_);
    fs::create_directory(folder_ / data);
    for (const auto& [name, text] : files) {
      SLUICE_CHECK(base::WriteFileAtomic((folder_ / data / name).string(), text, 0600).ok());
      if (number_ == 1) fs::create_symlink(fs::path("..data") / name, folder_ / name);
    }
    fs::create_directory_symlink(data, folder_ / "..data_tmp");
    fs::rename(folder_ / "..data_tmp", folder_ / "..data");
    if (!before_.empty()) fs::remove_all(folder_ / before_);
    before_ = data;
  }

 private:
  const std::filesystem::path folder_;
  std::filesystem::path before_;
  int number_ = 0;
};

// Each with a server of its own, of which it changes the authority.
class AuthInCluster : public AuthTest {
 protected:
  void SetUp() override {
    auto started = ApiServer::Start();
    ASSERT_THAT(started, IsOk());
    server_ = std::move(started).value();
    AuthTest::SetUp();
  }
  void TearDown() override { server_.reset(); }
  // The server comes back with a certificate of another authority; returns that one's.
  std::string ChangeAuthority() {
    const auto make = [](std::vector<std::string> more) {
      std::vector<std::string> words = {
          "openssl", "req",   "-x509", "-newkey",  "ec",
          "-nodes",  "-days", "1",     "-pkeyopt", "ec_paramgen_curve:P-256"};
      words.insert(words.end(), more.begin(), more.end());
      EXPECT_THAT(testing_kit::RunCommand(words), IsOk());
    };
    EXPECT_THAT(server_->StopComponent("kube-apiserver"), IsOk());
    make({"-subj", "/CN=next", "-addext", "keyUsage=critical,keyCertSign", "-keyout",
          Pki("next.key"), "-out", Pki("next.crt")});
    make({"-subj", "/CN=kube-apiserver", "-CA", Pki("next.crt"), "-CAkey", Pki("next.key"),
          "-addext", "basicConstraints=critical,CA:FALSE", "-addext",
          "subjectAltName=IP:" + url_.host, "-keyout", Pki("apiserver.key"), "-out",
          Pki("apiserver.crt")});
    const std::string next = base::ReadFile(Pki("next.crt"), kMaxCredentialFileBytes).value();
    // Of clients it knows those of before, and whoever asks for its health knows it.
    EXPECT_THAT(base::WriteFileAtomic(Pki("ca.crt"), ca_ + next, 0600), IsOk());
    EXPECT_THAT(server_->StartComponent("kube-apiserver"), IsOk());
    return next;
  }
};

TEST_F(AuthInCluster, ATokenAndAnAuthorityThatAreChangedInTheVolumeAreTakenWhileRunning) {
  const ScopedEnvironment host("KUBERNETES_SERVICE_HOST", url_.host);
  const ScopedEnvironment port("KUBERNETES_SERVICE_PORT", std::to_string(url_.port));
  ProjectedVolume volume(folder_.File("serviceaccount"));
  const std::string third = TokenOf("third");
  volume.Publish({{"token", TokenOf("first")}, {"ca.crt", ca_}, {"namespace", "default"}});
  const auto config = InClusterConfig(volume.path());
  ASSERT_THAT(config, IsOk());
  EXPECT_EQ(config->ns, "default");
  base::FakeClock clock;
  const auto client = NewClient(*config, clock).value();
  EXPECT_EQ(WhoAmI(*client), Account("first"));

  volume.Publish({{"token", TokenOf("second")}, {"ca.crt", ca_}, {"namespace", "default"}});
  EXPECT_EQ(WhoAmI(*client), Account("first")) << "it is not time to look";
  clock.Advance(kFileRecheck);
  EXPECT_EQ(WhoAmI(*client), Account("second"));

  // The clock stands: what makes it look is that it does not know the server any more.
  const std::string next = ChangeAuthority();
  EXPECT_EQ(client->Raw("GET", "/api", "").status().reason(), "CertificateInvalid");
  volume.Publish({{"token", third}, {"ca.crt", next}, {"namespace", "default"}});
  EXPECT_EQ(WhoAmI(*client), Account("third"));
}

}  // namespace
}  // namespace sluice::client
