#include "controller/testing/fake_api.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "controller/testing/fake_state.h"

namespace sluice::testing_kit {

using base::Status;
using base::StatusOr;
using nlohmann::json;

using fake::KeyOf;

FakeApi::FakeApi(base::Clock& clock) : clock_(clock), state_(std::make_unique<State>()) {}
FakeApi::~FakeApi() = default;

Status FakeApi::Enter(const Call& call) {
  Fault fault;
  {
    const std::lock_guard lock(mutex_);
    if (state_->stopped) return base::Cancelled("client stopped");
    state_->calls.push_back(call);
    fault = state_->before;
  }
  if (fault) {
    if (auto status = fault(call)) return *status;
  }
  return base::OkStatus();
}

StatusOr<meta::ObjectPtr> FakeApi::Leave(const Call& call, const json& object) {
  changed_.notify_all();
  Fault fault;
  {
    const std::lock_guard lock(mutex_);
    fault = state_->after;
  }
  if (fault) {
    if (auto status = fault(call)) return *status;
  }
  return meta::Object::FromJson(object);
}

meta::ObjectPtr FakeApi::Put(const meta::Resource& resource, const json& object) {
  const std::lock_guard lock(mutex_);
  json next = object;
  if (json* stored = state_->Find(resource, KeyOf(object));
      stored != nullptr && stored->contains("status") && !object.contains("status")) {
    next["status"] = (*stored)["status"];
  }
  auto out = meta::Object::FromJson(state_->Store(resource, std::move(next), clock_.Wall()));
  changed_.notify_all();
  return std::move(out).value();
}

meta::ObjectPtr FakeApi::PutStatus(const meta::Resource& resource, const meta::Key& key,
                                   const json& status) {
  const std::lock_guard lock(mutex_);
  json* stored = state_->Find(resource, key);
  SLUICE_CHECK(stored != nullptr);
  json next = *stored;
  next["status"] = status;
  auto out = meta::Object::FromJson(state_->Store(resource, std::move(next), clock_.Wall()));
  changed_.notify_all();
  return std::move(out).value();
}

json FakeApi::Look(const meta::Resource& resource, const meta::Key& key) const {
  const std::lock_guard lock(mutex_);
  const json* stored = state_->Find(resource, key);
  return stored == nullptr ? json() : *stored;
}

std::vector<json> FakeApi::LookAll(const meta::Resource& resource) const {
  const std::lock_guard lock(mutex_);
  std::vector<json> out;
  for (const auto& [key, object] : state_->objects[resource.GroupResource()]) out.push_back(object);
  return out;
}

void FakeApi::ForgetHistory() {
  const std::lock_guard lock(mutex_);
  state_->history.clear();
  state_->oldest = ++state_->version;
  changed_.notify_all();
}

void FakeApi::FailBefore(Fault fault) {
  const std::lock_guard lock(mutex_);
  state_->before = std::move(fault);
}

void FakeApi::FailAfter(Fault fault) {
  const std::lock_guard lock(mutex_);
  state_->after = std::move(fault);
}

void FakeApi::OnRaw(RawHandler handler) {
  const std::lock_guard lock(mutex_);
  state_->raw = std::move(handler);
}

std::vector<Call> FakeApi::calls() const {
  const std::lock_guard lock(mutex_);
  return state_->calls;
}

int FakeApi::writes() const {
  const std::lock_guard lock(mutex_);
  return static_cast<int>(std::count_if(state_->calls.begin(), state_->calls.end(),
                                        [](const Call& call) { return call.IsWrite(); }));
}

void FakeApi::ForgetCalls() {
  const std::lock_guard lock(mutex_);
  state_->calls.clear();
}

StatusOr<std::string> FakeApi::Raw(std::string_view method, std::string_view path,
                                   std::string_view body) {
  RawHandler handler;
  {
    const std::lock_guard lock(mutex_);
    if (state_->stopped) return base::Cancelled("client stopped");
    handler = state_->raw;
  }
  if (!handler) return base::Unimplemented(fmt::format("{} {}", method, path));
  return handler(method, path, body);
}

void FakeApi::Stop() {
  const std::lock_guard lock(mutex_);
  state_->stopped = true;
  changed_.notify_all();
}

}  // namespace sluice::testing_kit
