// Of the table in fake_api_test.cc, lists and watches.
#include <future>

#include "tests/integration/controller/fake_api_contract.h"

namespace sluice::testing_kit {
namespace {

using namespace std::chrono_literals;

TEST_P(Contract, AListIsOrderedSelectedAndAsNewAsItsVersion) {
  for (const char* name : {"l-b", "l-a", "l-c"}) {
    json thing = Thing(name);
    thing["metadata"]["labels"] = {{"of", name}, {"list", "l"}};
    Make(thing);
  }
  const auto names = [&](const client::ListOptions& options) {
    std::vector<std::string> out;
    const auto list = api_->List(kThings, options);
    EXPECT_THAT(list, IsOk());
    for (const auto& item : list->items) out.emplace_back(item->name());
    return out;
  };
  using testing::ElementsAre;
  EXPECT_THAT(names({.ns = "default", .label_selector = "list=l"}),
              ElementsAre("l-a", "l-b", "l-c"));
  EXPECT_THAT(names({.label_selector = "list=l", .limit = 2}), ElementsAre("l-a", "l-b", "l-c"));
  EXPECT_THAT(names({.label_selector = "list,of!=l-b"}), ElementsAre("l-a", "l-c"));
  EXPECT_THAT(names({.label_selector = "!list"}), ElementsAre());
  EXPECT_THAT(names({.ns = "default", .field_selector = "metadata.name=l-b"}), ElementsAre("l-b"));
  EXPECT_THAT(names({.ns = "elsewhere"}), ElementsAre());
  const auto list = api_->List(kThings, {.ns = "default"});
  EXPECT_EQ(list->items[0]->ToJson(), Now("l-a"));
  EXPECT_GE(std::stoll(list->resource_version), Version(Now("l-c")));
}

// Type and name of each event; the watch ends when `count` came.
std::vector<std::pair<std::string, json>> Watched(client::Client& api,
                                                  const client::WatchOptions& options,
                                                  std::size_t count) {
  std::vector<std::pair<std::string, json>> out;
  std::stop_source stop;
  auto ended = std::async(std::launch::async, [&] {
    return api.Watch(
        kThings, options,
        [&](std::string_view line) {
          json event = json::parse(line);
          out.emplace_back(event["type"], std::move(event["object"]));
          out.back().second["metadata"].erase("managedFields");
          return out.size() < count;
        },
        stop.get_token());
  });
  EXPECT_EQ(ended.wait_for(20s), std::future_status::ready);
  stop.request_stop();
  EXPECT_EQ(ended.get().code(), Code::kCancelled);
  return out;
}

TEST_P(Contract, AWatchTellsEveryChangeBehindItsVersionInOrder) {
  const std::string from = api_->List(kThings, {.ns = "default"})->resource_version;
  json thing = Thing("w");
  thing["metadata"]["labels"] = {{"watched", "yes"}};
  json made = Make(thing)->ToJson();
  Make(Thing("w-other"));
  json changed = made;
  changed["spec"]["size"] = 2;
  changed = api_->Update(kThings, changed).value()->ToJson();
  ASSERT_THAT(api_->Delete(kThings, Key("w")), IsOk());
  const client::WatchOptions options{
      .ns = "default", .label_selector = "watched=yes", .resource_version = from};
  const auto events = Watched(*api_, options, 3);
  ASSERT_EQ(events.size(), 3u);
  EXPECT_EQ(events[0], (std::pair<std::string, json>("ADDED", made)));
  EXPECT_EQ(events[1], (std::pair<std::string, json>("MODIFIED", changed)));
  EXPECT_EQ(events[2].first, "DELETED");
  EXPECT_EQ(events[2].second["spec"], changed["spec"]);
  EXPECT_GT(Version(events[2].second), Version(changed)) << "a deletion has a version of its own";
}

TEST_P(Contract, ALeavingLabelIsADeletionToWhoeverSelectsByIt) {
  json thing = Thing("w");
  thing["metadata"]["labels"] = {{"watched", "yes"}};
  const json made = Make(thing)->ToJson();
  json left = made;
  left["metadata"]["labels"] = {{"watched", "no"}};
  left = api_->Update(kThings, left).value()->ToJson();
  json back = left;
  back["metadata"]["labels"] = {{"watched", "yes"}};
  back = api_->Update(kThings, back).value()->ToJson();
  const auto events = Watched(*api_,
                              {.ns = "default",
                               .label_selector = "watched=yes",
                               .resource_version = made["metadata"]["resourceVersion"]},
                              2);
  ASSERT_EQ(events.size(), 2u);
  EXPECT_EQ(events[0].first, "DELETED");
  EXPECT_EQ(events[1], (std::pair<std::string, json>("ADDED", back)));
}

TEST_P(Contract, AWatchListBeginsWithWhatIsThereAndMarksItsEnd) {
  const json made = Make(Thing("i"))->ToJson();
  const auto events = Watched(*api_, {.ns = "default", .send_initial_events = true}, 2);
  ASSERT_EQ(events.size(), 2u);
  EXPECT_EQ(events[0], (std::pair<std::string, json>("ADDED", made)));
  EXPECT_EQ(events[1].first, "BOOKMARK");
  EXPECT_EQ(events[1].second["metadata"]["annotations"]["k8s.io/initial-events-end"], "true");
  EXPECT_GE(Version(events[1].second), Version(made));
}

TEST_P(Contract, AWatchFromAVersionThatIsForgottenIsToldSoByItsOnlyEvent) {
  Make(Thing("f"));
  std::vector<json> events;
  std::stop_source stop;
  auto ended = std::async(std::launch::async, [&] {
    return api_->Watch(
        kThings, {.ns = "default", .resource_version = "1"},
        [&](std::string_view line) {
          events.push_back(json::parse(line));
          return true;
        },
        stop.get_token());
  });
  EXPECT_EQ(ended.wait_for(20s), std::future_status::ready);
  stop.request_stop();
  EXPECT_THAT(ended.get(), IsOk());
  ASSERT_EQ(events.size(), 1u);
  EXPECT_EQ(events[0]["type"], "ERROR");
  EXPECT_EQ(events[0]["object"]["kind"], "Status");
  EXPECT_EQ(events[0]["object"]["code"], 410);
  EXPECT_EQ(events[0]["object"]["reason"], "Expired");
}

}  // namespace
}  // namespace sluice::testing_kit
