#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <nlohmann/json.hpp>
#include <thread>

#include "controller/client/api_error.h"
#include "controller/client/api_path.h"
#include "controller/client/config.h"
#include "controller/client/limits.h"
#include "controller/client/line_splitter.h"
#include "controller/client/list_page.h"
#include "controller/client/status_text.h"
#include "controller/client/testing_support.h"

namespace sluice::client {
namespace {

using namespace std::chrono_literals;
using base::Code;
using http::testing::Answer;
using http::testing::Chunk;
using http::testing::Imposter;
using http::testing::ImposterConnection;
using http::testing::kChunkedHead;
using http::testing::RecordedRequest;
using nlohmann::json;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST(ApiPath, IsBuiltFromResourceAndKey) {
  EXPECT_EQ(*CollectionPath(kPods, ""), "/api/v1/pods");
  EXPECT_EQ(*CollectionPath(kPods, "a"), "/api/v1/namespaces/a/pods");
  EXPECT_EQ(*ObjectPath(kSites, {"", "x"}, "status"), "/apis/sluice.dev/v1alpha1/sites/x/status");
  EXPECT_EQ(*ObjectPath(kPods, {"a", "p:q"}), "/api/v1/namespaces/a/pods/p%3Aq");
}

TEST(ApiPath, NeverMeansACollectionOrAnotherPlaceByMistake) {
  for (const meta::Key& key :
       {meta::Key{"a", ""}, meta::Key{"", "p"}, meta::Key{"a", ".."}, meta::Key{"..", "p"},
        meta::Key{"a", "b/c"}, meta::Key{"a", "%2e"}}) {
    EXPECT_EQ(ObjectPath(kPods, key).status().code(), Code::kInvalidArgument) << key.ToString();
  }
  EXPECT_FALSE(ObjectPath(kSites, {"ns", "x"}).ok());
}

TEST(ApiError, CarriesCodeReasonAndWait) {
  const base::Status conflict = ErrorFromAnswer(
      409, "",
      R"({"kind":"Status","reason":"Conflict","message":"object has been modified","code":409})");
  EXPECT_EQ(conflict.code(), Code::kAborted);
  EXPECT_EQ(conflict.reason(), "Conflict");
  EXPECT_EQ(conflict.message(), "object has been modified");
  EXPECT_EQ(ErrorFromAnswer(409, "", R"({"kind":"Status","reason":"AlreadyExists"})").code(),
            Code::kAlreadyExists);
  EXPECT_EQ(ErrorFromAnswer(429, "3", "").retry_after(), 3s);
  EXPECT_EQ(ErrorFromAnswer(504, "", R"({"kind":"Status","details":{"retryAfterSeconds":2}})")
                .retry_after(),
            2s);
  EXPECT_EQ(ErrorFromAnswer(503, "86400", "").retry_after(), kMaxRetryAfter);
  EXPECT_EQ(ErrorFromAnswer(503, "", R"({"kind":"Status","details":{"retryAfterSeconds":99999}})")
                .retry_after(),
            kMaxRetryAfter);
  EXPECT_EQ(ErrorFromAnswer(503, "Fri, 31 Dec 1999 23:59:59 GMT", "oops").message(), "oops");
  const base::Status gone = ErrorFromStatusObject(
      R"({"kind":"Status","code":410,"reason":"Expired","message":"too old"})");
  EXPECT_EQ(gone.code(), Code::kOutOfRange);
  EXPECT_EQ(ErrorFromAnswer(410, "", "").reason(), "Expired");
}

TEST(LineSplitter, GivesTheSameLinesInAnyCutting) {
  const std::string text = "one\n\ntwo two\nthree\nrest";
  for (std::size_t step = 1; step <= text.size(); ++step) {
    LineSplitter splitter(100);
    std::vector<std::string> lines;
    for (std::size_t at = 0; at < text.size(); at += step) {
      ASSERT_TRUE(splitter
                      .Feed(std::string_view(text).substr(at, step),
                            [&](std::string_view line) {
                              lines.emplace_back(line);
                              return true;
                            })
                      .ok());
    }
    EXPECT_THAT(lines, ElementsAre("one", "two two", "three"));
    EXPECT_EQ(splitter.pending_bytes(), 4u);
  }
}

TEST(LineSplitter, BoundsALineAndStopsWhenToldTo) {
  LineSplitter splitter(3);
  const auto yes = [](std::string_view) { return true; };
  EXPECT_TRUE(splitter.Feed("abc", yes).ok());
  EXPECT_EQ(splitter.Feed("d", yes).code(), Code::kResourceExhausted);
  LineSplitter other(10);
  EXPECT_EQ(other.Feed("a\nb\n", [](std::string_view) { return false; }).code(), Code::kCancelled);
}

TEST(ListPage, RefusesWhatIsNoList) {
  for (const char* text : {"", "{}", R"({"items":{}})", R"({"items":[{"metadata":{}}]})",
                           R"({"items":[1]})", R"({"items":[]} x)"}) {
    EXPECT_EQ(ParseListPage(kPods, text).status().code(), Code::kDataLoss) << text;
  }
  EXPECT_TRUE(ParseListPage(kPods, R"({"items":null,"metadata":{"resourceVersion":"5"}})").ok());
}

TEST(Client, ReadsAnObjectWithoutLosingAnything) {
  Imposter server([](ImposterConnection& c) {
    while (c.ReadRequest()) {
      c.Send(Answer(
          200,
          R"({"metadata":{"name":"x","managedFields":[{}]},"n":9223372036854775807,"unknown":{"a":[]}})"));
    }
  });
  const auto client = ClientFor(server);
  const auto site = client->Get(kSites, {"", "x"});
  ASSERT_TRUE(site.ok()) << site.status().ToString();
  EXPECT_EQ((*site)->ToJson(), json::parse(R"({"kind":"Site","apiVersion":"sluice.dev/v1alpha1",
      "metadata":{"name":"x"},"n":9223372036854775807,"unknown":{"a":[]}})"));
  EXPECT_EQ(server.requests().at(0).target, "/apis/sluice.dev/v1alpha1/sites/x");
}

TEST(Client, FollowsThePagesOfAList) {
  Imposter server([](ImposterConnection& c) {
    while (const auto request = c.ReadRequest()) {
      const bool first = request->target.find("continue=") == std::string::npos;
      c.Send(Answer(
          200,
          first
              ? R"({"metadata":{"resourceVersion":"7","continue":"c/1="},"items":[{"metadata":{"name":"a","namespace":"n"}}]})"
              : R"({"metadata":{"resourceVersion":"7"},"items":[{"metadata":{"name":"b","namespace":"n"}}]})"));
    }
  });
  const auto list =
      ClientFor(server)->List(kPods, {.ns = "n", .label_selector = "a=b", .limit = 1});
  ASSERT_TRUE(list.ok()) << list.status().ToString();
  ASSERT_EQ(list->items.size(), 2u);
  EXPECT_EQ(list->resource_version, "7");
  EXPECT_EQ(list->items[1]->ToJson()["kind"], "Pod");
  EXPECT_EQ(server.requests().at(0).target,
            "/api/v1/namespaces/n/pods?labelSelector=a%3Db&limit=1");
  EXPECT_THAT(server.requests().at(1).target, HasSubstr("continue=c%2F1%3D"));
}

TEST(Client, AListWhosePagesExpiredIsReadInOne) {
  Imposter server([](ImposterConnection& c) {
    while (const auto request = c.ReadRequest()) {
      if (request->target.find("continue=") != std::string::npos) {
        c.Send(Answer(410, R"({"kind":"Status","code":410,"reason":"Expired"})"));
      } else if (request->target.find("limit=") != std::string::npos) {
        c.Send(
            Answer(200, R"({"metadata":{"continue":"c"},"items":[{"metadata":{"name":"old"}}]})"));
      } else {
        c.Send(Answer(
            200, R"({"metadata":{"resourceVersion":"9"},"items":[{"metadata":{"name":"new"}}]})"));
      }
    }
  });
  const auto list = ClientFor(server)->List(kSites, {});
  ASSERT_TRUE(list.ok()) << list.status().ToString();
  ASSERT_EQ(list->items.size(), 1u);
  EXPECT_EQ(list->items[0]->name(), "new");
}

TEST(Client, WritesByServerSideApply) {
  Imposter server(AnswerWithSite);
  const auto client = ClientFor(server);
  const json object = {{"metadata", {{"name", "x"}}}, {"spec", {{"a", 1}}}};
  ASSERT_TRUE(client->Apply(kSites, object, {.field_manager = "m", .force = true}).ok());
  ASSERT_TRUE(client->ApplyStatus(kSites, object, {.field_manager = "m", .dry_run = true}).ok());
  EXPECT_EQ(client->Apply(kSites, object, {}).status().code(), Code::kInvalidArgument);
  const auto requests = server.requests();
  EXPECT_EQ(requests.at(0).method, "PATCH");
  EXPECT_EQ(requests.at(0).target, "/apis/sluice.dev/v1alpha1/sites/x?fieldManager=m&force=true");
  EXPECT_EQ(http::FindHeader(requests.at(0).headers, "Content-Type"),
            "application/apply-patch+yaml");
  EXPECT_EQ(json::parse(requests.at(0).body)["kind"], "Site");
  EXPECT_EQ(requests.at(1).target,
            "/apis/sluice.dev/v1alpha1/sites/x/status?fieldManager=m&dryRun=All");
}

TEST(Client, AppliesAStatusAsTextAndReadsMetadataAlone) {
  Imposter server(AnswerWithSite);
  const auto client = ClientFor(server);
  const std::string text = R"({"kind":"Site","status":{"a":1}})";
  const auto written = ApplyStatusText(*client, kSites, {"", "x"}, text, {.field_manager = "m"});
  ASSERT_TRUE(written.ok()) << written.status().ToString();
  EXPECT_EQ((*written)->name(), "x");
  EXPECT_EQ(ApplyStatusText(*client, kSites, {"", "x"}, text, {}).status().code(),
            Code::kInvalidArgument);
  EXPECT_EQ(
      ApplyStatusText(*client, kSites, {"", ""}, text, {.field_manager = "m"}).status().code(),
      Code::kInvalidArgument);
  const auto requests = server.requests();
  ASSERT_EQ(requests.size(), 1u);
  EXPECT_EQ(requests[0].method, "PATCH");
  EXPECT_EQ(requests[0].target, "/apis/sluice.dev/v1alpha1/sites/x/status?fieldManager=m");
  EXPECT_EQ(requests[0].body, text);
  EXPECT_THAT(std::string(http::FindHeader(requests[0].headers, "Accept")),
              HasSubstr("as=PartialObjectMetadata;"));
  EXPECT_EQ(http::FindHeader(requests[0].headers, "Content-Type"), "application/apply-patch+yaml");
}

TEST(Client, PutsKindAndVersionIntoBodiesThatLackThem) {
  Imposter server(AnswerWithSite);
  const auto client = ClientFor(server);
  for (const char* text :
       {R"({"metadata":{"name":"x"}})", R"({"kind":"Site","metadata":{"name":"x"}})",
        R"({"apiVersion":"sluice.dev/v1alpha1","metadata":{"name":"x"}})"}) {
    ASSERT_TRUE(client->Apply(kSites, json::parse(text), {.field_manager = "m"}).ok());
  }
  ASSERT_TRUE(client->Create(kSites, json::object()).ok());
  for (const RecordedRequest& request : server.requests()) {
    const json body = json::parse(request.body);
    EXPECT_EQ(body["kind"], "Site");
    EXPECT_EQ(body["apiVersion"], "sluice.dev/v1alpha1");
  }
}

TEST(Client, EachVerbGoesToItsPlace) {
  Imposter server(AnswerWithSite);
  const auto client = ClientFor(server);
  const json object = {{"metadata", {{"name", "x"}, {"resourceVersion", "1"}}}};
  ASSERT_TRUE(client->Create(kSites, object).ok());
  ASSERT_TRUE(client->Update(kSites, object).ok());
  ASSERT_TRUE(client->UpdateStatus(kSites, object).ok());
  ASSERT_TRUE(client->Patch(kSites, {"", "x"}, PatchType::kMerge, {{"a", nullptr}}).ok());
  ASSERT_TRUE(client
                  ->Delete(kSites, {"", "x"},
                           {.preconditions = {"u", "5"}, .propagation = Propagation::kForeground})
                  .ok());
  ASSERT_EQ(*client->Raw("POST", "/apis/x", "{}"), kSiteAnswer);
  std::vector<std::string> lines;
  for (const RecordedRequest& r : server.requests()) lines.push_back(r.method + " " + r.target);
  EXPECT_THAT(lines, ElementsAre("POST /apis/sluice.dev/v1alpha1/sites",
                                 "PUT /apis/sluice.dev/v1alpha1/sites/x",
                                 "PUT /apis/sluice.dev/v1alpha1/sites/x/status",
                                 "PATCH /apis/sluice.dev/v1alpha1/sites/x",
                                 "DELETE /apis/sluice.dev/v1alpha1/sites/x", "POST /apis/x"));
  const json body = json::parse(server.requests().at(4).body);
  EXPECT_EQ(body["preconditions"], json::parse(R"({"uid":"u","resourceVersion":"5"})"));
  EXPECT_EQ(body["propagationPolicy"], "Foreground");
  EXPECT_FALSE(client->Create(kPods, object).ok()) << "a namespace is missing";
  EXPECT_FALSE(client->Delete(kSites, {"", ""}).ok()) << "would delete the collection";
}

TEST(ClientWatch, GivesLinesAsTheyComeInAnyCutting) {
  Imposter server([](ImposterConnection& c) {
    c.ReadRequest();
    c.Send(kChunkedHead);
    for (const char byte : std::string("{\"a\":1}\n{\"b\":2}\n")) c.Send(Chunk({&byte, 1}));
    c.Send(Chunk(""));
  });
  std::vector<std::string> lines;
  const auto status = ClientFor(server)->Watch(
      kSites, {.resource_version = "5", .metadata_only = true, .timeout = 60s},
      [&](std::string_view line) {
        lines.emplace_back(line);
        return true;
      },
      {});
  EXPECT_TRUE(status.ok()) << status.ToString();
  EXPECT_THAT(lines, ElementsAre("{\"a\":1}", "{\"b\":2}"));
  EXPECT_EQ(server.requests().at(0).target,
            "/apis/sluice.dev/v1alpha1/sites?watch=1&allowWatchBookmarks=true&timeoutSeconds=60&"
            "resourceVersion=5");
  EXPECT_THAT(std::string(http::FindHeader(server.requests().at(0).headers, "Accept")),
              HasSubstr("as=PartialObjectMetadata;"));
}

TEST(ClientWatch, EndsWhenStoppedRefusedOrCut) {
  std::stop_source stop;
  Imposter server([&](ImposterConnection& c) {
    c.ReadRequest();
    if (c.index() == 0) {
      c.Send(Answer(410, R"({"kind":"Status","code":410,"reason":"Expired","message":"old"})"));
    } else if (c.index() == 1) {
      c.Send(std::string(kChunkedHead) + Chunk("{\"cut") + Chunk(""));
    } else {
      c.Send(kChunkedHead);
      stop.request_stop();
    }
    c.WaitForClose();
  });
  const auto watch = [&] {  // a client each: connections are counted
    return ClientFor(server)->Watch(
        kSites, {}, [](std::string_view) { return true; }, stop.get_token());
  };
  EXPECT_EQ(watch().code(), Code::kOutOfRange);
  EXPECT_EQ(watch().reason(), "ConnectionCut");
  EXPECT_EQ(watch().code(), Code::kCancelled);
}

TEST(ClientWatch, SilenceEndsItInPeaceUnlessSomethingWasBegun) {
  Imposter server([](ImposterConnection& c) {
    c.ReadRequest();
    if (c.index() == 0) c.Send(std::string(kChunkedHead) + Chunk("{\"a\":1}\n"));
    if (c.index() == 1) c.Send(std::string(kChunkedHead) + Chunk("{\"cut"));
    c.WaitForClose();
  });
  Config config;
  config.server = server.url();
  config.watch_silence = 2s;  // the server is not silent before its script says so
  const auto client = NewClient(config).value();
  std::vector<int> codes;
  client->Observe(
      {.request = [&](const RequestRecord& r) { codes.push_back(r.code); }, .throttle = {}});
  int lines = 0;
  const auto watch = [&] {
    return client->Watch(kSites, {.metadata_only = true},
                         [&](std::string_view) { return ++lines > 0; }, {});
  };
  EXPECT_EQ(watch(), base::OkStatus());
  EXPECT_EQ(lines, 1);
  EXPECT_EQ(watch().reason(), "ConnectionCut") << "within an event";
  const base::Status unanswered = watch();
  EXPECT_EQ(unanswered.code(), Code::kDeadlineExceeded);
  EXPECT_EQ(unanswered.reason(), "Read");
  EXPECT_THAT(codes, ElementsAre(200, 200, 0));
  EXPECT_EQ(server.connections(), 3) << "none is used again";
}

TEST(ServerVersion, ReadsDistributionsToo) {
  Imposter server([](ImposterConnection& c) {
    while (c.ReadRequest()) c.Send(Answer(200, R"({"major":"1","minor":"35+"})"));
  });
  const auto client = ClientFor(server);
  const auto version = GetServerVersion(*client);
  ASSERT_TRUE(version.ok());
  EXPECT_EQ(version->minor, 35);
  EXPECT_TRUE(version->ComparableVersions());
  EXPECT_FALSE((ServerVersion{1, 34}.ComparableVersions()));
}

// A proxy on the way may lower the names of headers.
TEST(Client, LogsAServersWarningsOnceHoweverTheirHeaderIsWritten) {
  Imposter server([](ImposterConnection& c) {
    while (c.ReadRequest()) {
      c.Send(Answer(200, kSiteAnswer,
                    "warning: 299 - \"old lower\"\r\nWarning: 299 - \"old upper\"\r\n"));
    }
  });
  const auto client = ClientFor(server);
  ::testing::internal::CaptureStderr();
  for (int i = 0; i < 2; ++i) EXPECT_TRUE(client->Get(kSites, {"", "x"}).ok());
  const std::string seen = ::testing::internal::GetCapturedStderr();
  for (const std::string word : {"old lower", "old upper"}) {
    const std::size_t at = seen.find(word);
    EXPECT_NE(at, std::string::npos) << seen;
    EXPECT_EQ(seen.find(word, at + 1), std::string::npos) << seen;
  }
}

}  // namespace
}  // namespace sluice::client
