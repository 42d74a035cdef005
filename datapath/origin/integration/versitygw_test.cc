// The origin client against a real S3 server (versitygw over a folder): every operation the agent
// sends, with keys that need every kind of encoding. The server judges our signatures.
#include <arpa/inet.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>

#include "datapath/origin/client.h"
#include "datapath/s3/documents.h"
#include "datapath/s3/list.h"
#include "datapath/s3/sign.h"

namespace sluice::origin {
namespace {

constexpr char kKeyId[] = "integration";
constexpr char kSecret[] = "integration-secret/with+signs";

// One versitygw with folders of its own; ends with the object (or with this process).
class Server {
 public:
  Server() {
    char pattern[] = "/tmp/sluice-origin-XXXXXX";
    root_ = ::mkdtemp(pattern);
    std::filesystem::create_directories(root_ / "data");
    std::filesystem::create_directories(root_ / "meta");
    for (int attempt = 0; attempt < 5 && !Listening(); ++attempt) Start();
  }
  ~Server() {
    Kill();
    std::filesystem::remove_all(root_);
  }
  std::string url() const { return "http://127.0.0.1:" + std::to_string(port_); }

 private:
  void Start() {
    Kill();
    port_ = FreePort();
    const std::string program = "build/local/bin/versitygw";
    ASSERT_TRUE(std::filesystem::exists(program)) << "run deploy/local/install.sh first";
    const std::string port = "127.0.0.1:" + std::to_string(port_);
    const std::string data = root_ / "data", meta = root_ / "meta", log = root_ / "log";
    child_ = ::fork();
    if (child_ == 0) {
      ::prctl(PR_SET_PDEATHSIG, SIGKILL);
      const int out = ::open(log.c_str(), O_CREAT | O_WRONLY | O_APPEND, 0600);
      ::dup2(out, 1);
      ::dup2(out, 2);
      ::setenv("ROOT_ACCESS_KEY", kKeyId, 1);
      ::setenv("ROOT_SECRET_KEY", kSecret, 1);
      ::execl(program.c_str(), "versitygw", "--port", port.c_str(), "--keep-alive", "posix",
              "--sidecar", meta.c_str(), data.c_str(), nullptr);
      ::_exit(127);
    }
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    while (!Listening() && std::chrono::steady_clock::now() < deadline &&
           ::waitpid(child_, nullptr, WNOHANG) == 0)
      ::usleep(5000);
  }
  void Kill() {
    if (child_ <= 0) return;
    ::kill(child_, SIGKILL);
    ::waitpid(child_, nullptr, 0);
    child_ = -1;
  }
  static int Socket(std::uint16_t port, bool connect) {
    const int fd = ::socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    auto* any = reinterpret_cast<sockaddr*>(&address);
    const int failed =
        connect ? ::connect(fd, any, sizeof address) : ::bind(fd, any, sizeof address);
    if (failed == 0) return fd;
    ::close(fd);
    return -1;
  }
  static std::uint16_t FreePort() {
    const int fd = Socket(0, false);
    sockaddr_in address{};
    socklen_t size = sizeof address;
    ::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size);
    ::close(fd);
    return ntohs(address.sin_port);
  }
  bool Listening() const {
    if (child_ <= 0) return false;
    const int fd = Socket(port_, true);
    if (fd >= 0) ::close(fd);
    return fd >= 0;
  }
  std::filesystem::path root_;
  std::uint16_t port_ = 0;
  pid_t child_ = -1;
};

struct Answer : ResponseHandler {
  void OnHead(const http1::Response& response) override {
    status = response.status;
    etag = response.headers.Get(http1::HeaderId::kEtag);
    content_range = response.headers.Get(http1::HeaderId::kContentRange);
    length = response.content_length;
  }
  void OnData(std::span<const char> bytes) override { body.append(bytes.data(), bytes.size()); }
  void OnSendable() override {
    while (sent < upload.size()) {
      const std::size_t taken = exchange->Send(std::span<const char>(upload).subspan(sent));
      if (taken == 0) return;
      sent += taken;
    }
  }
  void OnDone(const base::Status& result) override {
    done = true;
    EXPECT_TRUE(result.ok()) << result.ToString();
  }
  std::unique_ptr<Exchange> exchange;
  int status = 0;
  std::uint64_t length = 0;
  std::string etag, content_range, body, upload;
  std::size_t sent = 0;
  bool done = false;
};

class VersitygwTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() { server_ = new Server; }
  static void TearDownTestSuite() { delete std::exchange(server_, nullptr); }
  void SetUp() override {
    options_.name = "versitygw";
    options_.endpoint = *Endpoint::Parse(server_->url());
    options_.region = "us-east-1";
    options_.access_key_id = kKeyId;
    options_.secret_access_key = kSecret;
    client_ = Client::Create(*loop_, resolver_, options_, std::make_shared<Circuit>());
    if (Ask(http1::Method::kHead, "").status == 404) {
      EXPECT_EQ(Ask(http1::Method::kPut, "").status, 200);
    }
  }
  using Fields = std::vector<std::pair<std::string, std::string>>;
  // An empty key asks about the bucket.
  Answer Ask(http1::Method method, const std::string& key, Fields headers = {},
             std::string query = "", std::string upload = "", std::string body = "") {
    Request request;
    request.method = method;
    request.bucket = "training";
    request.key = key;
    request.headers = std::move(headers);
    request.query = std::move(query);
    request.body = std::move(body);
    if (!upload.empty()) request.stream_bytes = upload.size();
    Answer answer;
    answer.upload = std::move(upload);
    answer.exchange = client_->Start(std::move(request), &answer);
    const auto deadline = clock_.Mono() + std::chrono::seconds(20);
    while (!answer.done && clock_.Mono() < deadline) loop_->RunOnce(std::chrono::milliseconds(20));
    EXPECT_TRUE(answer.done);
    answer.exchange.reset();
    return answer;
  }

