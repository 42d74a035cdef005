#include "reconcilers/release/register.h"

#include <algorithm>
#include <memory>
#include <nlohmann/json.hpp>

#include "api/types/json_codec.h"
#include "api/v1alpha1/release.pb.h"
#include "api/v1alpha1/rollout.pb.h"
#include "controller/base/metrics.h"
#include "reconcilers/common/applier.h"
#include "reconcilers/common/decode.h"
#include "reconcilers/common/release_resources.h"
#include "reconcilers/common/resources.h"
#include "reconcilers/release/status.h"

namespace sluice::release {
namespace {

using reconcile::Result;

constexpr const char* kEnd = "sluice_release_end_of_life_timestamp_seconds";
constexpr const char* kEndHelp = "When a Release must be gone (Unix time).";
// How far ahead a date is waited for in one go.
constexpr std::chrono::hours kLongestLook{1};

class ReleaseReconciler final : public reconcile::Reconciler {
 public:
  ReleaseReconciler(const cache::Store& releases, const cache::Store& rollouts, const Deps& deps,
                    base::metrics::Registry& registry)
      : releases_(releases),
        rollouts_(rollouts),
        clock_(deps.clock),
        applier_(deps.api, "sluice-release"),
        registry_(registry) {}

  Result Reconcile(const reconcile::Request& request, std::stop_token) override {
    const std::string& name = request.key.name;
    const meta::ObjectPtr object = releases_.Get(request.key);
    if (object == nullptr) {
      applier_.Forget(common::kReleases, request.key);
      registry_.RemoveSeries(kEnd, "name", name);
      return Result::Done();
    }
    const auto release = common::Decode<v1alpha1::Release>(*object);
    if (!release.ok()) return Result::Terminal(release.status());
    std::vector<NamedRollout> rollouts;
    for (const meta::ObjectPtr& each : rollouts_.List()) {
      auto decoded = common::Decode<v1alpha1::Rollout>(*each);
      if (decoded.ok()) rollouts.push_back({std::string(each->name()), *std::move(decoded)});
    }
    const base::WallTime now = clock_.Wall();
    const Answer answer = BuildStatus(name, **release, object->generation(), rollouts, now);
    Show(name, answer);
    const auto written =
        applier_.ApplyStatus(common::kReleases, *object, types::ToJson(*answer.status));
    if (!written.ok()) return Result::Retry(written.status());
    if (!answer.changes_at) return Result::Done();
    using std::chrono::milliseconds;
    const auto left = std::chrono::ceil<milliseconds>(*answer.changes_at - now);
    return Result::After(std::min<milliseconds>(left, kLongestLook));
  }

 private:
  void Show(const std::string& name, const Answer& answer) {
    if (!answer.end_of_life) {
      registry_.RemoveSeries(kEnd, "name", name);
      return;
    }
    registry_.GetGauge(kEnd, kEndHelp, {{"name", name}})
        .Set(std::chrono::duration<double>(answer.end_of_life->time_since_epoch()).count());
  }

  const cache::Store& releases_;
  const cache::Store& rollouts_;
  base::Clock& clock_;
  common::Applier applier_;
  base::metrics::Registry& registry_;
};

std::string ReleaseOf(const meta::ObjectPtr& rollout) {
  return rollout == nullptr
             ? std::string()
             : rollout->ToJson().value(nlohmann::json::json_pointer("/spec/releaseRef/name"), "");
}

}  // namespace

void Register(runtime::Manager& manager, const Deps& deps) {
  manager
      .NewController("release", common::kReleases,
                     std::make_shared<ReleaseReconciler>(manager.StoreOf(common::kReleases),
                                                         manager.StoreOf(common::kRollouts), deps,
                                                         manager.metrics()))
      .Watches(common::kRollouts, [](const cache::Event& event) {
        std::vector<meta::Key> keys;
        if (const std::string name = ReleaseOf(event.after); !name.empty()) {
          keys.push_back({"", name});
        }
        return keys;
      });
}

}  // namespace sluice::release
