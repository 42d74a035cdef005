#include "datapath/serve/agent_metrics.h"

#include "datapath/serve/limits.h"

namespace sluice::serve {
namespace {

constexpr std::array<std::string_view, static_cast<std::size_t>(Outcome::kCount)> kOutcomes = {
    "ok", "client_error", "denied", "throttled", "server_error", "aborted"};
constexpr std::array<std::string_view, static_cast<std::size_t>(Verb::kCount)> kVerbs = {
    "GetObject", "HeadObject", "ListObjects", "PutObject", "DeleteObject", "Multipart", "Other"};
constexpr std::array<std::string_view, 4> kOriginOperations = {"get", "head", "list", "write"};
constexpr std::array<std::string_view, 5> kOriginResults = {"ok", "not_found", "client_error",
                                                            "server_error", "unreachable"};

}  // namespace

std::string_view OutcomeName(Outcome outcome) {
  return kOutcomes[static_cast<std::size_t>(outcome)];
}

Outcome OutcomeOf(int http_status) {
  if (http_status < 400) return Outcome::kOk;
  if (http_status == 401 || http_status == 403) return Outcome::kDenied;
  return http_status < 500 ? Outcome::kClientError : Outcome::kServerError;
}

std::string_view VerbName(Verb verb) { return kVerbs[static_cast<std::size_t>(verb)]; }

Verb VerbOf(s3::Operation operation) {
  using s3::Operation;
  switch (operation) {
    case Operation::kGetObject:
      return Verb::kGet;
    case Operation::kHeadObject:
      return Verb::kHead;
    case Operation::kListObjectsV1:
    case Operation::kListObjectsV2:
      return Verb::kList;
    case Operation::kPutObject:
    case Operation::kCopyObject:
      return Verb::kPut;
    case Operation::kDeleteObject:
    case Operation::kDeleteObjects:
      return Verb::kDelete;
    case Operation::kCreateMultipartUpload:
    case Operation::kUploadPart:
    case Operation::kUploadPartCopy:
    case Operation::kCompleteMultipartUpload:
    case Operation::kAbortMultipartUpload:
    case Operation::kListParts:
    case Operation::kListMultipartUploads:
      return Verb::kMultipart;
    default:
      return Verb::kOther;
  }
}

AgentMetrics::AgentMetrics(std::size_t threads, std::string site)
    : site_(std::move(site)),
      registry_(threads),
      throttled_memory(registry_.CounterOf("sluice_agent_throttled_total",
                                           "Requests and connections refused for want of room.",
                                           {{"site", site_}, {"reason", "memory"}})),
      throttled_connections(registry_.CounterOf(
          "sluice_agent_throttled_total", "Requests and connections refused for want of room.",
          {{"site", site_}, {"reason", "connections"}})),
      connections_accepted(registry_.CounterOf("sluice_agent_connections_accepted_total",
                                               "Connections accepted.", {{"site", site_}})),
      accept_errors(registry_.CounterOf("sluice_agent_accept_errors_total",
                                        "Connections that could not be accepted.",
                                        {{"site", site_}})),
      bad_requests(registry_.CounterOf("sluice_agent_bad_requests_total",
                                       "Requests that were not well-formed HTTP.",
                                       {{"site", site_}})),
      revalidations(registry_.CounterOf("sluice_agent_revalidations_total",
                                        "Cached objects whose version was confirmed at the origin.",
                                        {{"site", site_}})),
      stale_served(registry_.CounterOf(
          "sluice_agent_stale_served_total",
          "Answers from the cache beyond the metadata TTL because the origin did not answer.",
          {{"site", site_}})),
      absent_served(registry_.CounterOf(
          "sluice_agent_absent_served_total",
          "NoSuchKey answers given because the origin had said so a moment before.",
          {{"site", site_}})),
      aborted_bodies(registry_.CounterOf("sluice_agent_aborted_bodies_total",
                                         "Answers that broke off in mid-body.", {{"site", site_}})),
      throttled_tls(registry_.CounterOf("sluice_agent_throttled_total",
                                        "Requests and connections refused for want of room.",
                                        {{"site", site_}, {"reason", "tls"}})),
      tls_handshakes_done(registry_.CounterOf("sluice_agent_tls_handshakes_total",
                                              "TLS handshakes with clients, by how they ended.",
                                              {{"site", site_}, {"result", "done"}})),
      tls_by_kernel(registry_.CounterOf("sluice_agent_tls_kernel_connections_total",
                                        "TLS connections whose answers the kernel encrypts.",
                                        {{"site", site_}})),
      tls_handshakes_failed(registry_.CounterOf("sluice_agent_tls_handshakes_total",
                                                "TLS handshakes with clients, by how they ended.",
                                                {{"site", site_}, {"result", "failed"}})),
      tls_handshakes_too_slow(registry_.CounterOf("sluice_agent_tls_handshakes_total",
                                                  "TLS handshakes with clients, by how they ended.",
                                                  {{"site", site_}, {"result", "timeout"}})),
      tls_reload_failures(registry_.CounterOf(
          "sluice_agent_tls_reload_failures_total",
          "Looks at certificate files that found none to use; the former were kept.",
          {{"site", site_}})),
      nobody_(MakeTenant("none")) {}

std::unique_ptr<TenantMetrics> AgentMetrics::MakeTenant(const std::string& name) {
  auto made = std::make_unique<TenantMetrics>();
  for (std::size_t v = 0; v < kVerbs.size(); ++v) {
    const std::string operation(kVerbs[v]);
    for (std::size_t o = 0; o < kOutcomes.size(); ++o)
      made->requests[v][o] =
          &registry_.CounterOf("sluice_agent_requests_total", "Requests answered.",
                               {{"site", site_},
                                {"tenant", name},
                                {"operation", operation},
                                {"outcome", std::string(kOutcomes[o])}});
    made->duration[v] = &registry_.HistogramOf(
        "sluice_agent_request_duration_seconds",
        "From a request's last head byte to the answer's last byte handed to the socket.",
        {{"site", site_}, {"tenant", name}, {"operation", operation}});
  }
  const auto bytes = [&](const char* source) {
    return &registry_.CounterOf("sluice_agent_sent_bytes_total",
                                "Object bytes sent to clients, by where they came from.",
                                {{"site", site_}, {"tenant", name}, {"source", source}});
  };
  made->bytes_dram = bytes("dram");
  made->bytes_nvme = bytes("nvme");
  made->bytes_origin = bytes("origin");
  made->wait_ns = &registry_.CounterOf("sluice_agent_data_wait_seconds_total",
                                       "Time clients waited for data that was not in memory.",
                                       {{"site", site_}, {"tenant", name}}, 1e-9);
  return made;
}

const TenantMetrics& AgentMetrics::ForTenant(const std::string& name) {
  std::lock_guard lock(mutex_);
  const auto known = tenants_.find(name);
  if (known != tenants_.end()) return *known->second;
  const std::string label = tenants_.size() < kMaxTenantLabels ? name : "other";
  return *(tenants_[label] = MakeTenant(label));
}

const OriginMetrics& AgentMetrics::ForOrigin(const std::string& name) {
  std::lock_guard lock(mutex_);
  const auto known = origins_.find(name);
  if (known != origins_.end()) return *known->second;
  const std::string label = origins_.size() < kMaxOriginLabels ? name : "other";
  auto made = std::make_unique<OriginMetrics>();
  for (std::size_t o = 0; o < kOriginOperations.size(); ++o)
    for (std::size_t r = 0; r < kOriginResults.size(); ++r)
      made->requests[o][r] =
          &registry_.CounterOf("sluice_agent_origin_requests_total", "Requests sent to origins.",
                               {{"site", site_},
                                {"origin", label},
                                {"operation", std::string(kOriginOperations[o])},
                                {"outcome", std::string(kOriginResults[r])}});
  made->bytes_in =
      &registry_.CounterOf("sluice_agent_origin_bytes_total", "Body bytes exchanged with origins.",
                           {{"site", site_}, {"origin", label}, {"direction", "in"}});
  made->bytes_out =
      &registry_.CounterOf("sluice_agent_origin_bytes_total", "Body bytes exchanged with origins.",
                           {{"site", site_}, {"origin", label}, {"direction", "out"}});
  return *(origins_[label] = std::move(made));
}

}  // namespace sluice::serve
