#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "controller/base/file.h"
#include "datapath/control/source.h"

namespace sluice::control {
namespace {

using ::testing::HasSubstr;

std::string CopyOfExample(const char* name) {
  auto text = base::ReadFile("docs/examples/agent-standalone.yaml");
  EXPECT_TRUE(text.ok()) << text.status().ToString();
  std::string path = ::testing::TempDir() + "/" + name;
  EXPECT_TRUE(base::WriteFileAtomic(path, *text).ok());
  return path;
}

TEST(FileSource, ABadReloadKeepsTheConfigurationInForce) {
  const std::string path = CopyOfExample("reload.yaml");
  ConfigPtr in_force;
  auto source = MakeFileSource(path);
  ASSERT_TRUE(source
                  ->Start([&](ConfigPtr config) {
                    in_force = std::move(config);
                    return base::OkStatus();
                  })
                  .ok());
  const ConfigPtr first = in_force;
  ASSERT_TRUE(first);
  EXPECT_EQ(first->order.revision, 1);

  ASSERT_TRUE(base::WriteFileAtomic(path, "site: 1\nnonsense: 2\n").ok());
  const auto reloaded = source->Reload();
  EXPECT_THAT(reloaded.message(), HasSubstr("reload.yaml: nonsense: unknown field"));
  EXPECT_EQ(in_force, first);
}

TEST(FileSource, WhatTheEngineRefusesIsTheAnswerOfStart) {
  auto source = MakeFileSource(CopyOfExample("refused.yaml"));
  EXPECT_EQ(source->Start([](const ConfigPtr&) { return base::FailedPrecondition("port taken"); }),
            base::FailedPrecondition("port taken"));
  EXPECT_EQ(MakeFileSource("/nowhere/agent.yaml")
                ->Start([](const ConfigPtr&) { return base::OkStatus(); })
                .code(),
            base::Code::kInvalidArgument);
}

}  // namespace
}  // namespace sluice::control
