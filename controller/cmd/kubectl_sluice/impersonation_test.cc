#include "controller/cmd/kubectl_sluice/impersonation.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "controller/base/clock.h"
#include "controller/client/client.h"
#include "controller/client/config.h"
#include "controller/cmd/kubectl_sluice/commands.h"
#include "controller/http/testing/imposter.h"
#include "controller/testing/status_matchers.h"

namespace sluice::kubectl {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Pair;
using testing_kit::HasError;
using testing_kit::IsOk;

TEST(Impersonation, TheServerIsToldForWhomToTakeUs) {
  http::testing::Imposter server([](http::testing::ImposterConnection& connection) {
    while (connection.ReadRequest()) {
      connection.Send(http::testing::Answer(200, R"({"gitVersion": "v1"})"));
    }
  });
  const auto options =
      ParseOptions({"version", "--as=ana", "--as-group", "one", "--as-group=two", "--as-uid=7-7",
                    "--as-user-extra=Acme.com/Scopes=a=b", "--as-user-extra", "acme.com/scopes=c"});
  ASSERT_THAT(options, IsOk());
  client::Config config;
  config.server = server.url();
  ASSERT_THAT(Impersonate(*options, config.impersonate), IsOk());
  const auto api = client::NewClient(config);
  ASSERT_THAT(api, IsOk());
  ASSERT_THAT(Version(**api, *options), IsOk());
  std::vector<std::pair<std::string, std::string>> seen;
  const auto requests = server.requests();
  for (const http::Header& header : requests.at(0).headers) {
    if (header.name.starts_with("Impersonate-")) seen.emplace_back(header.name, header.value);
  }
  EXPECT_THAT(seen, ElementsAre(Pair("Impersonate-User", "ana"), Pair("Impersonate-Uid", "7-7"),
                                Pair("Impersonate-Group", "one"), Pair("Impersonate-Group", "two"),
                                Pair("Impersonate-Extra-acme.com%2Fscopes", "a=b"),
                                Pair("Impersonate-Extra-acme.com%2Fscopes", "c")));
}

TEST(Impersonation, AFlagStandsInPlaceOfTheKubeconfigsOwn) {
  std::vector<std::pair<std::string, std::string>> headers = {
      {"Impersonate-User", "robot"}, {"Impersonate-Group", "old"}, {"Impersonate-Uid", "7"}};
  ASSERT_THAT(Impersonate(*ParseOptions({"status", "--as-group=new"}), headers), IsOk());
  EXPECT_THAT(headers, ElementsAre(Pair("Impersonate-User", "robot"), Pair("Impersonate-Uid", "7"),
                                   Pair("Impersonate-Group", "new")));
  ASSERT_THAT(Impersonate(*ParseOptions({"status", "--as=ana"}), headers), IsOk());
  EXPECT_THAT(headers, ElementsAre(Pair("Impersonate-Uid", "7"), Pair("Impersonate-Group", "new"),
                                   Pair("Impersonate-User", "ana")));
}

TEST(Impersonation, WhatIsSaidOfNobodyIsRefused) {
  for (const char* flag : {"--as-group=one", "--as-uid=7", "--as-user-extra=k=v"}) {
    std::vector<std::pair<std::string, std::string>> headers;
    EXPECT_THAT(Impersonate(*ParseOptions({"status", flag}), headers),
                HasError(base::Code::kInvalidArgument, HasSubstr("name the user by --as")))
        << flag;
  }
}

}  // namespace
}  // namespace sluice::kubectl
