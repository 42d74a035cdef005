// The Kubernetes API in memory: one Client whose answers come from a map.
//
// It keeps what reconcilers depend on: uids, resourceVersions (one counter), generations (raised by
// a change outside metadata and status), AlreadyExists / NotFound / Conflict / Invalid uid,
// finalizers with deletionTimestamp, status apart from the rest, label and metadata.name selectors,
// writes that change nothing and leave the resourceVersion, watches with bookmarks, initial events
// and 410 for a forgotten version. Held to the real one by
// tests/integration/controller/fake_api_test.cc. Every kind has a status of its own here, and none
// is updated without its version. Server-side apply is thin: fields merge, lists of objects merge
// by `name`, `type`, `key`, `path`, `ip` or `containerPort` where every element has it and are
// replaced otherwise; fields a manager stops applying go away only at the top of labels,
// annotations, data and lists it applied whole. Nothing is validated or defaulted, what a deleted
// object owned stays, and managers never conflict: for that there is the real one (api_server.h).
//
// Thread rule: any thread.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <mutex>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "controller/base/clock.h"
#include "controller/client/client.h"

namespace sluice::testing_kit {

// One request the fake got, for assertions: "create", "update", "apply", "patch", "delete",
// "apply-status", "update-status", "get", "list", "watch".
struct Call {
  std::string verb;
  std::string resource;  // GroupResource()
  meta::Key key;
  bool IsWrite() const { return verb != "get" && verb != "list" && verb != "watch"; }
};

class FakeApi final : public client::Client {
 public:
  explicit FakeApi(base::Clock& clock);
  ~FakeApi() override;

  // Puts an object there as a user or another controller would; returns what is stored.
  meta::ObjectPtr Put(const meta::Resource& resource, const nlohmann::json& object);
  // The same for its status alone.
  meta::ObjectPtr PutStatus(const meta::Resource& resource, const meta::Key& key,
                            const nlohmann::json& status);
  // Current JSON; null when it is not there.
  nlohmann::json Look(const meta::Resource& resource, const meta::Key& key) const;
  std::vector<nlohmann::json> LookAll(const meta::Resource& resource) const;
  // Forgets all watch history: watches, those under way too, are told 410 and begin anew.
  void ForgetHistory();

  // Asked before each call; a Status is answered instead. The call has no effect then.
  using Fault = std::function<std::optional<base::Status>(const Call&)>;
  void FailBefore(Fault fault);
  // Asked after a write took effect; a Status is answered though it did ("the answer was lost").
  void FailAfter(Fault fault);
  // Answers Raw() calls. Without one they fail with Unimplemented.
  using RawHandler = std::function<base::StatusOr<std::string>(
      std::string_view method, std::string_view path, std::string_view body)>;
  void OnRaw(RawHandler handler);

  std::vector<Call> calls() const;
  int writes() const;  // that were asked for, whatever they changed
  void ForgetCalls();

  base::StatusOr<meta::ObjectPtr> Get(const meta::Resource& resource,
                                      const meta::Key& key) override;
  base::StatusOr<client::ObjectList> List(const meta::Resource& resource,
                                          const client::ListOptions& options) override;
  base::StatusOr<meta::ObjectPtr> Create(const meta::Resource& resource,
                                         const nlohmann::json& object) override;
  base::StatusOr<meta::ObjectPtr> Update(const meta::Resource& resource,
                                         const nlohmann::json& object) override;
  base::StatusOr<meta::ObjectPtr> Apply(const meta::Resource& resource,
                                        const nlohmann::json& object,
                                        const client::ApplyOptions& options) override;
  base::StatusOr<meta::ObjectPtr> Patch(const meta::Resource& resource, const meta::Key& key,
                                        client::PatchType type,
                                        const nlohmann::json& patch) override;
  base::Status Delete(const meta::Resource& resource, const meta::Key& key,
                      const client::DeleteOptions& options = {}) override;
  base::StatusOr<meta::ObjectPtr> ApplyStatus(const meta::Resource& resource,
                                              const nlohmann::json& object,
                                              const client::ApplyOptions& options) override;
  base::StatusOr<meta::ObjectPtr> UpdateStatus(const meta::Resource& resource,
                                               const nlohmann::json& object) override;
  base::Status Watch(const meta::Resource& resource, const client::WatchOptions& options,
                     const client::WatchLine& line, std::stop_token stop) override;
  base::StatusOr<std::string> Raw(std::string_view method, std::string_view path,
                                  std::string_view body) override;
  void Stop() override;

 private:
  struct State;
  base::Status Enter(const Call& call);
  base::StatusOr<meta::ObjectPtr> Leave(const Call& call, const nlohmann::json& object);

  base::Clock& clock_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::unique_ptr<State> state_;  // guarded by mutex_
};

}  // namespace sluice::testing_kit
