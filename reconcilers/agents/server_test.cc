// The server's own certificate, by a clock that is set. What agents see of the server is in
// tests/integration/agents.
#include "reconcilers/agents/server.h"

#include <gtest/gtest.h>

#include <thread>

#include "reconcilers/agents/testing.h"

namespace sluice::agents {
namespace {

using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;

class NobodyReviewed final : public TokenReviewer {
 public:
  base::StatusOr<ReviewedToken> Review(const std::string&, const std::string&,
                                       base::MonoTime) override {
    return base::Unauthenticated("nobody");
  }
};

class ServerTest : public ::testing::Test {
 protected:
  ServerTest() {
    const auto pair = CertificateAuthority::Create("test", clock_.Wall(), hours(24 * 365));
    const auto started = server_.Start(*CertificateAuthority::Load(*pair), "");
    EXPECT_TRUE(started.ok()) << started.ToString();
    ComeToRest();
  }
  ~ServerTest() override { server_.Stop(); }
  // One look of the housekeeping.
  void Tick() {
    clock_.Advance(seconds(1));
    ComeToRest();
  }
  void ComeToRest() {
    while (clock_.waiters() == 0) std::this_thread::yield();
  }
  int Rotations() const { return server_.stats().certificate_rotations; }

  base::FakeClock clock_;
  testing::MemoryEpochStore store_;
  ConfigPublisher publisher_{store_, "key"};
  FleetView fleet_;
  NobodyReviewed reviewer_;
  AgentServer server_{{.control_address = "127.0.0.1:0", .enrolment_address = "127.0.0.1:0"},
                      publisher_,
                      fleet_,
                      reviewer_,
                      [](const AgentIdentity&) { return base::OkStatus(); },
                      clock_};
};

TEST_F(ServerTest, ItsCertificateIsReplacedAtHalfLife) {
  clock_.Advance(hours(12) - minutes(1));
  ComeToRest();
  EXPECT_EQ(Rotations(), 0);
  clock_.Advance(minutes(1));
  ComeToRest();
  EXPECT_EQ(Rotations(), 1);
}

TEST_F(ServerTest, ItsCertificateIsReplacedOnceWhenItWasIssuedByAClockThatStoodFast) {
  clock_.StepWall(-hours(2));
  Tick();
  EXPECT_EQ(Rotations(), 1);
  EXPECT_EQ(server_.stats().certificate_not_after, clock_.Wall() + hours(24))
      << "of the time that it is";
  for (int i = 0; i < 10; ++i) Tick();
  EXPECT_EQ(Rotations(), 1);
}

TEST_F(ServerTest, AClockThatIsSlewedBackReplacesNothing) {
  for (int i = 0; i < 10; ++i) {
    clock_.StepWall(-std::chrono::milliseconds(500));
    Tick();
  }
  EXPECT_EQ(Rotations(), 0);
}

}  // namespace
}  // namespace sluice::agents
