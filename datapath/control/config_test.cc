#include "datapath/control/config.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>

#include "controller/base/file.h"
#include "datapath/control/limits.h"

namespace sluice::control {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

std::string Example() {
  auto text = base::ReadFile("docs/examples/agent-standalone.yaml");
  EXPECT_TRUE(text.ok()) << text.status().ToString();
  return std::move(text).value();
}

Config Good() {
  auto config = ParseYaml(Example());
  EXPECT_TRUE(config.ok()) << config.status().ToString();
  return std::move(config).value();
}

std::string Replaced(std::string text, std::string_view from, std::string_view to) {
  const auto at = text.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  return text.replace(at, from.size(), to);
}

TEST(ParseYaml, ReadsTheExampleInWhole) {
  const Config config = Good();
  EXPECT_EQ(config.site, "lab");
  EXPECT_EQ(config.node, "lab-1");
  EXPECT_EQ(config.s3_region, "us-east-1");
  ASSERT_EQ(config.listeners.size(), 2u);
  EXPECT_EQ(config.listeners[1].address, "unix:/run/sluice/s3.sock");
  EXPECT_EQ(config.metrics.address, "127.0.0.1:9100");
  EXPECT_EQ(config.cache.memory_bytes, 8ull << 30);
  EXPECT_EQ(config.cache.disk_bytes, 100ull << 30);
  EXPECT_EQ(config.cache.chunk_bytes, 1u << 20);
  EXPECT_EQ(config.cache.metadata_ttl, std::chrono::seconds(5));
  ASSERT_EQ(config.origins.size(), 1u);
  EXPECT_EQ(config.origins[0].credentials.access_key_id, "LAKEREADER");
  ASSERT_EQ(config.mounts.size(), 1u);
  EXPECT_EQ(config.mounts[0].prefix, "curated/");
  EXPECT_FALSE(config.mounts[0].pin);
  EXPECT_EQ(config.mounts[0].metadata_ttl, std::chrono::minutes(1));
  ASSERT_EQ(config.tenants.size(), 1u);
  ASSERT_EQ(config.tenants[0].grants.size(), 1u);
  EXPECT_EQ(config.tenants[0].grants[0].verbs, kRead | kList);
}

TEST(ParseYaml, ReadsSecretsFromFilesWithoutTheirLastNewline) {
  const std::string file = ::testing::TempDir() + "/lake.secret";
  ASSERT_TRUE(base::WriteFileAtomic(file, "from-a-file\n", 0600).ok());
  const auto config = ParseYaml(
      Replaced(Example(), "secretAccessKey: change-me #", "secretAccessKeyFile: " + file + " #"));
  ASSERT_TRUE(config.ok()) << config.status().ToString();
  EXPECT_EQ(config->origins[0].credentials.secret_access_key, "from-a-file");
}

TEST(ParseYaml, ReadsAPinnedMountWithoutATtlOfItsOwn) {
  const auto config = ParseYaml(
      Replaced(Replaced(Example(), "pin: false", "pin: true"), "  metadataTTL: 1m ", "  #"));
  ASSERT_TRUE(config.ok()) << config.status().ToString();
  EXPECT_TRUE(config->mounts[0].pin);
  EXPECT_FALSE(config->mounts[0].metadata_ttl.has_value());
}

const char* const kTlsListener =
    "- address: 0.0.0.0:9443\n"
    "  tls:\n"
    "    certificates:\n"
    "    - {certificateFile: /tls/a.pem, keyFile: /tls/a.key}\n"
    "    - {certificateFile: /tls/b.pem, keyFile: /tls/b.key}\n";

TEST(ParseYaml, ReadsAListenerWithItsCertificates) {
  const std::string text = Replaced(Example(), "- unix:/run/sluice/s3.sock\n", kTlsListener);
  const auto config = ParseYaml(text);
  ASSERT_TRUE(config.ok()) << config.status().ToString();
  EXPECT_TRUE(config->listeners[0].certificates.empty());
  EXPECT_EQ(config->listeners[1].address, "0.0.0.0:9443");
  ASSERT_EQ(config->listeners[1].certificates.size(), 2u);
  EXPECT_EQ(config->listeners[1].certificates[1].key_file, "/tls/b.key");
}

TEST(ParseYaml, NamesWhatIsWrongWithAListenersCertificates) {
  const auto refused = [](const std::string& listener) {
    const auto config = ParseYaml(Replaced(Example(), "- unix:/run/sluice/s3.sock\n", listener));
    return std::string(config.status().message());
  };
  EXPECT_THAT(refused("- {address: \"0.0.0.0:9443\", tls: {certificates: []}}\n"),
              HasSubstr("listeners[1].tls.certificates: there is none"));
  EXPECT_THAT(refused("- {address: \"0.0.0.0:9443\", tsl: {}}\n"),
              HasSubstr("listeners[1].tsl: unknown field"));
  EXPECT_THAT(refused(Replaced(kTlsListener, "/tls/b.key", "b.key")),
              HasSubstr("listeners[1].tls.certificates[1].keyFile: \"b.key\" is not an absolute"));
  EXPECT_THAT(refused(Replaced(kTlsListener, "/tls/a.pem", "\"\"")),
              HasSubstr("listeners[1].tls.certificates[0].certificateFile"));
}

struct BadYaml {
  const char* from;
  const char* to;
  const char* message;
};

TEST(ParseYaml, NamesTheFieldOfWhatItRefuses) {
  const BadYaml cases[] = {
      {"metadataTTL: 5s", "metadataTtl: 5s",
       "cache.metadataTtl: unknown field; known here: memoryB"},
      {"  region: us-west-2", "  rgion: x", "origins[0].rgion: unknown field"},
      {"verbs: [Read, List]", "verbs: [Peek]", "tenants[0].access[0].verbs: unknown verb \"Peek\""},
      {"verbs: [Read, List]", "verbs: Read", "tenants[0].access[0].verbs: not a list"},
      {"memoryBytes: 8Gi", "memoryBytes: 8GB", "cache.memoryBytes: \"8GB\" is not a number"},
      {"memoryBytes: 8Gi", "memoryBytes: 99999999Ti", "cache.memoryBytes: \"99999999Ti\" is not"},
      {"threads: 0 ", "threads: -1 ", "threads: \"-1\" is not a number"},
      {"metadataTTL: 5s", "metadataTTL: soon", "cache.metadataTTL: "},
      {"pathStyle: true", "pathStyle: maybe", "origins[0].pathStyle: not true or false"},
      {"node: lab-1", "node: lab-1\nnode: lab-2", "node: given twice"},
      {"node: lab-1", "node: [lab-1]", "node: not a text"},
      {"secretAccessKey: change-me #", "secretAccessKeyFile: /nowhere/x #",
       "origins[0].credentials.secretAccessKeyFile: NotFound"},
      {"secretAccessKey: change-me #", "secretAccessKey: a\n    secretAccessKeyFile: /x #",
       "origins[0].credentials.secretAccessKeyFile: given together with secretAccessKey"},
      {"site: lab", "site: [", "line "},
  };
  for (const auto& bad : cases) {
    const auto config = ParseYaml(Replaced(Example(), bad.from, bad.to));
    ASSERT_FALSE(config.ok()) << bad.to;
    EXPECT_EQ(config.status().code(), base::Code::kInvalidArgument);
    EXPECT_THAT(config.status().message(), HasSubstr(bad.message)) << bad.to;
  }
}

TEST(ParseYaml, RefusesDocumentsThatAreNoMappingOrTooLong) {
  EXPECT_THAT(ParseYaml("- a\n").status().message(), HasSubstr("document: not a mapping"));
  EXPECT_THAT(ParseYaml("").status().message(), HasSubstr("document: not a mapping"));
  EXPECT_THAT(ParseYaml(std::string(kMaxYamlBytes + 1, ' ')).status().message(),
              HasSubstr("document: 1048577 bytes"));
}

TEST(ParseYaml, RefusesWhatFollowsItsDocument) {
  const std::string one = Example();
  EXPECT_TRUE(ParseYaml(one + "---\n# nothing\n...\n").ok());
  const auto lines = std::count(one.begin(), one.end(), '\n');
  EXPECT_EQ(ParseYaml(one + "---\nthreads: 2\n").status().message(),
            fmt::format("line {}, column 1: a second document; keep one", lines + 2));
  EXPECT_THAT(ParseYaml(one + "...\n, threads\n").status().message(),
              HasSubstr("belongs to no document; remove it"));
}

TEST(Validate, AcceptsWhatTheExampleSays) { EXPECT_TRUE(Validate(Good()).ok()); }

struct BadConfig {
  std::function<void(Config&)> spoil;
  const char* message;
};

void ExpectRefused(const std::vector<BadConfig>& cases) {
  for (const auto& bad : cases) {
    Config config = Good();
    bad.spoil(config);
    const auto status = Validate(config);
    EXPECT_EQ(status.code(), base::Code::kInvalidArgument) << bad.message;
    EXPECT_THAT(status.message(), HasSubstr(bad.message));
    EXPECT_THAT(status.message(), HasSubstr("; ")) << "says no cure: " << status.message();
    EXPECT_THAT(status.message(), Not(HasSubstr("change-me"))) << "tells a secret";
  }
}

TEST(Validate, RefusesBadNamesListenersAndCache) {
  ExpectRefused({
      {[](Config& c) { c.site = ""; }, "site: \"\" is not a name"},
      {[](Config& c) { c.node = "Node_1"; }, "node: \"Node_1\" is not a name"},
      {[](Config& c) { c.s3_region = ""; }, "s3Region: "},
      {[](Config& c) { c.listeners.clear(); }, "listeners: there is none"},
      {[](Config& c) { c.listeners[0].address = "localhost:80"; },
       "listeners[0]: \"localhost:80\""},
      {[](Config& c) { c.listeners[0].address = "0.0.0.0:70000"; }, "listeners[0]: "},
      {[](Config& c) { c.listeners[0].address = "0.0.0.0:"; }, "listeners[0]: "},
      {[](Config& c) { c.listeners[1].address = "unix:s3.sock"; }, "listeners[1]: "},
      {[](Config& c) { c.listeners[1] = c.listeners[0]; }, "listeners[1]: \"127.0.0.1:9000\" is "},
      {[](Config& c) { c.metrics = c.listeners[0]; }, "metrics: "},
      {[](Config& c) { c.listeners.resize(17, {"127.0.0.1:0"}); }, "listeners: 17 entries"},
      {[](Config& c) { c.threads = 2000; }, "threads: 2000 is too many"},
      {[](Config& c) { c.cache.memory_bytes = 1 << 20; }, "cache.memoryBytes: 1048576 is too"},
      {[](Config& c) { c.cache.chunk_bytes = 100000; }, "cache.chunkBytes: 100000 does not fit"},
      {[](Config& c) { c.cache.chunk_bytes = 32 << 10; }, "cache.chunkBytes: 32768"},
      {[](Config& c) { c.cache.chunk_bytes = 32 << 20; }, "cache.chunkBytes: 33554432"},
      {[](Config& c) { c.cache.disk_bytes = 0; }, "cache.diskBytes: 0, but diskPaths"},
      {[](Config& c) { c.cache.disk_bytes = 1; }, "cache.diskBytes: 1 is too small"},
      {[](Config& c) { c.cache.disk_paths.clear(); }, "cache.diskPaths: empty"},
      {[](Config& c) { c.cache.disk_paths[0] = "cache"; }, "cache.diskPaths[0]: \"cache\""},
      {[](Config& c) { c.cache.disk_paths.push_back(c.cache.disk_paths[0]); },
       "cache.diskPaths[1]: "},
      {[](Config& c) { c.cache.metadata_ttl = std::chrono::hours(2); }, "cache.metadataTTL: 7200"},
  });
}

TEST(Validate, RefusesBadOriginsAndMounts) {
  ExpectRefused({
      {[](Config& c) { c.origins[0].name = "a b"; }, "origins[0].name: "},
      {[](Config& c) { c.origins.push_back(c.origins[0]); }, "origins[1].name: \"lake\" is taken"},
      {[](Config& c) { c.origins[0].endpoint = "s3.example"; }, "origins[0].endpoint: "},
      {[](Config& c) { c.origins[0].endpoint = "https://a/b"; }, "origins[0].endpoint: "},
      {[](Config& c) { c.origins[0].endpoint = "https://u@a"; }, "origins[0].endpoint: "},
      {[](Config& c) { c.origins[0].endpoint = "https://a:0"; }, "origins[0].endpoint: "},
      {[](Config& c) { c.origins[0].endpoint = "https://"; }, "origins[0].endpoint: "},
      {[](Config& c) { c.origins[0].region = ""; }, "origins[0].region: empty"},
      {[](Config& c) { c.origins[0].ca_pem = "x"; }, "origins[0].caPEM: holds no certificate"},
      {[](Config& c) { c.origins[0].credentials.secret_access_key = ""; },
       "origins[0].credentials.secretAccessKey: empty"},
      {[](Config& c) { c.mounts[0].path = "datasets"; }, "mounts[0].path: "},
      {[](Config& c) { c.mounts[0].path = "/datasets/"; }, "mounts[0].path: "},
      {[](Config& c) { c.mounts[0].path = "/datasets/../x"; }, "mounts[0].path: "},
      {[](Config& c) { c.mounts[0].path = "/Data"; },
       "mounts[0].path: \"Data\" cannot be a bucket"},
      {[](Config& c) { c.mounts[0].origin = "pond"; },
       "mounts[0].origin: no origin named \"pond\"; name one of: lake"},
      {[](Config& c) { c.mounts[0].bucket = "x"; }, "mounts[0].bucket: \"x\" is not a bucket"},
      {[](Config& c) { c.mounts[0].prefix = "curated"; }, "mounts[0].prefix: \"curated\""},
      {[](Config& c) { c.mounts[0].prefix = "/"; }, "mounts[0].prefix: \"/\""},
      {[](Config& c) { c.mounts[0].metadata_ttl = std::chrono::seconds(3601); },
       "mounts[0].metadataTTL: 3601 s"},
      {[](Config& c) {
         for (int i = 0; i < 65; ++i) {
           Mount mount = c.mounts[0];
           mount.path = "/pinned" + std::to_string(i);
           mount.pin = true;
           c.mounts.push_back(mount);
         }
       },
       "mounts: 65 are pinned; pin at most 64"},
      {[](Config& c) { c.mounts.push_back(c.mounts[0]); },
       "mounts[1].path: \"/datasets\" is taken"},
  });
}

TEST(Validate, RefusesBadTenants) {
  ExpectRefused({
      {[](Config& c) { c.tenants[0].name = ""; }, "tenants[0].name: "},
      {[](Config& c) { c.tenants[0].keys.clear(); }, "tenants[0].keys: there is none"},
      {[](Config& c) { c.tenants[0].keys[0].access_key_id = "a/b"; },
       "tenants[0].keys[0].accessKeyID: "},
      {[](Config& c) { c.tenants[0].keys[0].secret_access_key = ""; },
       "tenants[0].keys[0].secretAccessKey: "},
      {[](Config& c) { c.tenants.push_back(c.tenants[0]); },
       "tenants[1].keys[0].accessKeyID: given twice"},
      {[](Config& c) {
         c.tenants.push_back(c.tenants[0]);
         c.tenants[1].keys[0].access_key_id = "OTHER";
       },
       "tenants[1].name: \"falcon\" is taken"},
      {[](Config& c) { c.tenants[0].grants[0].mount = "/raw"; },
       "tenants[0].access[0].mount: no mount at \"/raw\""},
      {[](Config& c) { c.tenants[0].grants[0].verbs = 0; }, "tenants[0].access[0].verbs: none"},
      {[](Config& c) { c.tenants[0].grants.push_back(c.tenants[0].grants[0]); },
       "tenants[0].access[1].mount: \"/datasets\" is granted twice"},
  });
}

TEST(Validate, AcceptsAnonymousOriginsAndIpv6) {
  Config config = Good();
  config.origins[0].credentials = {};
  config.origins[0].region = "";
  config.origins[0].endpoint = "http://[::1]:7070";
  config.listeners = {{"[::]:9000"}, {"127.0.0.1:0"}, {"127.0.0.1:0"}};
  EXPECT_TRUE(Validate(config).ok()) << Validate(config).ToString();
}

}  // namespace
}  // namespace sluice::control
