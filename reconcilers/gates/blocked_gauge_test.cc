#include "reconcilers/gates/blocked_gauge.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace sluice::gates {
namespace {

using ::testing::HasSubstr;

TEST(BlockedGauge, CountsEachObjectUnderItsFirstCauseOnly) {
  base::metrics::Registry registry;
  BlockedGauge gauge(registry, "Site");
  EXPECT_THAT(registry.Expose(), HasSubstr("sluice_blocked{kind=\"Site\",cause=\"Frozen\"} 0"));
  EXPECT_THAT(registry.Expose(), ::testing::Not(HasSubstr("Met")));
  gauge.Set("phoenix", Cause::kNoData);
  gauge.Set("phoenix", Cause::kNoData);
  gauge.Set("tucson", Cause::kNoData);
  EXPECT_THAT(registry.Expose(), HasSubstr("sluice_blocked{kind=\"Site\",cause=\"NoData\"} 2"));
  gauge.Set("phoenix", Cause::kSoaking);
  gauge.Set("tucson", std::nullopt);
  gauge.Set("never", std::nullopt);
  EXPECT_THAT(registry.Expose(), HasSubstr("sluice_blocked{kind=\"Site\",cause=\"NoData\"} 0"));
  EXPECT_THAT(registry.Expose(), HasSubstr("sluice_blocked{kind=\"Site\",cause=\"Soaking\"} 1"));
}

}  // namespace
}  // namespace sluice::gates
