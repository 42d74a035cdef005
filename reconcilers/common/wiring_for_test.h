// A Manager that runs nothing and keeps what a Register wires, for a test to ask which keys of a
// controller an event leads to. Its stores hold what the test puts there.
#pragma once

#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "controller/cache/memory_store.h"
#include "controller/runtime/manager.h"
#include "controller/runtime/predicates.h"

namespace sluice::common {

class Wiring final : public runtime::Manager {
 public:
  Wiring(client::Client& api, base::Clock& clock) : api_(api), clock_(clock) {}

  void Put(const meta::Resource& resource, nlohmann::json object) {
    object["metadata"]["resourceVersion"] = std::to_string(++version_);
    Memory(resource).Put(meta::Object::FromJson(object).value());
  }

  // Names of the controller's objects that are looked at after an event of that kind.
  std::set<std::string> Looks(const std::string& controller, const meta::Resource& resource,
                              const cache::Event& event) {
    std::set<std::string> names;
    const Builder& builder = *controllers_.at(controller);
    if (builder.own == resource && builder.when(event)) {
      names.emplace((event.after != nullptr ? event.after : event.before)->name());
    }
    for (const auto& [watched, mapper] : builder.watched) {
      if (!(watched == resource)) continue;
      for (const meta::Key& key : mapper(event)) names.insert(key.name);
    }
    return names;
  }

  // Deleted and made anew between two listings: all else, the generation too, is as it was.
  static cache::Event MadeAnew(nlohmann::json object) {
    object["metadata"].update({{"uid", "old"}, {"generation", 1}, {"resourceVersion", "1"}});
    meta::ObjectPtr before = meta::Object::FromJson(object).value();
    object["metadata"].update({{"uid", "new"}, {"resourceVersion", "9"}});
    return {std::move(before), meta::Object::FromJson(object).value()};
  }
  // Of one object, `change` merged into it; its generation stays.
  static cache::Event Changed(nlohmann::json object, const nlohmann::json& change) {
    object["metadata"].update({{"uid", "u"}, {"generation", 1}, {"resourceVersion", "1"}});
    meta::ObjectPtr before = meta::Object::FromJson(object).value();
    object.merge_patch(change);
    object["metadata"]["resourceVersion"] = "2";
    return {std::move(before), meta::Object::FromJson(object).value()};
  }

  void Prune(const meta::Resource&, cache::PruneFunction) override {}
  cache::Store& StoreOf(const meta::Resource& resource) override { return Memory(resource); }
  cache::Store& StoreOf(const meta::Resource& resource, const StoreOptions&) override {
    return Memory(resource);
  }
  void AddIndex(const meta::Resource& resource, std::string index,
                cache::IndexFunction function) override {
    Memory(resource).AddIndex(std::move(index), std::move(function));
  }
  void AddIndex(const meta::Resource& resource, const StoreOptions&, std::string index,
                cache::IndexFunction function) override {
    AddIndex(resource, std::move(index), std::move(function));
  }
  runtime::ControllerBuilder& NewController(
      std::string name, const meta::Resource& resource,
      std::shared_ptr<reconcile::Reconciler> reconciler) override {
    auto& builder = controllers_[name];
    builder = std::make_unique<Builder>();
    builder->own = resource;
    builder->reconciler = std::move(reconciler);
    return *builder;
  }
  runtime::ControllerBuilder& NewController(
      std::string name, const meta::Resource& resource, const StoreOptions&,
      std::shared_ptr<reconcile::Reconciler> reconciler) override {
    return NewController(std::move(name), resource, std::move(reconciler));
  }
  runtime::Trigger TriggerOf(const std::string&) override {
    return [](const meta::Key&) {};
  }
  runtime::Trigger GatheringTriggerOf(const std::string& name, base::Duration) override {
    return TriggerOf(name);
  }
  void LookAtAll(const std::string&) override {}
  void AddReadyCheck(std::string, std::function<base::Status()>) override {}
  void AddDebug(std::string, runtime::DebugFunction) override {}
  bool leading() const override { return true; }
  client::Client& fenced_client() override { return api_; }
  recorder::Recorder& recorder() override { return recorder_; }
  base::metrics::Registry& metrics() override { return metrics_; }
  int metrics_port() const override { return 0; }
  int health_port() const override { return 0; }
  int debug_port() const override { return 0; }
  base::Status Run(std::stop_token) override { return base::OkStatus(); }

 private:
  class Silent final : public recorder::Recorder {
    void Record(const recorder::Reference&, recorder::Type, std::string_view, std::string_view,
                std::string_view) override {}
  };
  struct Builder final : runtime::ControllerBuilder {
    meta::Resource own;
    std::shared_ptr<reconcile::Reconciler> reconciler;
    runtime::Predicate when = runtime::SpecOrMetadataChanged;
    std::vector<std::pair<meta::Resource, runtime::Mapper>> watched;

    ControllerBuilder& Owns(const meta::Resource&) override { return *this; }
    ControllerBuilder& Owns(const meta::Resource&, const StoreOptions&) override { return *this; }
    ControllerBuilder& Watches(const meta::Resource& resource, runtime::Mapper mapper) override {
      watched.emplace_back(resource, std::move(mapper));
      return *this;
    }
    ControllerBuilder& Watches(const meta::Resource& resource, const StoreOptions&,
                               runtime::Mapper mapper) override {
      return Watches(resource, std::move(mapper));
    }
    ControllerBuilder& When(runtime::Predicate predicate) override {
      when = std::move(predicate);
      return *this;
    }
    ControllerBuilder& Workers(int) override { return *this; }
    ControllerBuilder& GrowsTo(int) override { return *this; }
    ControllerBuilder& NeedsNoLeader() override { return *this; }
  };

  cache::MemoryStore& Memory(const meta::Resource& resource) {
    auto& store = stores_[resource.GroupResource()];
    if (store == nullptr) store = std::make_unique<cache::MemoryStore>(resource, clock_);
    return *store;
  }

  client::Client& api_;
  base::Clock& clock_;
  int version_ = 0;
  Silent recorder_;
  base::metrics::Registry metrics_;
  std::map<std::string, std::unique_ptr<cache::MemoryStore>> stores_;
  std::map<std::string, std::unique_ptr<Builder>> controllers_;
};

}  // namespace sluice::common
