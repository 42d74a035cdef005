// What all stores of one client share.
#include "controller/runtime/store_set.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>

#include "controller/client/config.h"
#include "controller/http/testing/imposter.h"
#include "controller/runtime/limits.h"
#include "controller/testing/wait.h"

namespace sluice::runtime {
namespace {

using http::testing::Answer;
using http::testing::Chunk;
using http::testing::Imposter;
using http::testing::ImposterConnection;
using testing_kit::WaitUntil;

const meta::Resource kThings{"example.com", "v1", "Thing", "things", false};

std::string Line(const char* type, const char* name, int version) {
  return fmt::format(
      R"({{"type":"{}","object":{{"kind":"Thing","apiVersion":"example.com/v1","metadata":{{)"
      R"("name":"{}","uid":"u-{}","resourceVersion":"{}"}}}}}})"
      "\n",
      type, name, name, version);
}
std::string StateEnd(int version) {
  return fmt::format(R"({{"type":"BOOKMARK","object":{{"metadata":{{"resourceVersion":"{}",)"
                     R"("annotations":{{"k8s.io/initial-events-end":"true"}}}}}}}})"
                     "\n",
                     version);
}

TEST(StoreSet, AsksForTheServersVersionUntilItAnswersAndDelaysNoWatch) {
  std::atomic<int> asked{0}, streams{0};
  std::atomic<bool> expire{false};
  Imposter server([&](ImposterConnection& c) {
    while (const auto request = c.ReadRequest()) {
      if (request->target == "/version") {
        c.Send(++asked == 1 ? Answer(500, "{}") : Answer(200, R"({"major":"1","minor":"36"})"));
        continue;
      }
      c.Send(std::string(http::testing::kChunkedHead));
      if (request->target.find("/others") != std::string::npos) return c.WaitForClose();
      if (++streams > 1) {  // older than what was seen
        c.Send(Chunk(Line("ADDED", "a", 3) + StateEnd(6)));
        return c.WaitForClose();
      }
      c.Send(Chunk(Line("ADDED", "a", 4) + StateEnd(5) + Line("ADDED", "b", 8)));
      if (!WaitUntil([&] { return expire.load(); })) return;
      c.Send(Chunk(R"({"type":"ERROR","object":{"kind":"Status","code":410,"reason":"Expired"}})"
                   "\n") +
             Chunk(""));
    }
  });
  base::FakeClock clock;
  client::Config config;
  config.server = server.url();
  const auto client = client::NewClient(config, clock).value();
  base::metrics::Registry registry;
  StoreSet set(*client, clock, registry, nullptr);
  cache::Store& store = set.Of(kThings, {});
  set.Start();
  ASSERT_TRUE(WaitUntil([&] { return store.Get({"", "b"}) != nullptr; }));
  // Opaque until then: only that very version of that very object would do.
  const auto written =
      meta::Object::Parse(R"({"metadata":{"name":"n","uid":"u-n","resourceVersion":"7"}})").value();
  store.ExpectAtLeast(*written);
  EXPECT_TRUE(store.IsStale({"", "n"}));
  ASSERT_TRUE(WaitUntil([&] { return asked == 1 && clock.waiters() == 1; }));
  clock.Advance(kMinVersionRetry);
  ASSERT_TRUE(WaitUntil([&] { return !store.IsStale({"", "n"}); })) << "8 is later than 7";
  EXPECT_EQ(asked, 2);
  EXPECT_EQ(streams, 1);

  expire = true;
  ASSERT_TRUE(WaitUntil([&] { return clock.waiters() == 1; }));  // before it reads anew
  clock.Advance(std::chrono::seconds(30));
  ASSERT_TRUE(WaitUntil([&] { return set.Debug()[0]["failures"] == 2; }));
  EXPECT_EQ(store.Get({"", "a"})->resource_version(), "4");
  EXPECT_NE(store.Get({"", "b"}), nullptr);
  cache::Store& later = set.Of({"example.com", "v1", "Other", "others", false}, {});
  EXPECT_FALSE(later.synced());
  client->Stop();
  set.Stop();
  EXPECT_EQ(asked, 2) << "once for all";
}

}  // namespace
}  // namespace sluice::runtime
