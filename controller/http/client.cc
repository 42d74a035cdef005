#include "controller/http/client.h"

#include <fmt/format.h>

#include <algorithm>
#include <mutex>
#include <vector>

#include "controller/base/digest.h"
#include "controller/http/connection.h"
#include "controller/http/control_bytes.h"
#include "controller/http/proxy.h"

namespace sluice::http {
namespace {

using std::chrono::steady_clock;

base::Status CheckHeader(std::string_view name, std::string_view value) {
  if (name.empty() || name.find_first_of(": \t") != std::string_view::npos || HasControl(name) ||
      HasControl(value)) {
    return base::InvalidArgument(
        fmt::format("HTTP: header {} holds characters it must not", name.substr(0, 40)));
  }
  return base::OkStatus();
}

base::Status CheckRequest(const Request& request) {
  const auto bad_target = [](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return byte <= 0x20 || byte >= 0x7f || c == '#';
  };
  if (!request.target.starts_with('/') || request.target.size() > kMaxTargetBytes ||
      std::any_of(request.target.begin(), request.target.end(), bad_target)) {
    return base::InvalidArgument("HTTP: the target is not an encoded path and query");
  }
  if (request.method.empty() || !std::all_of(request.method.begin(), request.method.end(),
                                             [](char c) { return c >= 'A' && c <= 'Z'; })) {
    return base::InvalidArgument("HTTP: bad method");
  }
  for (const Header& header : request.headers) {
    SLUICE_RETURN_IF_ERROR(CheckHeader(header.name, header.value));
  }
  for (const HeaderView& header : request.more_headers) {
    SLUICE_RETURN_IF_ERROR(CheckHeader(header.name, header.value));
  }
  return base::OkStatus();
}

bool IsSafe(std::string_view method) {
  return method == "GET" || method == "HEAD" || method == "OPTIONS";
}

class ClientImpl final : public Client {
 public:
  ClientImpl(ClientOptions options, Url server, Url proxy, std::shared_ptr<const TlsContext> tls)
      : options_(std::move(options)), tls_(std::move(tls)) {
    target_.server = std::move(server);
    target_.proxy = std::move(proxy);
    prefix_ = target_.server.path;
    if (prefix_.ends_with('/')) prefix_.pop_back();
    const std::string authority = target_.server.Authority();
    const bool absolute = !target_.proxy.host.empty() && !target_.server.tls();
    if (absolute) prefix_.insert(0, "http://" + authority);
    common_ =
        fmt::format(" HTTP/1.1\r\nHost: {}\r\nUser-Agent: {}\r\n", authority, options_.user_agent);
    if (absolute && !target_.proxy.userinfo.empty()) {
      common_ +=
          "Proxy-Authorization: Basic " + base::Base64Encode(target_.proxy.userinfo) + "\r\n";
    }
  }

  base::StatusOr<Response> Do(const Request& request) override { return Do(request, nullptr); }
  base::StatusOr<Response> Do(const Request& request, const BodySink& sink) override;
  base::Status SetTls(const TlsOptions& tls) override;
  void Stop() override { stop_.Trigger(); }

 private:
  struct Idle {
    std::unique_ptr<Connection> connection;
    steady_clock::time_point since;
  };
  struct Attempt {
    bool reused = false;
    bool answered = false;  // any byte of an answer came
  };

  base::StatusOr<Response> Try(const Request& request, const BodySink& sink, const CallScope& scope,
                               bool fresh, Attempt* attempt);
  base::StatusOr<Response> Exchange(Connection& connection, const Request& request,
                                    const BodySink& sink, const CallScope& scope, Attempt* attempt,
                                    bool* keep);
  static base::StatusOr<Response> ReadAnswer(Connection& connection, const Request& request,
                                             const BodySink& sink, const CallScope& scope,
                                             Attempt* attempt, bool* keep);
  std::unique_ptr<Connection> TakeIdle(std::uint64_t* generation);
  void PutIdle(std::unique_ptr<Connection> connection, std::uint64_t generation);
  // The head, and behind it as much of the body as goes out with it.
  std::string Head(const Request& request, std::string_view joined) const;

  const ClientOptions options_;
  const WakeFd stop_;
  std::string prefix_;  // of every target
  std::string common_;  // what stands between a target and the call's own headers
  Resolver resolver_;

