// What an informer holds beside its store while it reads a state: one event of a stream, one page
// of a list. The server gives the next one only when it finds the last one in the store.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <future>
#include <thread>

#include "controller/cache/informer_for_test.h"

namespace sluice::cache {
namespace {

using http::testing::ImposterConnection;
using std::chrono::seconds;
using ::testing::ElementsAre;

class InformerMemory : public ::testing::Test {
 protected:
  // Name and version of each.
  using Sites = std::vector<std::pair<std::string, int>>;

  // A stream whose next event comes when the store shows the one before; then `end`.
  ScriptedApi::Step OneByOne(const Sites& sites, const std::string& end) {
    return [this, sites, end](ImposterConnection& c) {
      c.Send(http::testing::kChunkedHead);
      for (const auto& site : sites) {
        c.Send(http::testing::Chunk(Line("ADDED", Site(site.first, site.second))));
        if (!BecomesShown(site)) return c.Cut();
      }
      c.Send(http::testing::Chunk(end));
      c.WaitForClose();
    };
  }
  // A page of a list, for whoever shows all of the page before.
  ScriptedApi::Step Page(const Sites& before, const Sites& sites, const std::string& more) {
    return [this, before, sites, more](ImposterConnection& c) {
      for (const auto& site : before) {
        if (!Shows(site)) NoteHeldBack(site.first);
      }
      std::string items;
      for (const auto& [name, version] : sites) {
        items += (items.empty() ? "" : ",") + Site(name, version);
      }
      c.Send(http::testing::Answer(
          200,
          fmt::format(R"({{"metadata":{{"resourceVersion":"9","continue":"{}"}},"items":[{}]}})",
                      more, items)));
    };
  }
  void Begin(ScriptedApi& api, InformerOptions options = {.resource = kSites}) {
    subject_ = std::make_unique<Subject>(api, std::move(options));
    store_ = &subject_->informer->store();
    ready_.set_value();
  }
  // The server has said that it forgot the version: the pause before the next reading is over.
  static void Go(ScriptedApi& api) {
    while (api.clock().waiters() == 0) std::this_thread::yield();
    api.clock().Advance(seconds(30));
  }
  // What was there stayed the very object, unless it was changed.
  void ExpectKept(const std::vector<meta::ObjectPtr>& before, const std::string& changed) {
    for (const meta::ObjectPtr& object : before) {
      const meta::ObjectPtr now = store_->Get(object->key());
      if (now == nullptr) continue;
      EXPECT_EQ(now == object, object->name() != changed) << object->name();
    }
  }

  // Names of what was not in the store when it had to be.
  std::vector<std::string> Finish() {
    subject_->informer->Stop();
    const std::lock_guard lock(mutex_);
    return held_back_;
  }

  std::unique_ptr<Subject> subject_;  // outlives the server, which looks into the store
  const Store* store_ = nullptr;      // read by the server's threads, after ready_

 private:
  bool Shows(const std::pair<std::string, int>& site) {
    is_ready_.wait();
    const meta::ObjectPtr object = store_->Get({"", site.first});
    return object != nullptr && object->resource_version() == std::to_string(site.second);
  }
  bool BecomesShown(const std::pair<std::string, int>& site) {
    const auto deadline = std::chrono::steady_clock::now() + seconds(10);
    while (!Shows(site)) {
      if (std::chrono::steady_clock::now() > deadline) {
        NoteHeldBack(site.first);
        return false;
      }
      std::this_thread::yield();
    }
    return true;
  }
  void NoteHeldBack(const std::string& name) {
    const std::lock_guard lock(mutex_);
    held_back_.push_back(name);
  }

  std::promise<void> ready_;
  std::shared_future<void> is_ready_ = ready_.get_future().share();
  std::mutex mutex_;
  std::vector<std::string> held_back_;  // guarded by mutex_
};

TEST_F(InformerMemory, AStreamIsHeldOneEventAtATimeAtFirstAndOnARelist) {
  ScriptedApi api(
      {OneByOne({{"a", 1}, {"b", 2}, {"c", 3}, {"d", 4}}, Mark(5, true) + Line("ERROR", Expired())),
       OneByOne({{"a", 1}, {"b", 6}, {"c", 3}, {"e", 7}}, Mark(9, true))});
  Begin(api);
  EXPECT_THAT(subject_->diary.WaitFor(4), ElementsAre("[+a]", "[+b]", "[+c]", "[+d]"));
  const auto before = store_->List();
  Go(api);
  EXPECT_THAT(subject_->diary.WaitFor(7),
              ElementsAre("[+a]", "[+b]", "[+c]", "[+d]", "[~b]", "[+e]", "[-d]"));
  ExpectKept(before, "b");
  EXPECT_THAT(Finish(), ElementsAre());
}

TEST_F(InformerMemory, AListIsHeldOnePageAtATimeAtFirstAndOnARelist) {
  ScriptedApi api(
      {Page({}, {{"a", 1}, {"b", 2}}, "1"), Page({{"a", 1}, {"b", 2}}, {{"c", 3}, {"d", 4}}, "2"),
       Page({{"c", 3}, {"d", 4}}, {{"e", 5}}, ""), End(Line("ERROR", Expired())),
       Page({}, {{"a", 1}, {"b", 6}}, "3"), Page({{"a", 1}, {"b", 6}}, {{"c", 3}, {"e", 5}}, "")});
  Begin(api, {.resource = kSites, .watch_list = false, .page_size = 2});
  subject_->diary.WaitFor(5);
  const auto before = store_->List();
  Go(api);
  EXPECT_THAT(subject_->diary.WaitFor(7),
              ElementsAre("[+a]", "[+b]", "[+c]", "[+d]", "[+e]", "[~b]", "[-d]"));
  ExpectKept(before, "b");
  EXPECT_THAT(Finish(), ElementsAre());
}

}  // namespace
}  // namespace sluice::cache
