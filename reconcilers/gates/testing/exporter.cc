#include "reconcilers/gates/testing/exporter.h"

#include <fmt/format.h>

#include "controller/base/check.h"

namespace sluice::gates::testing {

Exporter::Exporter() {
  auto server = http::Server::New({});
  SLUICE_CHECK(server.ok());
  server_ = *std::move(server);
  server_->Handle("/metrics", [this](const http::ServerRequest&) { return Serve(); });
  SLUICE_CHECK(server_->Start().ok());
}

Exporter::~Exporter() { server_->Stop(); }

void Exporter::Set(const std::string& series, const std::string& value) {
  const std::lock_guard lock(mutex_);
  values_[series] = value;
}

void Exporter::Remove(const std::string& series) {
  const std::lock_guard lock(mutex_);
  values_.erase(series);
  counters_.erase(series);
  growth_.erase(series);
}

void Exporter::Grow(const std::string& series, double by_scrape) {
  const std::lock_guard lock(mutex_);
  growth_[series] = by_scrape;
}

void Exporter::Break(bool broken) {
  const std::lock_guard lock(mutex_);
  broken_ = broken;
}

int Exporter::scrapes() const {
  const std::lock_guard lock(mutex_);
  return scrapes_;
}

http::ServerResponse Exporter::Serve() {
  const std::lock_guard lock(mutex_);
  if (broken_) return {.status = 500, .body = "broken\n"};
  ++scrapes_;
  std::string body;
  for (const auto& [series, value] : values_) body += fmt::format("{} {}\n", series, value);
  for (const auto& [series, by] : growth_) {
    body += fmt::format("{} {}\n", series, counters_[series] += by);
  }
  return {.status = 200, .content_type = "text/plain; version=0.0.4", .body = std::move(body)};
}

}  // namespace sluice::gates::testing