  static Server* server_;
  base::RealClock clock_;
  std::unique_ptr<net::EventLoop> loop_ = *net::EventLoop::Create(clock_);
  net::Resolver resolver_{clock_};
  ClientOptions options_;
  std::unique_ptr<Client> client_;
};
Server* VersitygwTest::server_ = nullptr;

using http1::Method;

TEST_F(VersitygwTest, StoresReadsRangesAndDeletesUnderEveryKindOfKey) {
  for (const std::string key :
       {"plain.tar", "a b/c+d&e=f?g#h%25", "\xc3\xa4\xe2\x82\xac/~*'()!", "x/$@:;,[]{}|^`\"<>"}) {
    const std::string body = "bytes of " + key;
    const Answer put = Ask(Method::kPut, key,
                           {{"content-type", "text/plain"}, {"x-amz-meta-a", "b  c"}}, "", body);
    ASSERT_EQ(put.status, 200) << key << ": " << put.body;
    const Answer head = Ask(Method::kHead, key);
    EXPECT_EQ(head.status, 200) << key;
    EXPECT_EQ(head.etag, put.etag);
    EXPECT_EQ(head.length, body.size());
    EXPECT_EQ(Ask(Method::kGet, key).body, body);
    const Answer part = Ask(Method::kGet, key, {{"range", "bytes=2-4"}, {"if-match", put.etag}});
    EXPECT_EQ(part.status, 206);
    EXPECT_EQ(part.body, body.substr(2, 3));
    EXPECT_EQ(part.content_range, "bytes 2-4/" + std::to_string(body.size()));
    EXPECT_EQ(Ask(Method::kGet, key, {{"if-match", "\"another\""}}).status, 412);
    EXPECT_EQ(Ask(Method::kDelete, key).status, 204) << key;
    const Answer gone = Ask(Method::kGet, key);
    EXPECT_EQ(gone.status, 404);
    EXPECT_EQ(s3::ParseErrorXml(gone.body)->code, "NoSuchKey");
  }
}

TEST_F(VersitygwTest, StreamsALargeBodyBothWays) {
  std::string body(9 << 20, '\0');
  for (std::size_t i = 0; i < body.size(); ++i) body[i] = static_cast<char>(i * 2654435761u >> 13);
  ASSERT_EQ(Ask(Method::kPut, "large", {}, "", body).status, 200);
  EXPECT_TRUE(Ask(Method::kGet, "large").body == body);
  EXPECT_EQ(client_->stats().connects, 1u);
  EXPECT_EQ(Ask(Method::kDelete, "large").status, 204);
}

TEST_F(VersitygwTest, ListsPagesBelowAPrefix) {
  for (const char* key : {"team/a b", "team/\xc3\xa4+", "team/sub/x", "team/sub/y", "other/z"})
    ASSERT_EQ(Ask(Method::kPut, key, {}, "", "x").status, 200);
  s3::Query asked;
  ASSERT_FALSE(asked.Parse("delimiter=%2F&max-keys=2"));
  s3::ListRequest request;
  ASSERT_FALSE(s3::ParseListRequest(asked, true, &request));
  std::vector<std::string> names;
  for (int page_number = 0; page_number < 5; ++page_number) {
    const Answer answer = Ask(Method::kGet, "", {}, s3::OriginListQuery(request, "team/"));
    ASSERT_EQ(answer.status, 200) << answer.body;
    auto page = s3::ParseListPage(answer.body);
    ASSERT_TRUE(page.ok()) << page.status().ToString();
    s3::StripPrefix("team/", true, &page.value());
    for (const auto& object : page->objects) names.push_back(object.key);
    for (const auto& prefix : page->common_prefixes) names.push_back(prefix);
    if (!page->truncated) break;
    request.continuation_token = page->next;
    request.has_continuation_token = true;
  }
  EXPECT_EQ(names, (std::vector<std::string>{"a b", "sub/", "\xc3\xa4+"}));
  // All of them at once, by DeleteObjects.
  s3::DeleteRequest doomed;
  for (const char* key : {"team/a b", "team/\xc3\xa4+", "team/sub/x", "team/sub/y", "other/z"})
    doomed.entries.push_back({key, ""});
  const std::string xml = s3::WriteDeleteRequest(doomed);
  const Answer deleted =
      Ask(Method::kPost, "",
          {{"x-amz-checksum-sha256", base::Base64Encode(s3::View(s3::FastSha256(xml)))}},
          "delete=", "", xml);
  ASSERT_EQ(deleted.status, 200) << deleted.body;
  EXPECT_EQ(s3::ParseDeleteResult(deleted.body)->size(), 5u);
}

TEST_F(VersitygwTest, WrongCredentialsAreRefusedByTheServer) {
  client_->SetCredentials(kKeyId, "not the secret", "");
  const Answer refused = Ask(Method::kGet, "plain.tar");
  EXPECT_EQ(refused.status, 403);
  EXPECT_EQ(s3::ParseErrorXml(refused.body)->code, "SignatureDoesNotMatch");
}

}  // namespace
}  // namespace sluice::origin
