#include "datapath/cmd/status_page.h"

#include <gtest/gtest.h>
#include <sys/socket.h>

#include <thread>

#include "datapath/net/address.h"
#include "datapath/net/unique_fd.h"

namespace sluice::cmd {
namespace {

constexpr std::string_view kMetrics =
    "# HELP sluice_agent_requests_total Requests.\n"
    "# TYPE sluice_agent_requests_total counter\n"
    "sluice_agent_requests_total{site=\"a\",tenant=\"t\",operation=\"GetObject\",outcome=\"ok\"} "
    "40\n"
    "sluice_agent_requests_total{site=\"a\",tenant=\"u\",operation=\"HeadObject\",outcome=\"ok\"} "
    "2\n"
    "sluice_agent_requests_total{site=\"a\",tenant=\"u\",operation=\"GetObject\",outcome="
    "\"throttled\"} 0\n"
    "sluice_agent_requests_totally_other{outcome=\"ok\"} 9\n"
    "sluice_agent_origin_requests_total{site=\"a\",origin=\"lake\",operation=\"GetObject\",outcome="
    "\"ok\"} 7\n"
    "sluice_agent_sent_bytes_total{tenant=\"t\",source=\"dram\"} 1.5e+09\n"
    "sluice_agent_memory_used_bytes 1048576\n"
    "sluice_agent_memory_limit_bytes 2097152\n"
    "sluice_agent_stale_served_total{site=\"a\"} 0\n"
    "sluice_agent_cache_corrupt_chunks_total 3\n"
    "sluice_agent_tls_listeners_unreadable 1\n";

TEST(DescribeAgent, SumsWhatMattersAndLeavesOutWhatIsZero) {
  const std::string page = DescribeAgent({200, "ok\n"}, kMetrics);
  EXPECT_NE(page.find("ready            yes\n"), std::string::npos) << page;
  EXPECT_NE(page.find("requests         ok 42\n"), std::string::npos) << page;
  EXPECT_NE(page.find("origin answers   ok 7\n"), std::string::npos) << page;
  EXPECT_NE(page.find("bytes sent from  dram 1.4 GiB\n"), std::string::npos) << page;
  EXPECT_NE(page.find("memory           1.0 MiB of 2.0 MiB\n"), std::string::npos) << page;
  EXPECT_NE(page.find("corrupt          3 chunks"), std::string::npos) << page;
  EXPECT_NE(page.find("certificates     files that cannot be used"), std::string::npos) << page;
  EXPECT_EQ(page.find("stale"), std::string::npos) << page;
}

TEST(DescribeAgent, SaysWhyItIsNotReady) {
  EXPECT_EQ(DescribeAgent({503, "draining\n"}, ""), "ready            no (draining)\n");
}

// Answers one connection with `answer` and ends it.
struct OneAnswer {
  explicit OneAnswer(std::string answer) {
    listener = net::UniqueFd(::socket(AF_INET, SOCK_STREAM, 0));
    const net::Address any = net::Address::Parse("127.0.0.1:0").value();
    EXPECT_EQ(::bind(listener.get(), any.get(), any.length()), 0);
    EXPECT_EQ(::listen(listener.get(), 1), 0);
    sockaddr_storage at{};
    socklen_t length = sizeof at;
    ::getsockname(listener.get(), reinterpret_cast<sockaddr*>(&at), &length);
    address = net::Address::FromSockaddr(reinterpret_cast<sockaddr*>(&at), length).ToString();
    thread = std::thread([this, text = std::move(answer)] {
      const net::UniqueFd peer(::accept(listener.get(), nullptr, nullptr));
      char bytes[4096];
      while (seen.find("\r\n\r\n") == std::string::npos) {
        const ssize_t got = ::recv(peer.get(), bytes, sizeof bytes, 0);
        if (got <= 0) return;
        seen.append(bytes, static_cast<std::size_t>(got));
      }
      ::send(peer.get(), text.data(), text.size(), MSG_NOSIGNAL);
    });
  }
  ~OneAnswer() {
    if (thread.joinable()) thread.join();
  }
  net::UniqueFd listener;
  std::string address;
  std::string seen;
  std::thread thread;
};

TEST(FetchPage, BringsStatusAndBody) {
  OneAnswer server("HTTP/1.1 503 Service Unavailable\r\nContent-Length: 9\r\n\r\ndraining\n");
  auto page = FetchPage(server.address, "/readyz");
  ASSERT_TRUE(page.ok()) << page.status().ToString();
  EXPECT_EQ(page->http_status, 503);
  EXPECT_EQ(page->body, "draining\n");
  server.thread.join();
  EXPECT_TRUE(server.seen.starts_with("GET /readyz HTTP/1.1\r\n"));
}

TEST(FetchPage, SaysWhatIsWrong) {
  OneAnswer server("SSH-2.0-OpenSSH\r\n");
  EXPECT_EQ(FetchPage(server.address, "/").status().code(), base::Code::kDataLoss);
  EXPECT_EQ(FetchPage("nowhere", "/").status().code(), base::Code::kInvalidArgument);
  EXPECT_EQ(FetchPage("unix:/nowhere/at/all", "/").status().code(), base::Code::kUnavailable);
}

}  // namespace
}  // namespace sluice::cmd
