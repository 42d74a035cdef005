// The connections of one origin and who gets them. The rules are in client_impl.h.
#include <algorithm>
#include <array>

#include "controller/base/log.h"
#include "datapath/origin/client_impl.h"
#include "datapath/s3/sign.h"
#include "datapath/s3/uri.h"

namespace sluice::origin {
namespace {

std::string_view MethodName(http1::Method method) {
  switch (method) {
    case http1::Method::kGet:
      return "GET";
    case http1::Method::kHead:
      return "HEAD";
    case http1::Method::kPut:
      return "PUT";
    case http1::Method::kPost:
      return "POST";
    case http1::Method::kDelete:
      return "DELETE";
    case http1::Method::kOptions:
    case http1::Method::kOther:
      break;
  }
  return "";
}

}  // namespace

std::unique_ptr<Exchange> ClientImpl::Start(Request request, ResponseHandler* handler) {
  SLUICE_CHECK(!MethodName(request.method).empty());
  SLUICE_CHECK(request.body.empty() || !request.stream_bytes);
  return std::make_unique<ExchangeImpl>(*this, std::move(request), handler);
}

// Gives waiting exchanges to idle connections, and opens as many more as are wanted and allowed.
void ClientImpl::Pump() {
  while (!waiting_.empty() && !idle_.empty()) {
    Connection* const connection = idle_.back();
    idle_.pop_back();
    ExchangeImpl* const exchange = waiting_.front();
    waiting_.pop_front();
    Job job = exchange->TakeJob(connection);
    if (job.head.empty()) {
      idle_.push_back(connection);
      exchange->Refuse();
      continue;
    }
    connection->Begin(std::move(job));
  }
  stats_.waiting = waiting_.size();
  while (connecting_ < waiting_.size() && stats_.connections < options_.max_connections) {
    ++connecting_;
    ++stats_.connections;
    connections_.push_back(std::make_unique<Connection>(loop_, resolver_, options_, stats_, *this));
    connections_.back()->Open();
  }
}

void ClientImpl::OnUsable(Connection* connection) {
  if (connection->first_use()) --connecting_;
  idle_.push_back(connection);
  Pump();
}

void ClientImpl::OnClosed(Connection* connection, const base::Status& why) {
  --stats_.connections;
  std::erase(idle_, connection);
  if (!bury_posted_) {
    bury_posted_ = true;
    loop_.Post([this, alive = alive_] {
      if (!*alive) return;
      bury_posted_ = false;
      std::erase_if(connections_, [](const auto& each) { return each->closed(); });
      Pump();
    });
  }
  if (why.ok()) return;
  --connecting_;
  ++stats_.connect_failures;
  base::log::Debug("origin connection failed",
                   {{"origin", options_.name}, {"error", why.message()}});
  if (waiting_.empty()) return;
  ExchangeImpl* const unlucky = waiting_.front();
  unlucky->OnConnectFailed(why);
}

std::string ClientImpl::SignedHead(const Request& request) {
  if (request.headers.size() > s3::kMaxOutgoingHeaders) return {};
  std::string path = "/";
  std::string host = options_.endpoint.authority;
  if (!request.bucket.empty()) {
    if (options_.path_style) {
      path += request.bucket;
      if (!request.key.empty()) path += "/";
    } else {
      host = request.bucket + "." + host;
    }
  }
  std::string room(request.key.size() * 3, '\0');
  path += s3::Encode(request.key, s3::UriPart::kPath, room).value_or(std::string_view());

  std::array<s3::OutgoingHeader, s3::kMaxOutgoingHeaders> headers;
  std::size_t count = 0;
  for (const auto& [name, value] : request.headers) {
    headers[count++] = {name, value};
  }
  const bool has_body = request.stream_bytes || !request.body.empty();
  const bool tells_length =
      has_body || request.method == http1::Method::kPut || request.method == http1::Method::kPost;
  s3::OutgoingRequest outgoing{
      MethodName(request.method), host, path, request.query, {headers.data(), count}};
  if (!request.payload_sha256.empty()) {
    outgoing.payload_hash = request.payload_sha256;
  } else if (!has_body) {
    outgoing.payload_hash = s3::kEmptySha256;
  }
  if (tells_length) outgoing.content_length = request.stream_bytes.value_or(request.body.size());
  return std::string(s3::WriteSignedHead(
      outgoing,
      {options_.access_key_id, options_.secret_access_key, options_.session_token, options_.region},
      loop_.clock().Wall(), &keys_, head_));
}

namespace {
// What the user holds. It may let go inside a callback, with a connection's methods on the stack,
// so the rest goes by a task (rule 4).
class ClientHandle final : public Client {
 public:
  ClientHandle(net::EventLoop& loop, std::unique_ptr<ClientImpl> impl)
      : loop_(loop), impl_(std::move(impl)) {}
  ~ClientHandle() override {
    SLUICE_CHECK(impl_->exchanges() == 0);
    loop_.Post([impl = std::move(impl_)] {});
  }
  std::unique_ptr<Exchange> Start(Request request, ResponseHandler* handler) override {
    return impl_->Start(std::move(request), handler);
  }
  void SetCredentials(std::string id, std::string secret, std::string token) override {
    impl_->SetCredentials(std::move(id), std::move(secret), std::move(token));
  }
  const ClientStats& stats() const override { return impl_->stats(); }

 private:
  net::EventLoop& loop_;
  std::unique_ptr<ClientImpl> impl_;
};

}  // namespace

std::unique_ptr<Client> Client::Create(net::EventLoop& loop, net::Resolver& resolver,
                                       ClientOptions options, std::shared_ptr<Circuit> circuit) {
  SLUICE_CHECK(!options.endpoint.tls || options.tls != nullptr);
  return std::make_unique<ClientHandle>(
      loop, std::make_unique<ClientImpl>(loop, resolver, std::move(options), std::move(circuit)));
}

}  // namespace sluice::origin
