// An informer and the scripted server it reads from: for the tests of this folder.
#pragma once

#include <fmt/format.h>

#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "controller/cache/informer.h"
#include "controller/client/config.h"
#include "controller/http/testing/imposter.h"

namespace sluice::cache {

inline const meta::Resource kSites{"sluice.dev", "v1alpha1", "Site", "sites", false};

inline std::string Site(const std::string& name, int version) {
  return fmt::format(
      R"({{"kind":"Site","apiVersion":"sluice.dev/v1alpha1","metadata":{{"name":"{0}","uid":"u-{0}","resourceVersion":"{1}"}}}})",
      name, version);
}
inline std::string Line(const std::string& type, const std::string& object) {
  return fmt::format("{{\"type\":\"{}\",\"object\":{}}}\n", type, object);
}
inline std::string Mark(int version, bool end_of_state = false) {
  return Line(
      "BOOKMARK",
      fmt::format(R"({{"metadata":{{"resourceVersion":"{}"{}}}}})", version,
                  end_of_state ? R"(,"annotations":{"k8s.io/initial-events-end":"true"})" : ""));
}
inline std::string Expired() {
  return R"({"kind":"Status","code":410,"reason":"Expired","message":"too old resource version"})";
}

// Answers list and watch requests by its steps, one each; requests beyond them hang.
class ScriptedApi {
 public:
  using Step = std::function<void(http::testing::ImposterConnection&)>;
  explicit ScriptedApi(std::deque<Step> steps)
      : steps_(std::move(steps)),
        imposter_([this](http::testing::ImposterConnection& c) { Serve(c); }) {
    client::Config config;
    config.server = imposter_.url();
    client_ = client::NewClient(config, clock_).value();
  }
  client::Client& client() { return *client_; }
  base::FakeClock& clock() { return clock_; }
  std::vector<std::string> targets() {
    std::lock_guard lock(mutex_);
    return targets_;
  }

 private:
  void Serve(http::testing::ImposterConnection& connection) {
    while (const auto request = connection.ReadRequest()) {
      Step step = [](http::testing::ImposterConnection& c) { c.WaitForClose(); };
      {
        std::lock_guard lock(mutex_);
        targets_.push_back(request->target);
        if (!steps_.empty()) {
          step = std::move(steps_.front());
          steps_.pop_front();
        }
      }
      step(connection);
    }
  }

  std::mutex mutex_;
  std::deque<Step> steps_;
  std::vector<std::string> targets_;
  base::FakeClock clock_;
  std::unique_ptr<client::Client> client_;
  http::testing::Imposter imposter_;
};

// A watch answer that holds its connection open after the lines, or ends it properly.
inline ScriptedApi::Step Hold(std::string lines) {
  return [lines](http::testing::ImposterConnection& c) {
    c.Send(std::string(http::testing::kChunkedHead) + http::testing::Chunk(lines));
    c.WaitForClose();
  };
}
inline ScriptedApi::Step End(std::string lines) {
  return [lines](http::testing::ImposterConnection& c) {
    c.Send(std::string(http::testing::kChunkedHead) + http::testing::Chunk(lines) +
           http::testing::Chunk(""));
  };
}
inline ScriptedApi::Step Say(int status, std::string body, std::string headers = "") {
  return [=](http::testing::ImposterConnection& c) {
    c.Send(http::testing::Answer(status, body, headers));
  };
}

// Writes changes down as "+a", "~a", "-a", in brackets when they are of a reading of the state.
class Diary {
 public:
  EventHandler handler() {
    return [this](const Event& event) {
      const auto& object = event.after != nullptr ? event.after : event.before;
      std::string entry = std::string(event.before == nullptr  ? "+"
                                      : event.after == nullptr ? "-"
                                                               : "~") +
                          std::string(object->name());
      if (event.initial) entry = "[" + entry + "]";
      std::lock_guard lock(mutex_);
      entries_.push_back(std::move(entry));
      changed_.notify_all();
    };
  }
  std::vector<std::string> WaitFor(std::size_t count) {
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, std::chrono::seconds(20), [&] { return entries_.size() >= count; });
    return entries_;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<std::string> entries_;
};

struct Subject {
  explicit Subject(ScriptedApi& api, InformerOptions options = {.resource = kSites}) {
    informer = Informer::New(api.client(), api.clock(), std::move(options)).value();
    informer->UseComparableVersions();
    informer->Subscribe(diary.handler());
    informer->Start();
  }
  Diary diary;
  std::unique_ptr<Informer> informer;
};

}  // namespace sluice::cache