  std::mutex mutex_;  // guards what follows; target_.tls stays empty, tls_ is the truth
  Connection::Target target_;
  std::shared_ptr<const TlsContext> tls_;
  std::uint64_t generation_ = 0;  // raised by SetTls: older connections are not kept
  std::vector<Idle> idle_;        // the newest at the back
};

base::StatusOr<Response> ClientImpl::Do(const Request& request, const BodySink& sink) {
  SLUICE_RETURN_IF_ERROR(CheckRequest(request));
  const CallScope scope(stop_, request.stop, steady_clock::now() + request.total_timeout);
  SLUICE_RETURN_IF_ERROR(scope.Check());
  Attempt attempt;
  auto response = Try(request, sink, scope, false, &attempt);
  // A kept connection may have been closed by the server just as we wrote. Asking again is safe
  // when nothing came back and the method changes nothing.
  if (!response.ok() && response.status().code() == base::Code::kUnavailable && attempt.reused &&
      !attempt.answered && IsSafe(request.method)) {
    attempt = {};
    return Try(request, sink, scope, true, &attempt);
  }
  return response;
}

base::StatusOr<Response> ClientImpl::Try(const Request& request, const BodySink& sink,
                                         const CallScope& scope, bool fresh, Attempt* attempt) {
  std::uint64_t generation = 0;
  std::unique_ptr<Connection> connection = fresh ? nullptr : TakeIdle(&generation);
  attempt->reused = connection != nullptr;
  if (connection == nullptr) {
    Connection::Target target;
    {
      std::lock_guard lock(mutex_);
      target = target_;
      target.tls = tls_;
      generation = generation_;
    }
    const auto limit = steady_clock::now() + options_.connect_timeout;
    SLUICE_ASSIGN_OR_RETURN(connection, Connection::Open(target, resolver_, scope, limit));
  }
  bool keep = false;
  auto response = Exchange(*connection, request, sink, scope, attempt, &keep);
  if (keep) PutIdle(std::move(connection), generation);
  return response;
}

base::StatusOr<Response> ClientImpl::Exchange(Connection& connection, const Request& request,
                                              const BodySink& sink, const CallScope& scope,
                                              Attempt* attempt, bool* keep) {
  const auto limit = [&] { return steady_clock::now() + request.read_timeout; };
  // One write for small requests: one segment, one TLS record.
  const bool joined = request.body.size() <= kReadBufferBytes;
  const std::string head = Head(request, joined ? request.body : std::string_view());
  SLUICE_RETURN_IF_ERROR(connection.WriteAll(head, scope, limit()));
  if (!joined) {
    const base::Status written =
        connection.WriteAll(request.body, scope, limit(), Connection::Early::kCut);
    if (written.reason() == "ConnectionCut") {
      // Who refuses a long body may close before all of it came: then the reason lies there to
      // read.
      auto early = ReadAnswer(connection, request, sink, scope, attempt, keep);
      *keep = false;
      const bool refused = early.ok() && early->status >= 400;  // nothing else came of half a body
      return refused ? std::move(early) : written;
    }
    SLUICE_RETURN_IF_ERROR(written);
  }
  return ReadAnswer(connection, request, sink, scope, attempt, keep);
}

base::StatusOr<Response> ClientImpl::ReadAnswer(Connection& connection, const Request& request,
                                                const BodySink& sink, const CallScope& scope,
                                                Attempt* attempt, bool* keep) {
  const auto read_limit = [&] { return steady_clock::now() + request.read_timeout; };
  ResponseParser parser(request.method == "HEAD");
  Response response;
  struct Taker {  // one pointer in the sink below: std::function need not allocate
    const Request& request;
    const BodySink& sink;
    const ResponseParser& parser;
    std::string& body;
    base::Status Take(std::string_view piece) const {
      if (sink && parser.status() / 100 == 2) return sink(piece);
      if (body.size() + piece.size() > request.max_body_bytes) {
        return base::ResourceExhausted(fmt::format(
            "the body of an HTTP answer is longer than {} bytes", request.max_body_bytes));
      }
      body += piece;
      return base::OkStatus();
    }
  };
  const Taker taker{request, sink, parser, response.body};
  const BodySink take = [&taker](std::string_view piece) { return taker.Take(piece); };
  char buffer[kReadBufferBytes];
  while (!parser.done()) {
    const auto n = connection.Read(buffer, sizeof(buffer), scope, read_limit());
    if (!n.ok()) {
      const bool over = request.silence_ends && sink && n.status().reason() == "Read" &&
                        parser.head_done() && parser.status() / 100 == 2;
      if (!over) return n.status();
      break;
    }
    if (*n == 0) {
      SLUICE_RETURN_IF_ERROR(parser.FeedEnd());
      break;
    }
    attempt->answered = true;
    SLUICE_ASSIGN_OR_RETURN(const std::size_t used, parser.Feed({buffer, *n}, take));
    if (used != *n) break;  // bytes after the answer: the connection is not kept
    *keep = parser.keep_alive();
  }
  if (!parser.keep_alive()) *keep = false;
  response.status = parser.status();
  response.headers = parser.TakeHeaders();
  return response;
}

std::string ClientImpl::Head(const Request& request, std::string_view joined) const {
  constexpr std::size_t kFramingBytes = 64;  // of the lines below
  std::size_t size = request.method.size() + prefix_.size() + request.target.size() +
                     common_.size() + joined.size() + kFramingBytes;
  for (const Header& header : request.headers) size += header.name.size() + header.value.size() + 4;
  for (const HeaderView& header : request.more_headers) {
    size += header.name.size() + header.value.size() + 4;
  }
  std::string head;
  head.reserve(size);
  head.append(request.method).append(" ").append(prefix_).append(request.target).append(common_);
  const auto add = [&head](std::string_view name, std::string_view value) {
    head.append(name).append(": ").append(value).append("\r\n");
  };
  for (const Header& header : request.headers) add(header.name, header.value);
  for (const HeaderView& header : request.more_headers) add(header.name, header.value);
  if (!request.body.empty() || !IsSafe(request.method)) {
    add("Content-Length", std::to_string(request.body.size()));
  }
  head.append("\r\n").append(joined);
  return head;
}

std::unique_ptr<Connection> ClientImpl::TakeIdle(std::uint64_t* generation) {
  const auto now = steady_clock::now();
  const auto oldest = now - kIdleConnectionAge;
  const auto trusted = now - kTrustedIdle;
  while (true) {
    Idle idle;
    {
      std::lock_guard lock(mutex_);
      if (idle_.empty()) return nullptr;
      *generation = generation_;
      idle = std::move(idle_.back());
      idle_.pop_back();
    }
    if (idle.since >= trusted) return std::move(idle.connection);
    if (idle.since >= oldest && idle.connection->StillIdle()) return std::move(idle.connection);
  }
}

void ClientImpl::PutIdle(std::unique_ptr<Connection> connection, std::uint64_t generation) {
  Idle evicted;  // closed outside the lock
  std::lock_guard lock(mutex_);
  if (generation != generation_) {
    evicted.connection = std::move(connection);
    return;
  }
  if (idle_.size() >= kMaxIdleConnections) {
    evicted = std::move(idle_.front());
    idle_.erase(idle_.begin());
  }
  idle_.push_back({std::move(connection), steady_clock::now()});
}

base::Status ClientImpl::SetTls(const TlsOptions& tls) {
  SLUICE_ASSIGN_OR_RETURN(std::shared_ptr<const TlsContext> made, TlsContext::Make(tls));
  std::vector<Idle> old;
  std::lock_guard lock(mutex_);
  tls_ = std::move(made);
  ++generation_;
  old.swap(idle_);
  return base::OkStatus();
}

}  // namespace

base::StatusOr<std::unique_ptr<Client>> Client::New(const ClientOptions& options) {
  SLUICE_ASSIGN_OR_RETURN(Url server, ParseUrl(options.base_url));
  if (server.path.find('?') != std::string::npos || !server.userinfo.empty()) {
    return base::InvalidArgument("HTTP: the base URL must hold no query and no credentials");
  }
  Url proxy;
  if (!options.proxy_url.empty()) {
    SLUICE_ASSIGN_OR_RETURN(proxy, ParseProxyUrl(options.proxy_url));
  }
  if (HasControl(options.user_agent)) return base::InvalidArgument("HTTP: bad user agent");
  std::shared_ptr<const TlsContext> tls;
  if (server.tls()) {
    SLUICE_ASSIGN_OR_RETURN(tls, TlsContext::Make(options.tls));
  }
  return std::unique_ptr<Client>(
      new ClientImpl(options, std::move(server), std::move(proxy), std::move(tls)));
}

}  // namespace sluice::http
