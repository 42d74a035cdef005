#include "datapath/serve/admin.h"

#include <array>

#include "datapath/http1/request.h"
#include "datapath/http1/writer.h"
#include "datapath/serve/limits.h"

namespace sluice::serve {
namespace {

constexpr std::chrono::seconds kDeadline{10};

}  // namespace

class Admin::Client final : public net::StreamHandler {
 public:
  explicit Client(Admin& admin) : admin_(admin) {}
  std::unique_ptr<net::Stream> stream;
  std::list<std::unique_ptr<Client>>::iterator place;

  void OnReadable() override {
    while (!answering_) {
      const std::span<char> room(in_.data() + size_, in_.size() - size_);
      if (room.empty()) return End();
      const net::IoResult got = stream->Read(room);
      if (got.blocked()) return;
      if (!got.ok()) return End();
      size_ += got.bytes;
      const http1::ParseResult parsed = parser_.Parse({in_.data(), size_});
      if (parsed.state == http1::ParseState::kError)
        return Answer(parsed.error.http_status, std::string(parsed.error.why) + "\n");
      if (parsed.state == http1::ParseState::kDone) return Route();
    }
  }
  void OnWritable() override {
    if (answering_) Pump();
  }
  void OnDeadline() override { End(); }
  void OnBroken(const base::Status&) override { End(); }

 private:
  void Route() {
    const http1::Request& request = parser_.request();
    if (request.method != http1::Method::kGet && request.method != http1::Method::kHead)
      return Answer(405, "only GET\n");
    if (request.path == "/metrics") return Answer(200, admin_.pages_.metrics());
    if (request.path == "/healthz" || request.path == "/readyz") {
      Page page = request.path == "/healthz" ? admin_.pages_.health() : admin_.pages_.ready();
      return Answer(page.ok ? 200 : 503, std::move(page.text));
    }
    Answer(404, "/metrics, /healthz or /readyz\n");
  }

  void Answer(int status, std::string body) {
    answering_ = true;
    http1::HeadWriter head(in_);  // the request is not looked at any more
    head.StatusLine(status)
        .Header("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
        .Header("Content-Length", static_cast<std::uint64_t>(body.size()))
        .Header("Connection", "close");
    out_ = std::string(head.Finish()) + body;
    Pump();
  }

  void Pump() {
    while (sent_ < out_.size()) {
      const net::IoResult result = stream->Write(std::span<const char>(out_).subspan(sent_), false);
      if (result.blocked()) return;
      if (!result.ok()) return End();
      sent_ += result.bytes;
    }
    End();
  }

  void End() { admin_.clients_.erase(place); }  // destroys this

  Admin& admin_;
  std::array<char, kAdminHeadBytes> in_;
  std::size_t size_ = 0;
  http1::RequestParser parser_;
  bool answering_ = false;
  std::string out_;
  std::size_t sent_ = 0;
};

Admin::Admin(std::unique_ptr<net::EventLoop> loop, Pages pages)
    : loop_(std::move(loop)), pages_(std::move(pages)) {}

Admin::~Admin() {
  if (thread_.joinable()) {
    loop_->Post([this] {
      listener_.reset();
      clients_.clear();
      loop_->Stop();
    });
    thread_.join();
  }
}

base::StatusOr<std::unique_ptr<Admin>> Admin::Start(base::Clock& clock, const net::Address& address,
                                                    Pages pages) {
  SLUICE_ASSIGN_OR_RETURN(auto loop, net::EventLoop::Create(clock));
  std::unique_ptr<Admin> admin(new Admin(std::move(loop), std::move(pages)));
  SLUICE_ASSIGN_OR_RETURN(admin->listener_,
                          net::Listener::Listen(
                              *admin->loop_, address, {},
                              [raw = admin.get()](net::UniqueFd socket, const net::Address& peer) {
                                raw->Accept(std::move(socket), peer);
                              },
                              [](const base::Status&) {}));
  admin->bound_ = admin->listener_->bound();
  admin->thread_ = std::thread([raw = admin.get()] { raw->loop_->Run(); });
  return admin;
}

void Admin::Accept(net::UniqueFd socket, const net::Address& peer) {
  if (clients_.size() >= kMaxAdminConnections) return;
  auto client = std::make_unique<Client>(*this);
  auto stream = net::AdoptSocket(*loop_, std::move(socket), peer, {}, client.get());
  if (!stream.ok()) return;
  client->stream = std::move(stream).value();
  client->stream->SetDeadline(kDeadline);
  clients_.push_front(std::move(client));
  clients_.front()->place = clients_.begin();
}

}  // namespace sluice::serve
