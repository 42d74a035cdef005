#include "controller/cache/scope.h"

#include <gtest/gtest.h>

namespace sluice::cache {
namespace {

const meta::Resource kPods{"", "v1", "Pod", "pods", true};

Scope Made(const std::string& ns, const std::string& labels, const std::string& fields) {
  return Scope::Of(kPods, ns, labels, fields).value();
}
meta::ObjectPtr Pod(const std::string& ns, const std::string& name, const std::string& labels) {
  return meta::Object::Parse(R"({"metadata":{"name":")" + name + R"(","namespace":")" + ns +
                             R"(","labels":)" + labels + "}}")
      .value();
}

TEST(Scope, NarrowsWhereSomethingMustBeFulfilledToBeInIt) {
  EXPECT_FALSE(Made("", "", "").Narrows());
  EXPECT_TRUE(Made("ns", "", "").Narrows());
  for (const char* labels : {"a=b", "a==b", "a in (b,c)", "a", "a!=b,c=d"}) {
    EXPECT_TRUE(Made("", labels, "").Narrows()) << labels;
  }
  for (const char* labels : {"a!=b", "a notin (b)", "!a", "!a,c!=d"}) {
    EXPECT_FALSE(Made("", labels, "").Narrows()) << labels;
  }
  EXPECT_TRUE(Made("", "", "spec.nodeName=n").Narrows());
  EXPECT_FALSE(Made("", "", "spec.nodeName!=n,status.phase!=Failed").Narrows());
}

TEST(Scope, ShowsWhatTheServerWouldAndNothingThatOnlyItCanTell) {
  const auto pod = Pod("ns", "p", R"({"a":"b"})");
  EXPECT_TRUE(Made("", "", "").Shows(kPods, *pod));
  EXPECT_FALSE(Made("", "", "").Shows({"", "v1", "Node", "nodes", false}, *pod));
  EXPECT_TRUE(Made("ns", "a=b", "metadata.name=p").Shows(kPods, *pod));
  EXPECT_FALSE(Made("other", "", "").Shows(kPods, *pod));
  EXPECT_FALSE(Made("", "a=c", "").Shows(kPods, *pod));
  EXPECT_FALSE(Made("", "a,d", "").Shows(kPods, *pod));
  EXPECT_TRUE(Made("", "a!=c", "").Shows(kPods, *pod));
  EXPECT_FALSE(Made("", "", "metadata.name=q").Shows(kPods, *pod));
  EXPECT_FALSE(Made("", "", "metadata.name!=p").Shows(kPods, *pod));
  EXPECT_TRUE(Made("", "", "metadata.namespace==ns,metadata.name!=q").Shows(kPods, *pod));
  EXPECT_FALSE(Made("", "", "spec.nodeName=n").Shows(kPods, *pod));
}

TEST(Scope, WhatCannotBeReadIsRefused) {
  EXPECT_FALSE(Scope::Of(kPods, "", "a in (", "").ok());
  EXPECT_FALSE(Scope::Of(kPods, "", "", "metadata.name").ok());
  EXPECT_FALSE(Scope::Of(kPods, "", "", "=p").ok());
}

}  // namespace
}  // namespace sluice::cache
