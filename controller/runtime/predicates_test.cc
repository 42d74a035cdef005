#include "controller/runtime/predicates.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace sluice::runtime {
namespace {

using nlohmann::json;

json Thing(const std::string& name) {
  return {{"apiVersion", "example.com/v1"},
          {"kind", "Widget"},
          {"metadata", {{"namespace", "ns"}, {"name", name}}},
          {"spec", {{"size", 1}}}};
}

meta::ObjectPtr Parsed(const json& object) { return meta::Object::FromJson(object).value(); }

TEST(Predicates, AStatusWriteAloneDoesNotMatter) {
  json before = Thing("a");
  before["metadata"]["generation"] = 1;
  before["metadata"]["resourceVersion"] = "1";
  json after = before;
  after["metadata"]["resourceVersion"] = "2";
  after["status"] = {{"size", 1}};
  EXPECT_FALSE(SpecOrMetadataChanged({Parsed(before), Parsed(after)}));
  json ticked = after;  // a clock in metadata that nobody plans from
  ticked["metadata"]["zz"] = 1;
  EXPECT_FALSE(SpecOrMetadataChanged({Parsed(before), Parsed(ticked)}));
  json labelled = after;
  labelled["metadata"]["labels"] = {{"a", "b"}};
  EXPECT_TRUE(SpecOrMetadataChanged({Parsed(before), Parsed(labelled)}));
  json finalised = after;
  finalised["metadata"]["finalizers"] = {"x"};
  EXPECT_TRUE(SpecOrMetadataChanged({Parsed(before), Parsed(finalised)}));
  json deleting = after;
  deleting["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z";
  EXPECT_TRUE(SpecOrMetadataChanged({Parsed(before), Parsed(deleting)}));
  after["metadata"]["generation"] = 2;
  EXPECT_TRUE(SpecOrMetadataChanged({Parsed(before), Parsed(after)}));
}

TEST(Predicates, OfAChangedSpecKnowWhatWasMadeAnewBetweenTwoListings) {
  json before = Thing("a");
  before["metadata"].update({{"uid", "u1"}, {"generation", 1}, {"resourceVersion", "1"}});
  json after = before;
  after["metadata"].update({{"uid", "u2"}, {"resourceVersion", "5"}});
  const std::vector<bool (*)(const cache::Event&)> predicates = {SpecChanged, SpecOrLabelsChanged,
                                                                 SpecOrMetadataChanged};
  for (const auto matters : predicates) {
    EXPECT_TRUE(matters({Parsed(before), Parsed(after)}));
    EXPECT_TRUE(matters({nullptr, Parsed(after)}));
    EXPECT_TRUE(matters({Parsed(before), nullptr}));
    EXPECT_FALSE(matters({Parsed(before), Parsed(before)}));
    json deleting = before;
    deleting["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z";
    EXPECT_TRUE(matters({Parsed(before), Parsed(deleting)}));
  }
}

TEST(Predicates, LabelsMatterToThoseWhoSelectByThem) {
  json before = Thing("a");
  before["metadata"].update({{"uid", "u1"}, {"generation", 1}, {"resourceVersion", "1"}});
  json after = before;
  after["metadata"].update({{"labels", {{"wave", "first"}}}, {"resourceVersion", "2"}});
  EXPECT_FALSE(SpecChanged({Parsed(before), Parsed(after)}));
  EXPECT_TRUE(SpecOrLabelsChanged({Parsed(before), Parsed(after)}));
  before["status"] = {{"stage", "Walk"}};
  before["metadata"]["labels"] = after["metadata"]["labels"];
  EXPECT_FALSE(SpecOrLabelsChanged({Parsed(before), Parsed(after)})) << "a status alone";
}

TEST(Predicates, AnObjectWithoutAGenerationMattersWheneverItChanged) {
  json before = Thing("a");
  before["metadata"]["resourceVersion"] = "1";
  json after = before;
  EXPECT_FALSE(SpecOrMetadataChanged({Parsed(before), Parsed(after)}));
  after["metadata"]["resourceVersion"] = "2";
  EXPECT_TRUE(SpecOrMetadataChanged({Parsed(before), Parsed(after)}));
}

TEST(Predicates, OnlyTheControllingOwnerOfTheKindIsConcerned) {
  json part = Thing("p");
  part["metadata"]["ownerReferences"] = {
      {{"apiVersion", "example.com/v2"}, {"kind", "Widget"}, {"name", "a"}, {"controller", true}},
      {{"apiVersion", "example.com/v1"}, {"kind", "Widget"}, {"name", "b"}},
      {{"apiVersion", "other.com/v1"}, {"kind", "Widget"}, {"name", "c"}, {"controller", true}}};
  EXPECT_THAT(
      ControllingOwners({"example.com", "v1", "Widget", "widgets", true}, {nullptr, Parsed(part)}),
      testing::ElementsAre(meta::Key{"ns", "a"}));
}

}  // namespace
}  // namespace sluice::runtime
