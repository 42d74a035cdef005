// sluice_load: one load run against 127.0.0.1, its figures as one JSON object on stdout.
//   sluice_load --port N --path /bucket/key [--keys N] [--connections N] [--seconds S]
//     [--warmup S] [--rate R] [--copy] [--region R] [--server-pids P,P,...]
// With SLUICE_BENCH_KEY=ACCESS:SECRET in the environment every request is signed.
// Exit status: 0 with figures, 2 when it could not run.
#include <fmt/format.h>

#include <cstdio>
#include <cstdlib>
#include <map>

#include "tests/bench/datapath/load_engine.h"

namespace {

using sluice::bench::LoadOptions;
using sluice::bench::LoadResult;
using sluice::bench::RequestOptions;

std::vector<pid_t> ReadPids(const char* text) {
  std::vector<pid_t> pids;
  while (*text != '\0') {
    char* end = nullptr;
    pids.push_back(static_cast<pid_t>(std::strtol(text, &end, 10)));
    text = *end == ',' ? end + 1 : end;
    if (*end != ',' && *end != '\0') break;
  }
  return pids;
}

bool ReadFlags(int argc, char** argv, LoadOptions* load, RequestOptions* request) {
  for (int i = 1; i < argc; ++i) {
    const std::string flag = argv[i];
    if (flag == "--copy") {
      load->copy = true;
      continue;
    }
    if (++i == argc) return false;
    const char* const value = argv[i];
    if (flag == "--port") {
      load->port = static_cast<std::uint16_t>(std::atoi(value));
    } else if (flag == "--path") {
      request->path = value;
    } else if (flag == "--keys") {
      request->keys = std::strtoul(value, nullptr, 10);
    } else if (flag == "--connections") {
      load->connections = std::strtoul(value, nullptr, 10);
    } else if (flag == "--seconds") {
      load->seconds = std::atof(value);
    } else if (flag == "--warmup") {
      load->warmup_seconds = std::atof(value);
    } else if (flag == "--rate") {
      load->rate = std::atof(value);
    } else if (flag == "--region") {
      request->region = value;
    } else if (flag == "--server-pids") {
      load->server_pids = ReadPids(value);
    } else {
      return false;
    }
  }
  return !request->path.empty();
}

void Print(const LoadOptions& options, const LoadResult& result) {
  const auto us = [&result](double share) {
    return static_cast<double>(result.latency.Quantile(share)) / 1e3;
  };
  const double gib = static_cast<double>(result.bytes) / (1 << 30);
  const auto requests = static_cast<double>(result.requests);
  const auto per = [](double cpu, double of) { return of > 0 ? cpu / of : 0; };
  fmt::print(
      "{{\"connections\": {}, \"rate\": {}, \"seconds\": {:.4f}, \"requests\": {}, "
      "\"errors\": {}, \"reconnects\": {}, \"rps\": {:.1f}, \"gib_s\": {:.4f}, "
      "\"p50_us\": {:.1f}, \"p99_us\": {:.1f}, \"p999_us\": {:.1f}, \"max_us\": {:.1f}, "
      "\"server_cpu\": {:.3f}, \"client_cpu\": {:.3f}, \"cpu_us_per_request\": {:.3f}, "
      "\"cpu_s_per_gib\": {:.5f}}}\n",
      options.connections, options.rate, result.seconds, result.requests, result.errors,
      result.reconnects, requests / result.seconds, gib / result.seconds, us(0.5), us(0.99),
      us(0.999), static_cast<double>(result.latency.max()) / 1e3,
      result.server_cpu_seconds / result.seconds, result.client_cpu_seconds / result.seconds,
      per(result.server_cpu_seconds * 1e6, requests), per(result.server_cpu_seconds, gib));
}

}  // namespace

int main(int argc, char** argv) {
  LoadOptions load;
  RequestOptions request;
  if (!ReadFlags(argc, argv, &load, &request)) {
    std::fputs("usage: see the top of load.cc\n", stderr);
    return 2;
  }
  if (const char* key = std::getenv("SLUICE_BENCH_KEY"); key != nullptr) {
    const std::string_view pair(key);
    const std::size_t colon = pair.find(':');
    request.access_key = pair.substr(0, colon);
    request.secret_key = colon == std::string_view::npos ? "" : pair.substr(colon + 1);
  }
  request.host = fmt::format("127.0.0.1:{}", load.port);
  sluice::bench::Requests requests(request);
  const auto result = sluice::bench::RunLoad(load, requests);
  if (!result.ok()) {
    fmt::print(stderr, "{}\n", result.status().ToString());
    return 2;
  }
  Print(load, *result);
  return 0;
}
