// A Manager on the API in memory, with a reconciler that counts: for the tests of this folder.
#pragma once

#include <gtest/gtest.h>

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>

#include "controller/http/client.h"
#include "controller/runtime/manager.h"
#include "controller/testing/fake_api.h"

namespace sluice::runtime {

// Counts what it is asked; optionally writes a status once per generation.
class Counting final : public reconcile::Reconciler {
 public:
  reconcile::Result Reconcile(const reconcile::Request& request, std::stop_token stop) override {
    if (before) before(request, stop);
    const std::lock_guard lock(mutex);
    ++calls[request.key.name];
    return reconcile::Result::Done();
  }
  int Calls(const std::string& name) {
    const std::lock_guard lock(mutex);
    return calls[name];
  }
  std::function<void(const reconcile::Request&, std::stop_token)> before;
  std::mutex mutex;
  std::map<std::string, int> calls;
};

class ManagerTest : public ::testing::Test {
 protected:
  static inline const meta::Resource kWidgets{"example.com", "v1", "Widget", "widgets", true};
  static inline const meta::Resource kParts{"example.com", "v1", "Part", "parts", true};
  static nlohmann::json Widget(const std::string& name, int size = 1) {
    return {{"apiVersion", "example.com/v1"},
            {"kind", "Widget"},
            {"metadata", {{"namespace", "ns"}, {"name", name}}},
            {"spec", {{"size", size}}}};
  }

  ManagerTest() : api(clock) {
    options.name = "example.com/test";
    options.identity = "replica-0";
    options.metrics_address = "127.0.0.1:0";
    options.health_address = "127.0.0.1:0";
    options.end_process = [this](std::string_view) { ++ended; };
  }
  ~ManagerTest() override { Stop(); }
  void Make() {
    manager = Manager::New(options, api, clock);
    reconciler = std::make_shared<Counting>();
  }
  void Run() {
    runner = std::thread([this] { result = manager->Run(stop.get_token()); });
  }
  void Stop() {
    stop.request_stop();
    if (runner.joinable()) runner.join();
    manager.reset();
  }
  std::string Page(int port, const std::string& path, int* status = nullptr) {
    http::ClientOptions client_options;
    client_options.base_url = "http://127.0.0.1:" + std::to_string(port);
    auto client = http::Client::New(client_options).value();
    http::Request request;
    request.target = path;
    auto answer = client->Do(request);
    if (!answer.ok()) return answer.status().ToString();
    if (status != nullptr) *status = answer->status;
    return answer->body;
  }

  base::RealClock clock;
  testing_kit::FakeApi api;
  Options options;
  std::atomic<int> ended{0};
  std::unique_ptr<Manager> manager;
  std::shared_ptr<Counting> reconciler;
  std::stop_source stop;
  std::thread runner;
  base::Status result;
};

}  // namespace sluice::runtime
