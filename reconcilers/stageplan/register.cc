#include "reconcilers/stageplan/register.h"

#include <memory>
#include <nlohmann/json.hpp>

#include "api/types/json_codec.h"
#include "api/v1alpha1/stage_plan.pb.h"
#include "reconcilers/common/applier.h"
#include "reconcilers/common/decode.h"
#include "reconcilers/common/resources.h"
#include "reconcilers/stageplan/status.h"

namespace sluice::stageplan {
namespace {

class StagePlanReconciler final : public reconcile::Reconciler {
 public:
  StagePlanReconciler(const cache::Store& plans, const Deps& deps)
      : plans_(plans), clock_(deps.clock), applier_(deps.api, "sluice-stageplan") {}

  reconcile::Result Reconcile(const reconcile::Request& request, std::stop_token) override {
    const meta::ObjectPtr object = plans_.Get(request.key);
    if (object == nullptr) {
      applier_.Forget(common::kStagePlans, request.key);
      return reconcile::Result::Done();
    }
    const auto plan = common::Decode<v1alpha1::StagePlan>(*object);
    if (!plan.ok()) return reconcile::Result::Terminal(plan.status());
    const auto status = BuildStatus(**plan, object->generation(), clock_.Wall());
    const auto written = applier_.ApplyStatus(common::kStagePlans, *object, types::ToJson(*status));
    return written.ok() ? reconcile::Result::Done() : reconcile::Result::Retry(written.status());
  }

 private:
  const cache::Store& plans_;
  base::Clock& clock_;
  common::Applier applier_;
};

}  // namespace

void Register(runtime::Manager& manager, const Deps& deps) {
  manager.NewController(
      "stageplan", common::kStagePlans,
      std::make_shared<StagePlanReconciler>(manager.StoreOf(common::kStagePlans), deps));
}

}  // namespace sluice::stageplan
