// What the controller's flags say. Pure: no files, no environment but what is passed in.
#pragma once

#include <chrono>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "controller/base/log.h"
#include "controller/base/status.h"
#include "reconcilers/audit/retention.h"

namespace sluice::controller_main {

struct Options {
  std::string kubeconfig;      // empty: $KUBECONFIG, in-cluster, ~/.kube/config
  std::string namespace_name;  // empty: the pod's, else the kubeconfig's, else "sluice"
  std::string identity;        // empty: host name and random bytes
  bool leader_elect = true;
  std::string lease_name = "sluice-controller";
  std::chrono::seconds lease_duration{15};
  std::chrono::seconds renew_deadline{10};
  std::chrono::seconds retry_period{2};
  std::string metrics_address = "0.0.0.0:8080";
  std::string health_address = "0.0.0.0:8081";
  std::string debug_address;
  std::string control_address = "0.0.0.0:9443";
  std::string enrolment_address = "0.0.0.0:9444";
  // As agents reach them; empty: the headless Service NAME.NAMESPACE.svc with the ports above.
  std::string agent_service = "sluice-controller-agents";
  std::string control_endpoint;
  std::string enrolment_endpoint;
  std::string agent_image = "sluice/sluice-agent:latest";
  std::string agent_pull_policy = "IfNotPresent";
  std::vector<std::string> agent_pull_secrets;
  std::string agent_seccomp_profile;  // of the nodes' kubelets; empty: the runtime's default
  std::chrono::seconds agent_certificate{24 * 3600};
  std::string audit_directory;  // empty: no files
  bool audit_stdout = true;
  audit::Retention audit_retention{
      .file_bytes = 64u << 20, .keep_bytes = 0, .keep_age = base::Duration(0)};
  std::vector<std::string> external_gates;  // hosts that external gates may ask
  std::string external_gate_ca_file;        // who signs their certificates; empty: system's roots
  std::string alertmanager_address;         // of the receiver of alerts; empty: none
  std::string alertmanager_token_file;      // the bearer token it asks for
  int workers = 4;
  base::log::Format log_format = base::log::Format::kText;
  base::log::Level log_level = base::log::Level::kInfo;

  // Instead of running: start a new lineage of the agents' record (lineage.h), and end.
  std::string start_lineage;
  std::vector<std::string> supersedes;
  std::string reason;

  bool help = false;
  bool version = false;
};

// Errors: InvalidArgument, one line naming the flag and what it takes.
base::StatusOr<Options> ParseOptions(const std::vector<std::string>& arguments);

std::string HelpText();

}  // namespace sluice::controller_main
