// What HTTP costs an API client, by library, doing the same calls over TLS to the same server: an
// apply of 300 bytes answered by 700 on a kept connection, and a watch of lines of 2,000 bytes.
//
//   build/release/bin/http_probe [requests] [megabytes] [rounds]
//
// Our own client (controller/http), and libcurl and cpp-httplib where they are installed. The
// server is a process of its own; so is each library in each round, so that what is counted is a
// client's processor time, all its threads, and nothing else. Prints medians over the rounds, in
// which the libraries take turns. The result stands in docs/adr/0060-http-client.md.
#include <fmt/format.h>
#include <malloc.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <thread>

#include "controller/base/check.h"
#include "controller/http/testing/imposter.h"
#include "tests/bench/controller/http_probe_client.h"

namespace sluice::bench {
namespace {

using std::chrono::microseconds;

constexpr std::size_t kApplyBytes = 300;
constexpr std::size_t kAnswerBytes = 700;
constexpr std::size_t kLineBytes = 2000;
constexpr std::size_t kTokenBytes = 900;  // of a service account, about
constexpr microseconds kPause{2000};
constexpr int kKept = 16;  // idle connections

constexpr std::array<std::string_view, 7> kFigures = {
    "start and first request, CPU ms",          "request at once after the last, CPU us",
    "request 2 ms after the last, CPU us",      "watch without a pause, CPU ms per MB",
    "watch, a line each 2 ms, CPU us per line", "further connection, CPU ms",
    "heap in use per idle connection, kB",
};
using Figures = std::array<double, kFigures.size()>;

constexpr ProbeCandidate kCandidates[] = {
    {"own", MakeOwnProbe},
#ifdef HTTP_PROBE_CURL
    {"libcurl", MakeCurlProbe},
#endif
#ifdef HTTP_PROBE_HTTPLIB
    {"cpp-httplib", MakeHttplibProbe},
#endif
};

// Of JSON, as far as a client that does not read it can tell.
std::string Filler(std::size_t bytes) {
  constexpr std::string_view kBegin = R"({"type":"MODIFIED","object":{"title":")";
  constexpr std::string_view kEnd = "\"}}\n";
  std::string out(kBegin);
  out.resize(bytes - kEnd.size(), 'x');
  return out += kEnd;
}

long NumberIn(std::string_view target, std::string_view name) {
  long number = 0;
  const std::size_t at = target.find(name);
  SLUICE_CHECK(at != std::string_view::npos);
  const std::string_view text = target.substr(at + name.size());
  std::from_chars(text.data(), text.data() + text.size(), number);
  return number;
}

std::string WatchTarget(long lines, microseconds pause) {
  return fmt::format("/watch?lines={}&pause_us={}", lines, pause.count());
}

// Each event is a chunk and a TLS record of its own, as an API server sends it.
bool SendWatch(http::testing::ImposterConnection& connection, std::string_view target) {
  const long lines = NumberIn(target, "lines=");
  const microseconds pause(NumberIn(target, "pause_us="));
  const std::string line = http::testing::Chunk(Filler(kLineBytes));
  bool sent = connection.Send(http::testing::kChunkedHead);
  for (long i = 0; sent && i < lines; ++i) {
    if (pause.count() > 0) std::this_thread::sleep_for(pause);
    sent = connection.Send(line);
  }
  return sent && connection.Send(http::testing::Chunk(""));
}

void Answer(http::testing::ImposterConnection& connection) {
  const std::string answer = http::testing::Answer(
      200, Filler(kAnswerBytes),
      "Audit-Id: 01234567-89ab-cdef-0123-456789abcdef\r\nCache-Control: no-cache, private\r\n"
      "X-Kubernetes-Pf-Flowschema-Uid: 01234567-89ab-cdef-0123-456789abcdef\r\n"
      "X-Kubernetes-Pf-Prioritylevel-Uid: 01234567-89ab-cdef-0123-456789abcdef\r\n"
      "Date: Mon, 23 Nov 2026 12:00:00 GMT\r\n");
  while (const auto request = connection.ReadRequest()) {
    const bool sent = request->target.starts_with("/watch?")
                          ? SendWatch(connection, request->target)
                          : connection.Send(answer);
    if (!sent) return;
  }
}

// Runs `child` in a process of its own with the write end of a pipe; returns what it wrote there.
template <typename Child>
std::string InAnotherProcess(const Child& child) {
  int ends[2];
  SLUICE_CHECK(pipe(ends) == 0);
  const pid_t pid = fork();
  SLUICE_CHECK(pid >= 0);
  if (pid == 0) {
    close(ends[0]);
    child(ends[1]);
    _exit(0);
  }
  close(ends[1]);
  std::string out;
  char bytes[4096];
  for (ssize_t n; (n = read(ends[0], bytes, sizeof(bytes))) > 0;) {
    out.append(bytes, static_cast<std::size_t>(n));
  }
  close(ends[0]);
  int status = 0;
  SLUICE_CHECK(waitpid(pid, &status, 0) == pid && status == 0);
  return out;
}

// The server lives until the process that holds the write end of `alive` is gone.
ProbePeer StartServer() {
  int alive[2];
  SLUICE_CHECK(pipe(alive) == 0);
  const std::string told = InAnotherProcess([&](int out) {
    if (fork() != 0) return;  // nobody waits for the server
    close(alive[1]);
    const http::testing::TestCa ca;
    const auto issued = ca.Issue("probe", "IP:127.0.0.1");
    const http::testing::Imposter server(
        Answer, http::testing::ImposterTls{issued.cert_pem, issued.key_pem, ""});
    const std::string text = fmt::format("{}\n{}", server.port(), ca.cert_pem());
    SLUICE_CHECK(write(out, text.data(), text.size()) == static_cast<ssize_t>(text.size()));
    close(out);
    char none;
    static_cast<void>(!read(alive[0], &none, 1));
    _exit(0);
  });
  close(alive[0]);
  const std::size_t end = told.find('\n');
  SLUICE_CHECK(end != std::string::npos);
  return {std::atoi(told.c_str()), told.substr(end + 1), std::string(kTokenBytes, 't')};
}

double CpuMs() {
  timespec now{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) * 1e3 + static_cast<double>(now.tv_nsec) / 1e6;
}

double HeapKb() {
  const struct mallinfo2 heap = mallinfo2();
  return static_cast<double>(heap.uordblks + heap.hblkhd) / 1e3;
}

Figures Measure(const ProbeCandidate& candidate, const ProbePeer& peer, int requests,
                int megabytes) {
  const std::string body = Filler(kApplyBytes);
  const auto apply = [&](ProbeClient& client) { SLUICE_CHECK(client.Apply(body) == kAnswerBytes); };
  const auto watch = [&](ProbeClient& client, long lines, microseconds pause) {
    SLUICE_CHECK(client.Watch(WatchTarget(lines, pause)) ==
                 static_cast<std::size_t>(lines) * kLineBytes);
  };
  const int paced = std::max(1, requests / 6);
  double begin = CpuMs();
  const auto since = [&begin] {
    const double last = begin;
    begin = CpuMs();
    return begin - last;
  };
  Figures figures{};
  const std::unique_ptr<ProbeClient> client = candidate.make(peer);
  apply(*client);
  figures[0] = since();
  for (int i = 0; i < requests; ++i) apply(*client);
  figures[1] = since() * 1e3 / requests;
  for (int i = 0; i < paced; ++i) {
    std::this_thread::sleep_for(kPause);
    apply(*client);
  }
  figures[2] = since() * 1e3 / paced;
  watch(*client, megabytes * 1'000'000L / static_cast<long>(kLineBytes), microseconds(0));
  figures[3] = since() / megabytes;
  watch(*client, paced, kPause);
  figures[4] = since() * 1e3 / paced;
  const double heap = HeapKb();
  since();
  client->KeepIdle(kKept);
  figures[5] = since() / (kKept - 1);
  figures[6] = (HeapKb() - heap) / (kKept - 1);
  return figures;
}

void Print(std::vector<std::vector<Figures>> rounds) {
  for (std::size_t figure = 0; figure < kFigures.size(); ++figure) {
    fmt::print("{}\n", kFigures[figure]);
    for (std::size_t i = 0; i < rounds.size(); ++i) {
      std::vector<double> found;
      for (const Figures& one : rounds[i]) found.push_back(one[figure]);
      std::sort(found.begin(), found.end());
      fmt::print("  {:12} {:9.3f}  ({:.3f} - {:.3f})\n", kCandidates[i].name,
                 found[found.size() / 2], found.front(), found.back());
    }
  }
}

int Probe(int requests, int megabytes, int times) {
  SLUICE_CHECK(requests > 0 && megabytes > 0 && times > 0);
  const ProbePeer peer = StartServer();
  constexpr std::size_t kCount = std::size(kCandidates);
  std::vector<std::vector<Figures>> rounds(kCount);
  for (int round = 0; round < times; ++round) {
    for (std::size_t i = 0; i < kCount; ++i) {
      const std::size_t turn = (i + static_cast<std::size_t>(round)) % kCount;
      const std::string told = InAnotherProcess([&](int out) {
        const Figures figures = Measure(kCandidates[turn], peer, requests, megabytes);
        SLUICE_CHECK(write(out, figures.data(), sizeof(figures)) == sizeof(figures));
      });
      Figures figures;
      SLUICE_CHECK(told.size() == sizeof(figures));
      std::copy(told.begin(), told.end(), reinterpret_cast<char*>(figures.data()));
      rounds[turn].push_back(figures);
    }
  }
  fmt::print("{} requests, {} MB of watch, {} rounds\n", requests, megabytes, times);
  Print(std::move(rounds));
  return 0;
}

}  // namespace
}  // namespace sluice::bench

int main(int argc, char** argv) {
  const auto number = [&](int i, int otherwise) {
    return argc > i ? std::atoi(argv[i]) : otherwise;
  };
  return sluice::bench::Probe(number(1, 3000), number(2, 64), number(3, 5));
}
