#include "reconcilers/siteclass/register.h"

#include <memory>
#include <nlohmann/json.hpp>

#include "controller/runtime/predicates.h"
#include "reconcilers/common/applier.h"
#include "reconcilers/common/resources.h"
#include "reconcilers/siteclass/status.h"

namespace sluice::siteclass {
namespace {

constexpr const char* kByClass = "class";

std::string At(const meta::Object& object, const char* pointer) {
  return object.ToJson().value(nlohmann::json::json_pointer(pointer), "");
}

class SiteClassReconciler final : public reconcile::Reconciler {
 public:
  SiteClassReconciler(runtime::Manager& manager, const Deps& deps)
      : classes_(manager.StoreOf(common::kSiteClasses)),
        sites_(manager.StoreOf(common::kSites)),
        plans_(manager.StoreOf(common::kStagePlans)),
        clock_(deps.clock),
        applier_(deps.api, "sluice-siteclass") {}

  reconcile::Result Reconcile(const reconcile::Request& request, std::stop_token) override {
    const meta::ObjectPtr object = classes_.Get(request.key);
    if (object == nullptr) {
      applier_.Forget(common::kSiteClasses, request.key);
      return reconcile::Result::Done();
    }
    Facts facts;
    facts.sites = static_cast<int>(sites_.ByIndex(kByClass, object->name()).size());
    facts.plan_found = plans_.Get({"", At(*object, "/spec/stagePlanRef/name")}) != nullptr;
    const auto written = applier_.ApplyStatus(common::kSiteClasses, *object,
                                              BuildStatus(*object, facts, clock_.Wall()));
    return written.ok() ? reconcile::Result::Done() : reconcile::Result::Retry(written.status());
  }

 private:
  cache::Store& classes_;
  cache::Store& sites_;
  cache::Store& plans_;
  base::Clock& clock_;
  common::Applier applier_;
};

}  // namespace

void Register(runtime::Manager& manager, const Deps& deps) {
  manager.AddIndex(common::kSites, kByClass, [](const meta::Object& site) {
    return std::vector<std::string>{At(site, "/spec/classRef/name")};
  });
  const cache::Store* classes = &manager.StoreOf(common::kSiteClasses);
  manager
      .NewController("siteclass", common::kSiteClasses,
                     std::make_shared<SiteClassReconciler>(manager, deps))
      .Watches(common::kSites,
               [](const cache::Event& event) {
                 std::vector<meta::Key> keys;
                 // A Site's status changes often and its class never with it.
                 if (!runtime::SpecChanged(event)) return keys;
                 for (const meta::ObjectPtr& site : {event.before, event.after}) {
                   if (site != nullptr) keys.push_back({"", At(*site, "/spec/classRef/name")});
                 }
                 return keys;
               })
      .Watches(common::kStagePlans, [classes](const cache::Event& event) {
        std::vector<meta::Key> keys;
        const meta::Object& plan = event.after != nullptr ? *event.after : *event.before;
        for (const meta::ObjectPtr& object : classes->List()) {
          if (At(*object, "/spec/stagePlanRef/name") == plan.name()) keys.push_back(object->key());
        }
        return keys;
      });
}

}  // namespace sluice::siteclass
