#include "tests/integration/agents/world.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <condition_variable>
#include <thread>

#include "controller/base/file.h"

namespace sluice::agents::testing {

bool Eventually(const std::function<bool()>& true_at_last, std::chrono::milliseconds within) {
  const auto deadline = std::chrono::steady_clock::now() + within;
  while (!true_at_last()) {
    if (std::chrono::steady_clock::now() >= deadline) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(5));  // polling, not timing
  }
  return true;
}

base::StatusOr<ReviewedToken> TableReviewer::Review(const std::string& site,
                                                    const std::string& token,
                                                    base::MonoTime /*deadline*/) {
  ++asked;
  const auto on = token.find(" on ");
  if (on == std::string::npos) return base::Unauthenticated("the token is not valid");
  return ReviewedToken{"system:serviceaccount:sluice-" + site + ":agent", token.substr(0, on),
                       token.substr(on + 4)};
}

base::Status TestRoster::Has(const AgentIdentity& identity) const {
  const std::lock_guard lock(mutex_);
  if (!ready_) return base::Unavailable("not known yet");
  if (gone_.contains(identity.site)) return base::NotFound("no site " + identity.site);
  if (gone_.contains(identity.node)) return base::PermissionDenied("no node " + identity.node);
  return base::OkStatus();
}

void TestRoster::Lose(const std::string& site_or_node) {
  const std::lock_guard lock(mutex_);
  gone_.insert(site_or_node);
}

void TestRoster::SetReady(bool ready) {
  const std::lock_guard lock(mutex_);
  ready_ = ready;
}

TestContent::TestContent(const std::string& region, bool good, const std::string& secret) {
  config.set_s3_region(region);
  config.add_listen("127.0.0.1:0");
  config.mutable_cache()->set_memory_bytes(good ? 64 << 20 : 1);
  auto& origin = *config.add_origins();
  origin.set_name("lake");
  origin.set_endpoint("http://127.0.0.1:7070");
  origin.set_region("us-east-1");
  origin.set_credential("lake");
  auto& credential = *credentials.add_credentials();
  credential.set_name("lake");
  credential.set_access_key_id("AK");
  credential.set_secret_access_key(secret);
}

Replica::Replica(EpochStore& store, const CertificateAuthority& authority, const TestRoster& roster,
                 base::Clock& clock, ServerOptions options)
    : publisher(store, authority.DeriveKey("configuration version")),
      server(
          std::move(options), publisher, fleet, reviewer,
          [&roster](const AgentIdentity& identity) { return roster.Has(identity); }, clock) {
  const auto started = server.Start(authority, "");
  EXPECT_TRUE(started.ok()) << started.ToString();
}

std::string Replica::control() const { return fmt::format("127.0.0.1:{}", server.control_port()); }
std::string Replica::enrolment() const {
  return fmt::format("127.0.0.1:{}", server.enrolment_port());
}

Agent::Agent(const std::string& root, const std::string& ca_pem, Options options,
             control::Source::OnConfig answer)
    : directory(root + "/" + options.node) {
  std::filesystem::create_directories(directory);
  const std::string token = options.token.empty() ? "pod on " + options.node : options.token;
  EXPECT_TRUE(base::WriteFileAtomic(directory + "/token", token + "\n", 0600).ok());
  EXPECT_TRUE(base::WriteFileAtomic(directory + "/ca.pem", ca_pem).ok());
  control::StreamOptions stream;
  stream.site = "phoenix";
  stream.node = options.node;
  stream.agent_version = "test";
  stream.endpoints = options.endpoints;
  stream.enrolment_endpoints = options.enrolments;
  stream.token_file = directory + "/token";
  stream.ca_file = directory + "/ca.pem";
  stream.state_dir = directory + "/state";
  stream.secrets_dir = directory + "/secrets";
  stream.backoff_first = std::chrono::milliseconds(20);
  stream.backoff_most = std::chrono::milliseconds(200);
  stream.on_drain = [this](std::chrono::seconds grace) {
    const std::lock_guard lock(mutex_);
    drained_ = grace;
  };
  static base::RealClock clock;
  source = control::MakeStreamSource(std::move(stream), clock);
  const auto started = source->Start([this, answer](control::ConfigPtr config) {
    const base::Status status = answer ? answer(config) : base::OkStatus();
    if (!status.ok()) return status;
    const std::lock_guard lock(mutex_);
    in_force_ = std::move(config);
    ++applied_;
    return status;
  });
  EXPECT_TRUE(started.ok()) << started.ToString();
}

std::string Agent::region() const {
  const std::lock_guard lock(mutex_);
  return in_force_ ? in_force_->s3_region : "";
}

int Agent::applied() const {
  const std::lock_guard lock(mutex_);
  return applied_;
}

std::chrono::seconds Agent::drained() const {
  const std::lock_guard lock(mutex_);
  return drained_;
}

namespace {
std::string NewRoot() {
  std::string pattern = ::testing::TempDir() + "agents-XXXXXX";
  SLUICE_CHECK(mkdtemp(pattern.data()) != nullptr);
  return pattern;
}
}  // namespace

World::World()
    : root(NewRoot()),
      authority_pair(
          *CertificateAuthority::Create("sluice test", clock.Wall(), std::chrono::hours(24))),
      authority(*CertificateAuthority::Load(authority_pair)) {
  options.control_address = "127.0.0.1:0";
  options.enrolment_address = "127.0.0.1:0";
  options.health_interval = std::chrono::seconds(1);
}

std::unique_ptr<Replica> World::StartReplica() {
  return std::make_unique<Replica>(store, authority, roster, clock, options);
}

std::unique_ptr<Replica> World::StartReplicaAt(const std::string& control,
                                               const std::string& enrolment) {
  ServerOptions at = options;
  at.control_address = control;
  at.enrolment_address = enrolment;
  return std::make_unique<Replica>(store, authority, roster, clock, at);
}

std::unique_ptr<Agent> World::StartAgent(const Replica& replica, const std::string& node,
                                         control::Source::OnConfig answer) {
  return StartAgent({.node = node,
                     .token = "",
                     .endpoints = {replica.control()},
                     .enrolments = {replica.enrolment()}},
                    std::move(answer));
}

std::unique_ptr<Agent> World::StartAgent(Agent::Options agent_options,
                                         control::Source::OnConfig answer) {
  return std::make_unique<Agent>(root, authority.certificate_pem(), std::move(agent_options),
                                 std::move(answer));
}

}  // namespace sluice::agents::testing
