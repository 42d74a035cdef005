#include "controller/http/proxy.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

namespace sluice::http {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

using Variables = std::map<std::string, std::string>;

base::StatusOr<std::string> Proxy(const std::string& server, const Variables& variables) {
  return ProxyFor(ParseUrl(server).value(), [&](const char* name) {
    const auto found = variables.find(name);
    return found == variables.end() ? std::string() : found->second;
  });
}

TEST(ProxyFor, TakesTheVariableOfTheSchemeUpperCaseFirst) {
  EXPECT_EQ(*Proxy("https://api", {}), "");
  EXPECT_EQ(*Proxy("https://api", {{"HTTPS_PROXY", "http://p:1"}}), "http://p:1");
  EXPECT_EQ(*Proxy("https://api", {{"https_proxy", "http://p:1"}}), "http://p:1");
  EXPECT_EQ(*Proxy("https://api", {{"https_proxy", "http://q"}, {"HTTPS_PROXY", "http://p:1"}}),
            "http://p:1");
  EXPECT_EQ(*Proxy("https://api", {{"HTTP_PROXY", "http://p:1"}}), "");
  EXPECT_EQ(*Proxy("http://api", {{"HTTP_PROXY", "http://p:1"}}), "http://p:1");
  EXPECT_EQ(*Proxy("http://api", {{"http_proxy", "p:1"}, {"HTTPS_PROXY", "http://q"}}),
            "http://p:1");
  EXPECT_EQ(*Proxy("https://api", {{"HTTPS_PROXY", "http://p:1"}, {"no_proxy", "api"}}), "");
  EXPECT_EQ(*Proxy("https://api", {{"HTTPS_PROXY", "http://p:1"}, {"NO_PROXY", "api"}}), "");
}

TEST(ProxyFor, GoesDirectlyWhereNoProxySaysSo) {
  struct Case {
    const char* no_proxy;
    const char* server;
    bool direct;
  };
  const Case cases[] = {
      {"", "https://api", false},
      {"", "https://localhost:6443", true},
      {"", "https://LOCALHOST", true},
      {"", "https://127.0.0.1", true},
      {"", "https://127.9.8.7", true},
      {"", "https://[::1]:6443", true},
      {"", "https://128.0.0.1", false},
      {"*", "https://api", true},
      {"a, *", "https://api", true},
      {"api.test", "https://api.test", true},
      {"API.test", "https://Api.Test", true},
      {" x ,, api.test ", "https://api.test", true},
      {"api.test", "https://a.api.test", true},
      {"api.test", "https://notapi.test", false},
      {"test", "https://api.test", true},
      {".test", "https://api.test", true},
      {".api.test", "https://api.test", false},
      {"*.api.test", "https://a.api.test", true},
      {"*.api.test", "https://api.test", false},
      {"api.test:6443", "https://api.test:6443", true},
      {"api.test:6443", "https://api.test", false},
      {"api.test:443", "https://api.test", true},
      {".test:443", "https://api.test", true},
      {":443", "https://api.test", false},
      {"10.0.0.1", "https://10.0.0.1", true},
      {"10.0.0.1", "https://10.0.0.10", false},
      {"10.0.0.1:6443", "https://10.0.0.1:6443", true},
      {"10.0.0.1:6443", "https://10.0.0.1", false},
      {"10.96.0.0/12", "https://10.111.255.1", true},
      {"10.96.0.0/12", "https://10.112.0.1", false},
      {"10.96.0.0/33", "https://10.96.0.1", false},
      {"10.96.0.0/x", "https://10.96.0.1", false},
      {"0.0.0.0/0", "https://10.96.0.1", true},
      {"0.0.0.0/0", "https://[fd00::1]", false},
      {"10.0.0.0/8", "https://api.test", false},
      {"fd00::/8", "https://[fd00::1]:6443", true},
      {"fd00::/8", "https://[fe00::1]", false},
      {"fd00::1", "https://[fd00:0::1]", true},
      {"[fd00::1]:6443", "https://[fd00::1]:6443", true},
      {"[fd00::1]:6443", "https://[fd00::1]", false},
      {"[fd00::1]", "https://[fd00::1]", true},
  };
  for (const Case& c : cases) {
    const auto proxy = Proxy(c.server, {{"HTTPS_PROXY", "http://p:1"}, {"NO_PROXY", c.no_proxy}});
    ASSERT_TRUE(proxy.ok());
    EXPECT_EQ(*proxy, c.direct ? "" : "http://p:1") << c.no_proxy << " for " << c.server;
  }
}

TEST(ProxyFor, RefusesAProxyItCannotSpeakWithNamingTheVariableAndNoPassword) {
  for (const char* proxy : {"https://u:SECRET@p:1", "socks5://u:SECRET@p:1", "http://u:SECRET",
                            "http://u:SECRET@", "http://%zz:SECRET@p:1", "http://u:SECRET@p:x"}) {
    const auto status = Proxy("https://api", {{"HTTPS_PROXY", proxy}}).status();
    EXPECT_EQ(status.code(), base::Code::kInvalidArgument) << proxy;
    EXPECT_THAT(status.message(), HasSubstr("HTTPS_PROXY"));
    EXPECT_THAT(status.message(), Not(HasSubstr("SECRET")));
    EXPECT_TRUE(Proxy("https://api", {{"HTTPS_PROXY", proxy}, {"NO_PROXY", "api"}}).ok());
  }
}

TEST(ProxyUrl, HoldsUserAndPasswordDecoded) {
  EXPECT_EQ(ParseProxyUrl("http://u:p%40ss@p:1")->userinfo, "u:p@ss");
  EXPECT_EQ(ParseProxyUrl("http://token@p:1")->userinfo, "token:") << "an empty password";
  EXPECT_EQ(ParseProxyUrl("http://token:@p:1")->userinfo, "token:");
  EXPECT_EQ(ParseProxyUrl("http://p:1")->userinfo, "");
  EXPECT_EQ(ParseProxyUrl("http://@p:1")->userinfo, "");
  EXPECT_FALSE(ParseProxyUrl("https://p:1").ok());
}

}  // namespace
}  // namespace sluice::http
