#include "reconcilers/site/roster.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "controller/base/clock.h"
#include "controller/cache/memory_store.h"
#include "controller/testing/status_matchers.h"
#include "reconcilers/common/resources.h"

namespace sluice::site {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;
using testing_kit::HasCode;
using testing_kit::HasError;
using testing_kit::IsOk;

class RosterTest : public ::testing::Test {
 protected:
  RosterTest() {
    Put(sites_, {{"apiVersion", common::kSites.ApiVersion()},
                 {"kind", "Site"},
                 {"metadata", {{"name", "phoenix"}, {"uid", "of-this-site"}}},
                 {"spec", {{"nodeSelector", {{"sluice.dev/site", "phoenix"}}}}}});
    PutNamespace("of-this-site");
    PutNode("n1", "phoenix");
    PutNode("n2", "tucson");
    for (cache::MemoryStore* store : {&sites_, &namespaces_, &nodes_}) Fill(*store);
  }
  void Put(cache::MemoryStore& store, json object) {
    object["metadata"]["resourceVersion"] = std::to_string(++version_);
    const std::string name = object["metadata"]["name"];
    objects_[&store][name] = std::move(object);
  }
  void PutNamespace(const std::string& owner) {
    Put(namespaces_, {{"apiVersion", "v1"},
                      {"kind", "Namespace"},
                      {"metadata",
                       {{"name", "sluice-site-phoenix"},
                        {"ownerReferences", json::array({{{"apiVersion", "sluice.dev/v1alpha1"},
                                                          {"kind", "Site"},
                                                          {"name", "phoenix"},
                                                          {"uid", owner},
                                                          {"controller", true}}})}}}});
  }
  void PutNode(const std::string& name, const std::string& site) {
    Put(nodes_, {{"apiVersion", "v1"},
                 {"kind", "Node"},
                 {"metadata", {{"name", name}, {"labels", {{"sluice.dev/site", site}}}}}});
  }
  void Fill(cache::MemoryStore& store) {
    store.BeginState();
    for (const auto& [name, object] : objects_[&store]) store.Put(*meta::Object::FromJson(object));
    store.EndState("");
  }
  void Drop(cache::MemoryStore& store, const std::string& name) {
    objects_[&store].erase(name);
    Fill(store);
  }

  base::FakeClock clock_;
  int version_ = 0;
  cache::MemoryStore sites_{common::kSites, clock_};
  cache::MemoryStore namespaces_{common::kNamespaces, clock_};
  cache::MemoryStore nodes_{common::kNodes, clock_};
  std::map<cache::MemoryStore*, std::map<std::string, json>> objects_;
  const Roster roster_{sites_, namespaces_, nodes_};
};

TEST_F(RosterTest, HasTheNodesThatTheSiteSelects) {
  EXPECT_THAT(roster_.Has("phoenix", "n1"), IsOk());
  EXPECT_THAT(roster_.Has("phoenix", "n2"),
              HasError(base::Code::kPermissionDenied, HasSubstr("does not select node \"n2\"")));
  EXPECT_THAT(roster_.Has("phoenix", "n3"),
              HasError(base::Code::kNotFound, HasSubstr("no node \"n3\"")));
  EXPECT_THAT(roster_.Has("tucson", "n2"),
              HasError(base::Code::kNotFound, HasSubstr("no Site \"tucson\"")));
}

TEST_F(RosterTest, ANodeOrASiteThatWentIsOffIt) {
  Drop(nodes_, "n1");
  EXPECT_THAT(roster_.Has("phoenix", "n1"), HasCode(base::Code::kNotFound));
  Drop(sites_, "phoenix");
  EXPECT_THAT(roster_.Has("phoenix", "n1"), HasCode(base::Code::kNotFound));
}

// Somebody makes the namespace before the Site is applied, or the Site is made anew: the service
// account in it is not the agents'.
TEST_F(RosterTest, ANamespaceOfAnotherOwnerLetsNobodyIn) {
  PutNamespace("of-an-earlier-site");
  Fill(namespaces_);
  EXPECT_THAT(roster_.Has("phoenix", "n1"),
              HasError(base::Code::kPermissionDenied,
                       HasSubstr("namespace sluice-site-phoenix was not made for Site")));
  Drop(namespaces_, "sluice-site-phoenix");
  EXPECT_THAT(roster_.Has("phoenix", "n1"), HasCode(base::Code::kPermissionDenied));
}

TEST_F(RosterTest, CannotTellBeforeItsCachesAreFilled) {
  const cache::MemoryStore empty(common::kNodes, clock_);
  const Roster early{sites_, namespaces_, empty};
  EXPECT_THAT(early.Has("phoenix", "n1"),
              HasError(base::Code::kUnavailable, HasSubstr("nodes are not known yet")));
}

}  // namespace
}  // namespace sluice::site
