// What of a Node counts: its hardware, the labels a Site selects it by, and nothing else.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "api/v1alpha1/site.pb.h"
#include "api/v1alpha1/site_class.pb.h"
#include "controller/testing/status_matchers.h"
#include "reconcilers/site/events.h"
#include "reconcilers/site/hardware.h"
#include "reconcilers/site/inputs.h"

namespace sluice::site {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;
using testing_kit::IsOk;

v1alpha1::HardwareProfile Wanted() {
  v1alpha1::HardwareProfile out;
  out.set_gpus_per_node(8);
  out.set_dram("100Gi");
  v1alpha1::DiskProfile& disk = *out.add_disks();
  disk.set_kind("NVMe");
  disk.set_count(2);
  disk.set_size("1Ti");
  return out;
}

json NodeWith(const std::string& gpus, const std::string& memory) {
  return {{"metadata",
           {{"name", "n1"},
            {"labels",
             {{"hardware.sluice.dev/nvme-count", "2"}, {"hardware.sluice.dev/nvme-size", "1Ti"}}}}},
          {"status", {{"capacity", {{"nvidia.com/gpu", gpus}, {"memory", memory}}}}}};
}

std::string MismatchOf(const json& node) {
  const auto object = meta::Object::FromJson(node);
  EXPECT_THAT(object, IsOk());
  return Mismatch(Wanted(), **object);
}

TEST(Hardware, ANodeThatHasWhatTheClassSaysMatches) {
  EXPECT_EQ(MismatchOf(NodeWith("8", "100Gi")), "");
  EXPECT_EQ(MismatchOf(NodeWith("9", "200Gi")), "");
  EXPECT_EQ(MismatchOf(NodeWith("8", "96Gi")), "") << "firmware keeps some";
}

TEST(Hardware, EveryLackIsNamed) {
  json node = NodeWith("4", "90Gi");
  node["metadata"]["labels"].erase("hardware.sluice.dev/nvme-size");
  EXPECT_EQ(MismatchOf(node),
            "gpus: 4 of nvidia.com/gpu, the class says 8; dram: 90Gi, the class says 100Gi; "
            "disks: label hardware.sluice.dev/nvme-size is missing");
  node["metadata"]["labels"]["hardware.sluice.dev/nvme-count"] = "many";
  EXPECT_THAT(MismatchOf(node), HasSubstr("is \"many\", not a quantity"));
}

TEST(Hardware, ANodeThatTellsNothingLacksEverything) {
  const std::string lacks = MismatchOf({{"metadata", {{"name", "n1"}}}});
  EXPECT_THAT(lacks, HasSubstr("gpus: 0 of nvidia.com/gpu"));
  EXPECT_THAT(lacks, HasSubstr("dram: none told"));
  EXPECT_THAT(lacks, HasSubstr("nvme-count is missing"));
  EXPECT_EQ(MismatchOf({{"metadata", {{"name", "n1"}, {"labels", nullptr}}},
                        {"status", {{"capacity", {{"memory", 5}}}}}}),
            lacks);
}

TEST(Selects, ANodeByEveryLabelOfTheSelectorAndNoneByAnEmptyOne) {
  json selector = json::object();
  const auto node = meta::Object::FromJson(
      {{"metadata", {{"name", "n1"}, {"labels", {{"a", "1"}, {"b", "2"}, {"c", 3}}}}}});
  ASSERT_THAT(node, IsOk());
  const auto selects = [&] {
    return Selects(**meta::Object::FromJson({{"metadata", {{"name", "phoenix"}}},
                                             {"spec", {{"nodeSelector", selector}}}}),
                   **node);
  };
  EXPECT_FALSE(selects());
  selector["a"] = "1";
  EXPECT_TRUE(selects());
  selector["b"] = "2";
  EXPECT_TRUE(selects());
  selector["c"] = "3";
  EXPECT_FALSE(selects()) << "a label is a string";
  selector["c"] = 3;
  EXPECT_FALSE(selects()) << "and so is what selects it";
  selector.erase("c");
  selector["b"] = "";
  EXPECT_FALSE(selects());
  selector = "a";
  EXPECT_FALSE(selects());
  EXPECT_FALSE(Selects(**meta::Object::FromJson({{"metadata", {{"name", "phoenix"}}}}), **node));
}

TEST(NodeMatters, ByItsLabelsAndItsCapacityAlone) {
  const auto changed = [](const json& patch) {
    json after = NodeWith("8", "100Gi");
    after.merge_patch(patch);
    return NodeMatters(
        {*meta::Object::FromJson(NodeWith("8", "100Gi")), *meta::Object::FromJson(after)});
  };
  EXPECT_FALSE(changed({{"status", {{"images", {1, 2}}, {"conditions", json::array()}}}}));
  EXPECT_FALSE(changed({{"metadata", {{"annotations", {{"a", "b"}}}}}}));
  EXPECT_TRUE(changed({{"metadata", {{"labels", {{"a", "b"}}}}}}));
  EXPECT_TRUE(changed({{"status", {{"capacity", {{"memory", "1Gi"}}}}}}));
  EXPECT_TRUE(changed({{"status", nullptr}}));
}

}  // namespace
}  // namespace sluice::site
