#include <httplib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "controller/base/check.h"
#include "tests/bench/controller/http_probe_client.h"

namespace sluice::bench {
namespace {

// Given as a store, the authority would be trusted beside the system's roots, which each client
// reads; given as a file, alone.
class AuthorityFile {
 public:
  explicit AuthorityFile(const std::string& pem) : fd_(memfd_create("ca", MFD_CLOEXEC)) {
    SLUICE_CHECK(fd_ >= 0 &&
                 write(fd_, pem.data(), pem.size()) == static_cast<ssize_t>(pem.size()));
  }
  ~AuthorityFile() { close(fd_); }
  AuthorityFile(const AuthorityFile&) = delete;
  AuthorityFile& operator=(const AuthorityFile&) = delete;
  std::string path() const { return "/proc/self/fd/" + std::to_string(fd_); }

 private:
  const int fd_;
};

// Its client has one connection, so there is one for each.
class HttplibProbe final : public ProbeClient {
 public:
  explicit HttplibProbe(const ProbePeer& peer)
      : port_(peer.port),
        authority_(peer.ca_pem),
        get_{{"Accept", "application/json"}, {"Authorization", "Bearer " + peer.token}},
        patch_(get_) {
    clients_.push_back(NewClient());
  }

  std::size_t Apply(std::string_view body) override { return ApplyOn(*clients_.front(), body); }

  std::size_t Watch(const std::string& target) override {
    std::size_t bytes = 0;
    const auto answer = clients_.front()->Get(target, get_, [&](const char*, std::size_t size) {
      bytes += size;
      return true;
    });
    SLUICE_CHECK(answer && answer->status == 200);
    return bytes;
  }

  void KeepIdle(int count) override {
    while (clients_.size() < static_cast<std::size_t>(count)) {
      clients_.push_back(NewClient());
      ApplyOn(*clients_.back(), "{}");
    }
  }

 private:
  std::unique_ptr<httplib::SSLClient> NewClient() const {
    auto client = std::make_unique<httplib::SSLClient>("127.0.0.1", port_);
    client->set_ca_cert_path(authority_.path());
    client->set_keep_alive(true);
    client->set_tcp_nodelay(true);
    client->set_connection_timeout(std::chrono::seconds(5));
    client->set_read_timeout(std::chrono::seconds(30));
    return client;
  }
  std::size_t ApplyOn(httplib::SSLClient& client, std::string_view body) const {
    const auto answer = client.Patch(std::string(kProbeApply), patch_, body.data(), body.size(),
                                     "application/apply-patch+yaml");
    SLUICE_CHECK(answer && answer->status == 200);
    return answer->body.size();
  }

  const int port_;
  const AuthorityFile authority_;
  const httplib::Headers get_;
  const httplib::Headers patch_;
  std::vector<std::unique_ptr<httplib::SSLClient>> clients_;
};

}  // namespace

std::unique_ptr<ProbeClient> MakeHttplibProbe(const ProbePeer& peer) {
  return std::make_unique<HttplibProbe>(peer);
}

}  // namespace sluice::bench
