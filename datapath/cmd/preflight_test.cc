#include "datapath/cmd/preflight.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>

#include "controller/base/authority.h"
#include "controller/base/file.h"

namespace sluice::cmd {
namespace {

class CertificateCheck : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = std::filesystem::temp_directory_path() / "sluice-check-XXXXXX";
    folder_ = ::mkdtemp(pattern.data());
    const auto authority =
        base::CertificateAuthority::Create("test", now_, std::chrono::hours(24 * 365)).value();
    const auto loaded = base::CertificateAuthority::Load(authority).value();
    for (const char* name : {"a", "b"}) {
      const auto made = loaded.IssueServer({"x.lab"}, now_, std::chrono::hours(24 * 30)).value();
      ASSERT_TRUE(base::WriteFileAtomic(File(name, "key"), made.key_pem, 0600).ok());
      ASSERT_TRUE(base::WriteFileAtomic(File(name, "pem"), made.certificate.certificate_pem).ok());
    }
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }
  std::string File(const std::string& name, const char* kind) const {
    return folder_ + "/" + name + "." + kind;
  }
  Finding Check(const std::string& certificate, const std::string& key, base::WallTime now) {
    const control::Listen listener{.address = "127.0.0.1:1", .certificates = {{certificate, key}}};
    const auto findings = CheckCertificates(listener, now);
    EXPECT_EQ(findings.size(), 1u);
    EXPECT_EQ(findings[0].level == Finding::Level::kOk, findings[0].cure.empty());
    return findings[0];
  }

  const base::WallTime now_{std::chrono::seconds(1'800'000'000)};
  std::string folder_;
};

TEST_F(CertificateCheck, SaysHowLongAGoodOneLasts) {
  const Finding finding = Check(File("a", "pem"), File("a", "key"), now_);
  EXPECT_EQ(finding.level, Finding::Level::kOk);
  EXPECT_NE(finding.what.find("good until 2027-02-14"), std::string::npos) << finding.what;
}

TEST_F(CertificateCheck, TellsWhatIsWrongAndItsCure) {
  using Level = Finding::Level;
  const auto expect = [](const Finding& finding, Level level, const char* what, const char* cure) {
    EXPECT_EQ(finding.level, level);
    EXPECT_NE(finding.what.find(what), std::string::npos) << finding.what;
    EXPECT_NE(finding.cure.find(cure), std::string::npos) << finding.cure;
  };
  const std::string pem = File("a", "pem"), key = File("a", "key");
  expect(Check(pem, File("b", "key"), now_), Level::kError, "does not belong",
         "that belongs to it");
  expect(Check(key, key, now_), Level::kError, "not a PEM certificate", "put PEM there");
  expect(Check(pem, pem, now_), Level::kError, "not a PEM", "put PEM there");
  expect(Check(File("none", "pem"), key, now_), Level::kError, "none.pem", "correct its path");
  expect(Check(pem, key, now_ + std::chrono::hours(24 * 31)), Level::kError, "has ended", "renew");
  expect(Check(pem, key, now_ + std::chrono::hours(24 * 25)), Level::kWarning, "ends at", "renew");
  expect(Check(pem, key, now_ - std::chrono::hours(1)), Level::kError, "begins at", "clocks");
  ASSERT_EQ(::chmod(key.c_str(), 0644), 0);
  expect(Check(pem, key, now_), Level::kWarning, "everybody", "chmod");
}

TEST(PollerCheck, TellsWhichIsTakenAndWhy) {
  for (const auto kind : {ring::PollerKind::kAuto, ring::PollerKind::kEpoll}) {
    const ring::PollerChoice choice = ring::ChoosePoller(kind);
    const std::string line =
        std::string("ok      poller: ") + ring::PollerKindName(choice.kind) + " (" + choice.why;
    int errors = 0;
    const std::string text = Render(Preflight(nullptr, kind, base::WallTime()), &errors);
    EXPECT_NE(text.find(line), std::string::npos) << text;
  }
}

}  // namespace
}  // namespace sluice::cmd
