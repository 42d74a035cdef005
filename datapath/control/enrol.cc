#include "datapath/control/enrol.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netdb.h>

#include <algorithm>
#include <charconv>

#include "api/agent/v1/agent.grpc.pb.h"
#include "controller/base/file.h"
#include "datapath/control/channel.h"
#include "datapath/control/identity.h"
#include "datapath/control/limits.h"

namespace sluice::control {
namespace {

using base::Status;
using base::StatusOr;

struct HostPort {
  std::string host;
  std::string port;
};

StatusOr<HostPort> Split(const std::string& endpoint) {
  const auto bad = base::InvalidArgument(
      fmt::format("\"{}\" is not host:port; write e.g. sluice-controller:9443", endpoint));
  const auto colon = endpoint.rfind(':');
  if (colon == std::string::npos || colon == 0) return bad;
  HostPort out{endpoint.substr(0, colon), endpoint.substr(colon + 1)};
  std::uint16_t port = 0;
  const auto [end, error] =
      std::from_chars(out.port.data(), out.port.data() + out.port.size(), port);
  if (error != std::errc() || end != out.port.data() + out.port.size() || port == 0) return bad;
  if (out.host.starts_with('[') && out.host.ends_with(']')) {
    out.host = out.host.substr(1, out.host.size() - 2);
  } else if (out.host.find(':') != std::string::npos) {
    return bad;
  }
  return out;
}

std::string Target(const sockaddr* address, const std::string& port) {
  char text[INET6_ADDRSTRLEN] = {};
  if (address->sa_family == AF_INET) {
    inet_ntop(AF_INET, &reinterpret_cast<const sockaddr_in*>(address)->sin_addr, text, sizeof text);
    return fmt::format("ipv4:{}:{}", text, port);
  }
  inet_ntop(AF_INET6, &reinterpret_cast<const sockaddr_in6*>(address)->sin6_addr, text,
            sizeof text);
  return fmt::format("ipv6:[{}]:{}", text, port);
}

std::chrono::system_clock::time_point CallDeadline() {
  return std::chrono::system_clock::now() + kCallDeadline;
}

}  // namespace

Status CheckEndpoint(const std::string& option, const std::string& endpoint) {
  return Split(endpoint).status().Annotate(option);
}

std::vector<std::string> Resolve(const std::vector<std::string>& endpoints, std::size_t most,
                                 std::string& problem) {
  std::vector<std::string> targets;
  for (const auto& endpoint : endpoints) {
    const auto split = Split(endpoint);
    if (!split.ok()) continue;  // refused at Start()
    addrinfo hints{};
    hints.ai_socktype = SOCK_STREAM;
    addrinfo* found = nullptr;
    const int error = getaddrinfo(split->host.c_str(), split->port.c_str(), &hints, &found);
    if (error != 0) {
      problem = fmt::format("{} does not resolve: {}", split->host, gai_strerror(error));
      continue;
    }
    for (const addrinfo* one = found; one != nullptr; one = one->ai_next) {
      if (one->ai_family != AF_INET && one->ai_family != AF_INET6) continue;
      targets.push_back(Target(one->ai_addr, split->port));
    }
    freeaddrinfo(found);
  }
  std::ranges::sort(targets);
  targets.erase(std::unique(targets.begin(), targets.end()), targets.end());
  if (targets.size() > most) targets.resize(most);
  return targets;
}

StatusOr<HeldIdentity> Hold(std::string key_pem, const agent::v1::Identity& identity,
                            base::WallTime received) {
  if (!Matches(key_pem, identity.certificate_pem()) || identity.ca_pem().empty()) {
    return base::InvalidArgument("the certificate is not of our key, or came without a CA");
  }
  const auto from_millis = [](std::int64_t millis) {
    return base::WallTime(std::chrono::milliseconds(millis));
  };
  HeldIdentity held{std::move(key_pem),
                    identity.certificate_pem(),
                    identity.ca_pem(),
                    identity.lineage(),
                    from_millis(identity.not_before_unix_ms()),
                    from_millis(identity.not_after_unix_ms()),
                    {}};
  held.renew_at = RenewAt(received, {held.not_before, held.not_after}, held.certificate_pem);
  return held;
}

Status Enrol(const StreamOptions& options, const std::string& target, std::string& key_pem,
             agent::v1::Identity& identity) {
  const auto roots = base::ReadFile(options.ca_file, 1 << 20);
  if (!roots.ok()) return base::InvalidArgument("ca_file: " + roots.status().ToString());
  auto token = base::ReadFile(options.token_file, kMaxTokenBytes);
  if (!token.ok()) return base::InvalidArgument("token_file: " + token.status().ToString());
  while (token->ends_with('\n')) token->pop_back();
  SLUICE_ASSIGN_OR_RETURN(auto made, MakeRequest());
  agent::v1::EnrolRequest request;
  request.set_token(*token);
  request.set_csr_pem(made.csr_pem);
  request.set_site(options.site);
  request.set_node(options.node);
  const auto stub =
      agent::v1::Enrolment::NewStub(Dial(target, options.server_name, *roots, "", ""));
  grpc::ClientContext context;
  context.set_deadline(CallDeadline());
  SLUICE_RETURN_IF_ERROR(FromGrpc(stub->Enrol(&context, request, &identity)));
  key_pem = std::move(made.key_pem);
  return base::OkStatus();
}

Status Renew(const StreamOptions& options, const std::string& target, const std::string& roots_pem,
             const HeldIdentity& held, std::string& key_pem, agent::v1::Identity& identity) {
  SLUICE_ASSIGN_OR_RETURN(auto made, MakeRequest());
  agent::v1::RenewRequest request;
  request.set_csr_pem(made.csr_pem);
  const auto stub = agent::v1::AgentControl::NewStub(
      Dial(target, options.server_name, roots_pem, held.key_pem, held.certificate_pem));
  grpc::ClientContext context;
  context.set_deadline(CallDeadline());
  SLUICE_RETURN_IF_ERROR(FromGrpc(stub->Renew(&context, request, &identity)));
  key_pem = std::move(made.key_pem);
  return base::OkStatus();
}

}  // namespace sluice::control
