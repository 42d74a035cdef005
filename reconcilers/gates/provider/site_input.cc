#include "reconcilers/gates/provider/site_input.h"

#include "api/v1alpha1/service_level_objective.pb.h"
#include "api/v1alpha1/site.pb.h"
#include "reconcilers/common/decode.h"
#include "reconcilers/gates/objects/convert.h"

namespace sluice::gates {

GatherInput SiteInput(const std::string& name, const v1alpha1::Site& site, const std::string& stage,
                      const std::vector<Gate>& gates, const Source& source,
                      const PeopleObjects& people, const cache::Store& objectives) {
  GatherInput input;
  input.gates = gates;
  input.site = name;
  input.scrape_interval = source.scrape_interval;
  input.misconfigured = source.misconfigured;
  input.provider_error = source.error;
  input.stage = stage;
  input.readiness = ReadinessOf(people, name, stage);
  input.incidents = IncidentsOf(people, name);
  input.capacity.ready_agents = site.status().agents().ready();
  for (const Gate& gate : gates) {
    if (gate.slo_template.empty() || input.slos.count(gate.slo_template) != 0) continue;
    const std::string objective = name + "-" + gate.slo_template;
    const meta::ObjectPtr slo = objectives.Get({"", objective});
    if (slo == nullptr) continue;
    const auto decoded = common::Decode<v1alpha1::ServiceLevelObjective>(*slo);
    input.slos.emplace(gate.slo_template,
                       decoded.ok() ? SloFrom(objective, (*decoded)->spec(), source.scrape_interval)
                                    : base::StatusOr<Slo>(decoded.status()));
  }
  return input;
}

}  // namespace sluice::gates
