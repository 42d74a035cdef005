#include "api/types/text.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>

#include "api/types/json_codec.h"
#include "api/v1alpha1/site.pb.h"

namespace sluice::types {
namespace {

TEST(Text, IsMadeValidWhenAnObjectIsWritten) {
  v1alpha1::Site site;
  site.mutable_status()->mutable_agents()->set_refusal("cut\xE2\x82");
  EXPECT_NO_THROW(ToJson(site).dump());
}

}  // namespace
}  // namespace sluice::types
