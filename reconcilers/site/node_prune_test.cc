// A pruned Node is to its readers what the whole one is, and little else.
#include "reconcilers/site/node_prune.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <random>

#include "reconcilers/site/events.h"
#include "reconcilers/site/node_readers_for_test.h"

namespace sluice::site {
namespace {

using nlohmann::json;
using nlohmann::ordered_json;

json KubeletsNode() {
  json images = json::array();
  for (int i = 0; i < 50; ++i) {
    images.push_back({{"names", {std::string(120, 'd'), "image:" + std::to_string(i)}},
                      {"sizeBytes", 1'000'000 * i}});
  }
  return {{"apiVersion", "v1"},
          {"kind", "Node"},
          {"metadata",
           {{"name", "n1"},
            {"uid", "u1"},
            {"resourceVersion", "77"},
            {"creationTimestamp", "2026-01-01T00:00:00Z"},
            {"annotations", {{"csi.volume.kubernetes.io/nodeid", std::string(300, 'x')}}},
            {"labels",
             {{"a", "1"}, {"sluice.dev/site", "s"}, {"hardware.sluice.dev/nic-count", "2"}}}}},
          {"spec", {{"podCIDR", "10.0.0.0/24"}}},
          {"status",
           {{"addresses", {{{"type", "InternalIP"}, {"address", "10.0.0.1"}}}},
            {"allocatable", {{"memory", "90Gi"}}},
            {"capacity", {{"example.com/gpu", "8"}, {"memory", "100Gi"}}},
            {"conditions", {{{"type", "Ready"}, {"status", "True"}, {"lastHeartbeatTime", "now"}}}},
            {"images", images}}}};
}

meta::ObjectPtr Parsed(const std::string& text) {
  const auto object = meta::Object::Parse(text);
  EXPECT_TRUE(object.ok()) << text;
  return *object;
}

TEST(PruneNode, KeepsIdentityLabelsAndCapacityAlone) {
  const meta::ObjectPtr whole = Parsed(KubeletsNode().dump());
  const meta::ObjectPtr kept = PruneNode(whole);
  json wanted = KubeletsNode();
  wanted.erase("spec");
  wanted["metadata"].erase("annotations");
  wanted["metadata"].erase("creationTimestamp");
  wanted["status"] = {{"capacity", wanted["status"]["capacity"]}};
  EXPECT_EQ(kept->ToJson(), wanted);
  EXPECT_LT(kept->memory_bytes() * 20, whole->memory_bytes());
  EXPECT_EQ(WhatReadersGet(*kept), WhatReadersGet(*whole));
}

TEST(PruneNode, ADeletedNodeStaysDeleted) {
  json node = KubeletsNode();
  node["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z";
  const meta::ObjectPtr kept = PruneNode(Parsed(node.dump()));
  EXPECT_TRUE(kept->deleting());
  EXPECT_LT(kept->json().size(), 400u);
}

TEST(PruneNode, TakesWhatIsMissingNullOrOfAnotherType) {
  for (
      const char* text : {
          R"({"metadata":{"name":"n"}})",
          R"({"metadata":{"name":"n"},"status":null})",
          R"({"metadata":{"name":"n","labels":null},"status":{"capacity":null,"images":[1]}})",
          R"({"status":"s","metadata":{"labels":[{"a":"1"}],"name":"n"}})",
          R"({"metadata":{"name":"n","labels":{"a":1}},"status":[{"capacity":{"memory":"1Gi"}}]})",
          R"( { "status" : { "capacity" : { "memory" : "100Gi" } } , "metadata" : { "name" : "n" } } )",
      }) {
    const meta::ObjectPtr whole = Parsed(text);
    const meta::ObjectPtr kept = PruneNode(whole);
    EXPECT_NE(kept, whole) << text;
    EXPECT_EQ(kept->ToJson().value("kind", ""), "Node") << text;
    EXPECT_FALSE(kept->ToJson()["status"].contains("images")) << text;
    EXPECT_EQ(WhatReadersGet(*kept), WhatReadersGet(*whole)) << text;
  }
}

TEST(PruneNode, ReadsNamesWithEscapesAndTheLastOfTwo) {
  const meta::ObjectPtr whole = Parsed(
      R"({"metadata":{"name":"x","name":"\u006e1","labels":{"a":"2"},"l\u0061bels":{"\u0061":"\u0031"}},)"
      R"("status":{"images":[]},"st\u0061tus":{"capacity":{"memory":"1"},"\u0063apacity":{"memory":"100Gi"}}})");
  const meta::ObjectPtr kept = PruneNode(whole);
  EXPECT_EQ(kept->json(),
            R"({"kind":"Node","apiVersion":"v1","metadata":{"name":"\u006e1",)"
            R"("labels":{"\u0061":"\u0031"}},"status":{"capacity":{"memory":"100Gi"}}})");
  EXPECT_EQ(kept->name(), "n1");
  EXPECT_EQ(kept->Label("a"), "1");
  EXPECT_EQ(WhatReadersGet(*kept), WhatReadersGet(*whole));
}

TEST(PruneNode, LeavesWholeWhatWouldBeAnotherNode) {
  for (const char* text : {
           // What the cache goes by is found by names as servers write them.
           R"({"metadata":{"name":"n","n\u0061me":"other"}})",
           R"({"metadata":{"name":"n","u\u0069d":"other"}})",
           R"({"metadata":{"name":"n","name":null}})",
           R"({"metadata":{"name":"n","namespace":"ns"}})",
       }) {
    const meta::ObjectPtr whole = Parsed(text);
    EXPECT_EQ(PruneNode(whole), whole) << text;
  }
}

// Members in any order, some missing or null, some names with an escape.
class RandomNodes {
 public:
  explicit RandomNodes(unsigned seed) : random_(seed) {}
  std::string Next() {
    std::string text = Member(KubeletsNode(), 0).dump();
    if (Once(4)) Escape("\"labels\"", R"("l\u0061bels")", &text);
    if (Once(4)) Escape("\"capacity\"", R"("\u0063apacity")", &text);
    if (Once(4)) Escape("\"status\"", R"("st\u0061tus")", &text);
    return text;
  }

 private:
  bool Once(unsigned of) { return random_() % of == 0; }
  static void Escape(const std::string& from, const std::string& to, std::string* text) {
    const auto at = text->find(from);
    if (at != std::string::npos) text->replace(at, from.size(), to);
  }
  ordered_json Member(const json& value, int depth) {
    if (!value.is_object()) return value;
    std::vector<std::string> names;
    for (const auto& [name, inner] : value.items()) names.push_back(name);
    std::shuffle(names.begin(), names.end(), random_);
    ordered_json out = ordered_json::object();
    for (const std::string& name : names) {
      const bool needed = name == "metadata" || name == "name";
      if (!needed && Once(8)) continue;
      out[name] = !needed && Once(8) ? ordered_json() : Member(value[name], depth + 1);
      if (out[name].is_string() && !needed && Once(4)) {
        out[name] = std::to_string(random_() % 200) + "Gi";
      }
    }
    return out;
  }
  std::mt19937 random_;
};

TEST(PruneNode, AnyNodeIsTheSameToItsReaders) {
  const unsigned seed = std::random_device()();
  SCOPED_TRACE(seed);
  RandomNodes nodes(seed);
  meta::ObjectPtr whole_before, kept_before;
  int matters = 0;
  for (int i = 0; i < 2000; ++i) {
    const meta::ObjectPtr whole = Parsed(nodes.Next());
    const meta::ObjectPtr kept = PruneNode(whole);
    ASSERT_LT(kept->json().size(), 500u) << whole->json();
    ASSERT_EQ(WhatReadersGet(*kept), WhatReadersGet(*whole)) << whole->json();
    if (whole_before != nullptr) {
      const bool whole_matters = NodeMatters({whole_before, whole});
      ASSERT_EQ(NodeMatters({kept_before, kept}), whole_matters) << whole_before->json() << "\n"
                                                                 << whole->json();
      matters += whole_matters ? 1 : 0;
    }
    whole_before = whole;
    kept_before = kept;
  }
  EXPECT_GT(matters, 0);
}

}  // namespace
}  // namespace sluice::site
