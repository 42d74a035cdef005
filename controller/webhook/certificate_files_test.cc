#include "controller/webhook/certificate_files.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>

#include "controller/base/file.h"
#include "controller/testing/wait.h"
#include "controller/webhook/limits.h"

namespace sluice::webhook {
namespace {

using testing_kit::WaitUntil;

TEST(CertificateFiles, AreFollowedAndHalfARotationIsNotTaken) {
  std::string folder = (std::filesystem::temp_directory_path() / "sluice-files-XXXXXX").string();
  ASSERT_NE(mkdtemp(folder.data()), nullptr);
  const CertificateFiles::Paths paths{folder + "/tls.crt", folder + "/tls.key"};
  base::FakeClock clock;
  std::mutex mutex;
  std::vector<std::string> taken;
  const auto seen = [&] {
    const std::lock_guard lock(mutex);
    return taken;
  };
  const auto take = [&](const base::KeyPair& pair) {
    const std::lock_guard lock(mutex);
    if (pair.certificate_pem != pair.key_pem) return base::InvalidArgument("do not fit");
    taken.push_back(pair.key_pem);
    return base::OkStatus();
  };
  {
    CertificateFiles missing(paths, clock, take);
    EXPECT_EQ(missing.Start().code(), base::Code::kNotFound);
  }
  ASSERT_TRUE(base::WriteFileAtomic(paths.certificate, "1").ok());
  ASSERT_TRUE(base::WriteFileAtomic(paths.key, "1").ok());
  {
    CertificateFiles files(paths, clock, take);
    ASSERT_TRUE(files.Start().ok());
    const auto look_again = [&] {
      ASSERT_TRUE(WaitUntil([&] { return clock.waiters() == 1; }));
      clock.Advance(kFileRecheck);
      ASSERT_TRUE(WaitUntil([&] { return clock.waiters() == 1; }));
    };
    look_again();
    EXPECT_THAT(seen(), ::testing::ElementsAre("1")) << "unchanged files are given once";
    ASSERT_TRUE(base::WriteFileAtomic(paths.certificate, "2").ok());
    look_again();
    EXPECT_THAT(seen(), ::testing::ElementsAre("1"));
    ASSERT_TRUE(base::WriteFileAtomic(paths.key, "2").ok());
    look_again();
    EXPECT_THAT(seen(), ::testing::ElementsAre("1", "2"));
  }
  std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace sluice::webhook
