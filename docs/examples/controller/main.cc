// A whole controller: fills a Template's text with its values into a ConfigMap of the same name,
// keeps that so, and says in the condition Ready whether it could. README.md tells the rest.
#include <cstdio>
#include <nlohmann/json.hpp>

#include "controller/client/apply.h"
#include "controller/client/config.h"
#include "controller/meta/condition.h"
#include "controller/meta/owner.h"
#include "controller/runtime/manager.h"
#include "controller/runtime/process.h"

using namespace sluice;
using nlohmann::json;

const meta::Resource kTemplates{"example.com", "v1", "Template", "templates", true};
const meta::Resource kConfigMaps{"", "v1", "ConfigMap", "configmaps", true};
const runtime::StoreOptions kOurs{.label_selector = "example.com/made-by=template-controller"};

// spec.text with each ${name} replaced by its spec.values. Pure, as what decides should be.
base::StatusOr<std::string> Render(const json& spec) {
  std::string text = spec.at("text");
  const json values = spec.value("values", json::object());
  for (std::size_t at = 0; (at = text.find("${", at)) != std::string::npos;) {
    const std::size_t end = text.find('}', at);
    if (end == std::string::npos) return base::InvalidArgument("spec.text has ${ without }");
    const std::string name = text.substr(at + 2, end - at - 2);
    if (!values.contains(name)) return base::InvalidArgument("spec.values has no " + name);
    const std::string value = values[name];
    text.replace(at, end + 1 - at, value);
    at += value.size();
  }
  return text;
}

class TemplateReconciler final : public reconcile::Reconciler {
 public:
  TemplateReconciler(runtime::Manager& manager, base::Clock& clock)
      : templates_(manager.StoreOf(kTemplates)),
        config_maps_(manager.StoreOf(kConfigMaps, kOurs)),
        api_(manager.fenced_client()),  // fails what is written without the lead
        clock_(clock) {}

  reconcile::Result Reconcile(const reconcile::Request& request, std::stop_token) override {
    const meta::ObjectPtr object = templates_.Get(request.key);
    // What it owned goes with it: the garbage collector follows the owner reference.
    if (object == nullptr || object->deleting()) return reconcile::Result::Done();
    const base::Status made = MakeConfigMap(*object);
    const base::Status told = Tell(*object, made);
    return reconcile::Result::Of(told.ok() ? made : told);
  }

 private:
  base::Status MakeConfigMap(const meta::Object& object) {
    SLUICE_ASSIGN_OR_RETURN(const std::string text, Render(object.ToJson().at("spec")));
    const json owner = meta::MakeControllerReference(kTemplates, object);
    json wanted = {{"data", {{"text", text}}}};
    wanted["metadata"] = {{"name", object.name()}, {"namespace", object.ns()}};
    wanted["metadata"]["labels"] = {{"example.com/made-by", "template-controller"}};
    wanted["metadata"]["ownerReferences"] = json::array({owner});
    const meta::ObjectPtr live = config_maps_.Get(object.key());
    return client::ApplyIfDifferent(api_, kConfigMaps, wanted, live, "template");
  }

  base::Status Tell(const meta::Object& object, const base::Status& made) {
    const auto reason = made.ok() ? "Rendered" : base::CodeName(made.code());
    const meta::Condition ready{"Ready", made.ok() ? "True" : "False", reason, made.message()};
    const json condition = meta::ConditionFor(object, ready, clock_.Wall());
    const json status = {{"conditions", json::array({condition})}};
    return client::ApplyStatusIfDifferent(api_, kTemplates, object, status, "template");
  }

  const cache::Store& templates_;
  const cache::Store& config_maps_;
  client::Client& api_;
  base::Clock& clock_;
};

base::Status Run(runtime::Options options, std::stop_token stop) {
  SLUICE_ASSIGN_OR_RETURN(const auto config, client::DefaultConfig(client::Search::kPodFirst));
  base::RealClock clock;
  options.lease_namespace = config.ns.empty() ? "default" : config.ns;
  SLUICE_ASSIGN_OR_RETURN(const auto manager, runtime::Manager::New(options, config, clock));
  const auto reconciler = std::make_shared<TemplateReconciler>(*manager, clock);
  manager->NewController("template", kTemplates, reconciler).Owns(kConfigMaps, kOurs);
  return manager->Run(stop);
}

int main(int argc, char** argv) {
  constexpr const char* kUsage = "template-controller [METRICS_HOST:PORT [HEALTH_HOST:PORT]]";
  if (argc > 1 && argv[1][0] == '-') return std::puts(kUsage) < 0 ? 1 : 2;
  const runtime::StopSignals signals;
  runtime::Options options{"example.com/template-controller", runtime::MakeIdentity()};
  options.lease_name = "template-controller";
  if (argc > 1) options.metrics_address = argv[1];
  if (argc > 2) options.health_address = argv[2];
  const base::Status status = Run(options, signals.token());
  if (!status.ok()) std::fprintf(stderr, "template-controller: %s\n", status.ToString().c_str());
  return status.ok() ? 0 : 1;
}
