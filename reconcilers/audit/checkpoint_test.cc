#include "reconcilers/audit/checkpoint.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace sluice::audit {
namespace {

using ::testing::HasSubstr;

TEST(AuditCheckpoint, KeepsWhatIsRetiredAndItsOldFormWhileNothingIs) {
  Checkpoint plain{{3, 57, std::string(64, 'a')}, base::WallTime(std::chrono::seconds(1)), "s", {}};
  EXPECT_THAT(SignedText(plain), HasSubstr("head v1\n"));
  EXPECT_EQ(Encode(plain).count("retiredSeq"), 0U);
  Checkpoint cut = plain;
  cut.retired = {2, 40, std::string(64, 'b')};
  EXPECT_THAT(SignedText(cut), HasSubstr("head v2\n"));
  EXPECT_THAT(SignedText(cut), HasSubstr("\n2\n40\n" + std::string(64, 'b')));
  const auto read = Decode(Encode(cut));
  ASSERT_TRUE(read.ok());
  EXPECT_EQ(read->retired, cut.retired);
  for (const char* key : {"retiredEpoch", "retiredSeq", "retiredHash"}) {
    auto data = Encode(cut);
    data[key] = "x";
    EXPECT_THAT(Decode(data).status().message(), HasSubstr(key));
  }
  cut.retired.seq = 58;
  EXPECT_FALSE(Decode(Encode(cut)).ok()) << "more than there ever was";
}

}  // namespace
}  // namespace sluice::audit
