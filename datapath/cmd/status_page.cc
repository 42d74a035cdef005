#include "datapath/cmd/status_page.h"

#include <fmt/format.h>
#include <sys/socket.h>
#include <sys/time.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <map>
#include <system_error>

#include "datapath/net/address.h"
#include "datapath/net/unique_fd.h"

namespace sluice::cmd {
namespace {

constexpr std::size_t kMaxPageBytes = 16 << 20;
constexpr timeval kPageDeadline{.tv_sec = 5, .tv_usec = 0};

// Sums of a metric's children, by the value of one label ("" when it lacks the label).
using Sums = std::map<std::string, double, std::less<>>;

std::string_view LabelOf(std::string_view labels, std::string_view name) {
  const std::string wanted = std::string(name) + "=\"";
  for (std::size_t at = labels.find(wanted); at != std::string_view::npos;
       at = labels.find(wanted, at + 1)) {
    if (at > 0 && labels[at - 1] != '{' && labels[at - 1] != ',') continue;
    labels.remove_prefix(at + wanted.size());
    return labels.substr(0, labels.find('"'));
  }
  return {};
}

Sums SumBy(std::string_view metrics, std::string_view name, std::string_view label) {
  Sums sums;
  while (!metrics.empty()) {
    const std::size_t end = std::min(metrics.find('\n'), metrics.size());
    const std::string_view line = metrics.substr(0, end);
    metrics.remove_prefix(std::min(end + 1, metrics.size()));
    if (!line.starts_with(name)) continue;
    const std::string_view rest = line.substr(name.size());
    if (rest.empty() || (rest[0] != ' ' && rest[0] != '{')) continue;  // a longer name
    const std::size_t space = rest.rfind(' ');
    double value = 0;
    const auto [stop, error] =
        std::from_chars(rest.data() + space + 1, rest.data() + rest.size(), value);
    if (error == std::errc()) sums[std::string(LabelOf(rest.substr(0, space), label))] += value;
  }
  return sums;
}

double Total(const Sums& sums) {
  double total = 0;
  for (const auto& [label, value] : sums) total += value;
  return total;
}

std::string Bytes(double bytes) {
  constexpr std::string_view kUnits[] = {"B", "KiB", "MiB", "GiB", "TiB"};
  std::size_t unit = 0;
  while (bytes >= 1024 && unit + 1 < std::size(kUnits)) {
    bytes /= 1024;
    ++unit;
  }
  return fmt::format("{:.{}f} {}", bytes, unit == 0 ? 0 : 1, kUnits[unit]);
}

// "name value, name value": of what is not zero.
std::string Listed(const Sums& sums, std::string (*write)(double)) {
  std::string text;
  for (const auto& [label, value] : sums) {
    if (value == 0) continue;
    text += fmt::format("{}{} {}", text.empty() ? "" : ", ", label, write(value));
  }
  return text.empty() ? "none" : text;
}
std::string Count(double value) { return fmt::format("{:.0f}", value); }

void AddLine(std::string_view title, std::string_view text, std::string* page) {
  *page += fmt::format("{:<16} {}\n", title, text);
}

std::string_view Trimmed(std::string_view text) {
  while (!text.empty() && (text.back() == '\n' || text.back() == '\r' || text.back() == ' '))
    text.remove_suffix(1);
  return text;
}

base::StatusOr<net::Address> PageAddress(std::string_view text) {
  // What an agent listens on everywhere is reached on loopback.
  if (text.starts_with("0.0.0.0:"))
    return net::Address::Parse("127.0.0.1" + std::string(text.substr(7)));
  if (text.starts_with("[::]:")) return net::Address::Parse("[::1]" + std::string(text.substr(4)));
  return net::Address::Parse(std::string(text));
}

base::Status Failed(std::string_view doing) {
  if (errno == EAGAIN || errno == EWOULDBLOCK)
    return base::DeadlineExceeded(
        fmt::format("{}: no answer within {} s", doing, kPageDeadline.tv_sec));
  return base::Unavailable(
      fmt::format("{}: {}", doing, std::error_code(errno, std::generic_category()).message()));
}

}  // namespace

base::StatusOr<PageAnswer> FetchPage(std::string_view address, std::string_view path) {
  SLUICE_ASSIGN_OR_RETURN(const net::Address to, PageAddress(address));
  const net::UniqueFd socket(::socket(to.family(), SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!socket.valid()) return Failed("socket");
  ::setsockopt(socket.get(), SOL_SOCKET, SO_RCVTIMEO, &kPageDeadline, sizeof kPageDeadline);
  ::setsockopt(socket.get(), SOL_SOCKET, SO_SNDTIMEO, &kPageDeadline, sizeof kPageDeadline);
  if (::connect(socket.get(), to.get(), to.length()) != 0)
    return Failed(fmt::format("connect to {}", address));
  const std::string request =
      fmt::format("GET {} HTTP/1.1\r\nHost: agent\r\nConnection: close\r\n\r\n", path);
  if (::send(socket.get(), request.data(), request.size(), MSG_NOSIGNAL) !=
      static_cast<ssize_t>(request.size()))
    return Failed("ask");
  std::string answer;
  for (char bytes[16 << 10];;) {
    const ssize_t got = ::recv(socket.get(), bytes, sizeof bytes, 0);
    if (got < 0) return Failed("read the answer");
    if (got == 0) break;
    answer.append(bytes, static_cast<std::size_t>(got));
    if (answer.size() > kMaxPageBytes) return base::DataLoss("the answer is too long");
  }
  const std::size_t head = answer.find("\r\n\r\n");
  PageAnswer page;
  const bool http =
      answer.starts_with("HTTP/1.1 ") && head != std::string::npos &&
      std::from_chars(answer.data() + 9, answer.data() + 12, page.http_status).ec == std::errc();
  if (!http) return base::DataLoss(fmt::format("{} does not answer in HTTP", address));
  page.body = answer.substr(head + 4);
  return page;
}

std::string DescribeAgent(const PageAnswer& ready, std::string_view metrics) {
  std::string page;
  const bool serves = ready.http_status == 200;
  const std::string_view why = Trimmed(ready.body);
  AddLine("ready", serves ? "yes" : fmt::format("no ({})", why.empty() ? "no reason told" : why),
          &page);
  const auto show = [&](std::string_view title, std::string_view metric, std::string_view label,
                        std::string (*write)(double)) {
    const Sums sums = SumBy(metrics, metric, label);
    if (!sums.empty()) AddLine(title, Listed(sums, write), &page);
  };
  show("requests", "sluice_agent_requests_total", "outcome", Count);
  show("bytes sent from", "sluice_agent_sent_bytes_total", "source", Bytes);
  show("cached", "sluice_agent_cache_bytes", "tier", Bytes);
  const Sums pinned = SumBy(metrics, "sluice_agent_cache_pinned_bytes", "");
  const Sums may_pin = SumBy(metrics, "sluice_agent_cache_pinned_limit_bytes", "");
  if (Total(pinned) > 0)
    AddLine("pinned", fmt::format("{} of {}", Bytes(Total(pinned)), Bytes(Total(may_pin))), &page);
  const Sums used = SumBy(metrics, "sluice_agent_memory_used_bytes", "");
  const Sums limit = SumBy(metrics, "sluice_agent_memory_limit_bytes", "");
  if (!used.empty() && !limit.empty())
    AddLine("memory", fmt::format("{} of {}", Bytes(Total(used)), Bytes(Total(limit))), &page);
  show("origin answers", "sluice_agent_origin_requests_total", "outcome", Count);
  show("throttled", "sluice_agent_throttled_total", "reason", Count);
  const Sums unreadable = SumBy(metrics, "sluice_agent_tls_listeners_unreadable", "");
  if (Total(unreadable) > 0)
    AddLine("certificates", "files that cannot be used; the former are shown (see /healthz)",
            &page);
  const Sums stale = SumBy(metrics, "sluice_agent_stale_served_total", "");
  if (Total(stale) > 0)
    AddLine("stale", fmt::format("{} answers while an origin was away", Count(Total(stale))),
            &page);
  const Sums corrupt = SumBy(metrics, "sluice_agent_cache_corrupt_chunks_total", "");
  if (Total(corrupt) > 0)
    AddLine("corrupt",
            fmt::format("{} chunks failed their checksum and were dropped", Count(Total(corrupt))),
            &page);
  return page;
}

}  // namespace sluice::cmd
