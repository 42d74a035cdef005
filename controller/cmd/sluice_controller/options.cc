#include "controller/cmd/sluice_controller/options.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>

#include <algorithm>
#include <charconv>

#include "controller/meta/names.h"

namespace sluice::controller_main {

using base::InvalidArgument;
using base::Status;
using base::StatusOr;

namespace {

struct Flag {
  const char* name;
  const char* value;  // what it takes, for people; nullptr: nothing
  const char* help;
  std::function<Status(Options&, const std::string&)> set;
};

Status Text(std::string& target, const std::string& value) {
  target = value;
  return base::OkStatus();
}

StatusOr<long> Number(const std::string& value, long low, long high) {
  long number = 0;
  const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), number);
  if (error != std::errc() || end != value.data() + value.size() || number < low || number > high) {
    return InvalidArgument(
        fmt::format("takes a number from {} to {}, not \"{}\"", low, high, value));
  }
  return number;
}

Status Seconds(std::chrono::seconds& target, const std::string& value, long low, long high) {
  SLUICE_ASSIGN_OR_RETURN(const long number, Number(value, low, high));
  target = std::chrono::seconds(number);
  return base::OkStatus();
}

Status Bytes(std::uint64_t& target, const std::string& value) {
  SLUICE_ASSIGN_OR_RETURN(const long number, Number(value, 0, 1L << 50));
  target = static_cast<std::uint64_t>(number);
  return base::OkStatus();
}

Status Bool(bool& target, const std::string& value) {
  if (value != "true" && value != "false") {
    return InvalidArgument("takes true or false, not \"" + value + "\"");
  }
  target = value == "true";
  return base::OkStatus();
}

// "host:port"; empty where it may be left out.
Status Address(std::string& target, const std::string& value, bool may_be_empty) {
  const std::size_t colon = value.rfind(':');
  const bool empty_ok = value.empty() && may_be_empty;
  if (!empty_ok && (colon == std::string::npos || colon == 0 ||
                    !Number(value.substr(colon + 1), 0, 65535).ok())) {
    return InvalidArgument("takes HOST:PORT, not \"" + value + "\"");
  }
  target = value;
  return base::OkStatus();
}

// As others reach it: a listener may take port 0, nobody connects to it.
Status Endpoint(std::string& target, const std::string& value) {
  SLUICE_RETURN_IF_ERROR(Address(target, value, true));
  if (value.empty() || Number(value.substr(value.rfind(':') + 1), 1, 65535).ok()) {
    return base::OkStatus();
  }
  return InvalidArgument("takes HOST:PORT with a port from 1 to 65535, not \"" + value + "\"");
}

Status ObjectName(std::string& target, const std::string& value) {
  if (const Status status = meta::CheckDns1123Subdomain(value); !status.ok()) {
    return InvalidArgument("takes an object's name, not " + status.message());
  }
  return Text(target, value);
}

// Without the Lease's name there is no Lease, and so no leader: that has a flag of its own.
Status LeaseName(std::string& target, const std::string& value) {
  if (value.empty()) {
    return InvalidArgument(
        "takes an object's name, not \"\"; --leader-elect=false is how to elect no leader");
  }
  return ObjectName(target, value);
}

// The name of a namespace or a Service: an object's name of one part.
Status LabelName(std::string& target, const std::string& value) {
  if (value.size() > 63 || value.find('.') != std::string::npos) {
    return InvalidArgument("takes a name without dots, at most 63 characters, not \"" +
                           value.substr(0, 80) + "\"");
  }
  return ObjectName(target, value);
}

// The kubelet reads the rest; white space would make a pod that the API server refuses.
Status Image(std::string& target, const std::string& value) {
  const bool good = !value.empty() && std::all_of(value.begin(), value.end(), [](unsigned char c) {
    return c > ' ' && c != 0x7f;
  });
  if (!good) {
    return InvalidArgument(
        "takes an image's reference, which has neither white space nor control characters");
  }
  return Text(target, value);
}

// Of a page that asks nobody who they are: an address of loopback, as digits (a name may mean
// more).
Status LoopbackAddress(std::string& target, const std::string& value) {
  SLUICE_RETURN_IF_ERROR(Address(target, value, true));
  const std::string host = value.substr(0, value.rfind(':'));
  in_addr four{};
  in6_addr six{};
  const bool loopback =
      value.empty() ||
      (inet_pton(AF_INET, host.c_str(), &four) == 1 && ntohl(four.s_addr) >> 24 == 127) ||
      (host.size() > 2 && host.front() == '[' && host.back() == ']' &&
       inet_pton(AF_INET6, host.substr(1, host.size() - 2).c_str(), &six) == 1 &&
       IN6_IS_ADDR_LOOPBACK(&six));
  return loopback ? base::OkStatus()
                  : InvalidArgument("takes an address of loopback (127.0.0.1:8082), not \"" +
                                    value + "\": the page asks nobody who they are");
}

// A host, with or without a port: what a gate's URL is compared with, so a URL never matches.
Status GateHost(std::vector<std::string>& target, const std::string& value) {
  const bool good = !value.empty() && value.find_first_not_of(
                                          "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                          "0123456789.-:[]") == std::string::npos;
  if (!good) return InvalidArgument("takes HOST or HOST:PORT, not \"" + value + "\"");
  target.push_back(value);
  return base::OkStatus();
}

Status Level(base::log::Level& target, const std::string& value) {
  using base::log::Level;
  for (const auto& [name, level] : {std::pair("debug", Level::kDebug),
                                    {"info", Level::kInfo},
                                    {"warn", Level::kWarn},
                                    {"error", Level::kError}}) {
    if (value == name) {
      target = level;
      return base::OkStatus();
    }
  }
  return InvalidArgument("takes debug, info, warn or error, not \"" + value + "\"");
}

Status Format(base::log::Format& target, const std::string& value) {
  if (value != "json" && value != "text") {
    return InvalidArgument("takes json or text, not \"" + value + "\"");
  }
  target = value == "json" ? base::log::Format::kJson : base::log::Format::kText;
  return base::OkStatus();
}

// Names that may stand in the record's list.
Status Lineage(std::string& target, const std::string& value) {
  const bool good = !value.empty() && value.size() <= 63 &&
                    value.find_first_not_of(
                        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                        "0123456789-._") == std::string::npos;
  if (!good) {
    return InvalidArgument("takes letters, digits, '-', '.' and '_', at most 63, not \"" + value +
                           "\"");
  }
  return Text(target, value);
}

// The API server wants a path below the kubelet's folder.
Status ProfilePath(std::string& target, const std::string& value) {
  if (value.starts_with('/') || value.find("..") != std::string::npos) {
    return InvalidArgument("takes a path below the kubelet's folder of profiles, not \"" + value +
                           "\"");
  }
  return Text(target, value);
}

Status PullPolicy(std::string& target, const std::string& value) {
  if (value != "IfNotPresent" && value != "Always" && value != "Never") {
    return InvalidArgument("takes IfNotPresent, Always or Never, not \"" + value + "\"");
  }
  return Text(target, value);
}

const std::vector<Flag>& Flags() {
  using O = Options;
  using S = const std::string&;
  static const std::vector<Flag> flags = {
      {"kubeconfig", "FILE", "the cluster; default $KUBECONFIG, in-cluster, ~/.kube/config",
       [](O& o, S v) { return Text(o.kubeconfig, v); }},
      {"namespace", "NAME", "of this controller; default the pod's",
       [](O& o, S v) {
         return v.empty() ? Text(o.namespace_name, v) : LabelName(o.namespace_name, v);
       }},
      {"identity", "NAME", "of this replica in the Lease; default host name and random bytes",
       [](O& o, S v) { return Text(o.identity, v); }},
      {"leader-elect", "BOOL", "elect a leader by Lease (true)",
       [](O& o, S v) { return Bool(o.leader_elect, v); }},
      {"lease-name", "NAME",
       "of the Lease, never empty: --leader-elect=false has none (sluice-controller)",
       [](O& o, S v) { return LeaseName(o.lease_name, v); }},
      {"lease-duration-seconds", "N", "others wait this long for a silent leader (15)",
       [](O& o, S v) { return Seconds(o.lease_duration, v, 2, 3600); }},
      {"renew-deadline-seconds", "N", "a leader that could not renew for this long stops (10)",
       [](O& o, S v) { return Seconds(o.renew_deadline, v, 1, 3600); }},
      {"retry-period-seconds", "N", "between two looks at the Lease (2)",
       [](O& o, S v) { return Seconds(o.retry_period, v, 1, 3600); }},
      {"metrics-address", "HOST:PORT", "of /metrics; empty for none (0.0.0.0:8080)",
       [](O& o, S v) { return Address(o.metrics_address, v, true); }},
      {"health-address", "HOST:PORT", "of /healthz and /readyz; empty for none (0.0.0.0:8081)",
       [](O& o, S v) { return Address(o.health_address, v, true); }},
      {"debug-address", "HOST:PORT", "of /debug, on loopback alone; empty for none (none)",
       [](O& o, S v) { return LoopbackAddress(o.debug_address, v); }},
      {"control-address", "HOST:PORT", "agents' streams, mTLS (0.0.0.0:9443)",
       [](O& o, S v) { return Address(o.control_address, v, false); }},
      {"enrolment-address", "HOST:PORT", "agents' enrolment, server TLS (0.0.0.0:9444)",
       [](O& o, S v) { return Address(o.enrolment_address, v, false); }},
      {"agent-service", "NAME", "headless Service of all replicas (sluice-controller-agents)",
       [](O& o, S v) { return LabelName(o.agent_service, v); }},
      {"control-endpoint", "HOST:PORT", "as agents reach it, where the Service does not do",
       [](O& o, S v) { return Endpoint(o.control_endpoint, v); }},
      {"enrolment-endpoint", "HOST:PORT", "as agents reach it, where the Service does not do",
       [](O& o, S v) { return Endpoint(o.enrolment_endpoint, v); }},
      {"agent-image", "IMAGE", "of agents whose Site names no release",
       [](O& o, S v) { return Image(o.agent_image, v); }},
      {"agent-image-pull-policy", "POLICY", "IfNotPresent, Always or Never (IfNotPresent)",
       [](O& o, S v) { return PullPolicy(o.agent_pull_policy, v); }},
      {"agent-image-pull-secret", "NAME", "in each site's namespace; repeatable",
       [](O& o, S v) { return ObjectName(o.agent_pull_secrets.emplace_back(), v); }},
      {"agent-seccomp-profile", "FILE", "of the nodes' kubelets (the runtime's default)",
       [](O& o, S v) { return ProfilePath(o.agent_seccomp_profile, v); }},
      {"external-gate-host", "HOST[:PORT]", "that external gates may ask; repeatable (none)",
       [](O& o, S v) { return GateHost(o.external_gates, v); }},
      {"external-gate-ca-file", "FILE", "PEM of who signs their certificates (the system's roots)",
       [](O& o, S v) { return Text(o.external_gate_ca_file, v); }},
      {"alertmanager-address", "HOST:PORT", "of the receiver of alerts; empty for none (none)",
       [](O& o, S v) { return Address(o.alertmanager_address, v, true); }},
      {"alertmanager-token-file", "FILE", "with the bearer token that Alertmanager sends",
       [](O& o, S v) { return Text(o.alertmanager_token_file, v); }},
      {"agent-certificate-seconds", "N", "life of an agent's certificate (86400)",
       [](O& o, S v) { return Seconds(o.agent_certificate, v, 10, 31536000); }},
      {"audit-directory", "FOLDER", "of the audit log's files; empty for none (none)",
       [](O& o, S v) { return Text(o.audit_directory, v); }},
      {"audit-stdout", "BOOL", "audit log to standard output (true)",
       [](O& o, S v) { return Bool(o.audit_stdout, v); }},
      {"audit-file-bytes", "N", "of one audit file; a larger one is rotated; 0: never (67108864)",
       [](O& o, S v) { return Bytes(o.audit_retention.file_bytes, v); }},
      {"audit-keep-bytes", "N", "of all audit files; the oldest go beyond; 0: all stay (0)",
       [](O& o, S v) { return Bytes(o.audit_retention.keep_bytes, v); }},
      {"audit-keep-days", "N", "audit files that are older go; 0: all stay (0)",
       [](O& o, S v) -> Status {
         SLUICE_ASSIGN_OR_RETURN(const long days, Number(v, 0, 36500));
         o.audit_retention.keep_age = std::chrono::hours(24 * days);
         return base::OkStatus();
       }},
      {"workers", "N", "of each controller (4)",
       [](O& o, S v) -> Status {
         SLUICE_ASSIGN_OR_RETURN(const long number, Number(v, 1, 64));
         o.workers = static_cast<int>(number);
         return base::OkStatus();
       }},
      {"log-format", "FORMAT", "json or text (text)",
       [](O& o, S v) { return Format(o.log_format, v); }},
      {"log-level", "LEVEL", "debug, info, warn or error (info)",
       [](O& o, S v) { return Level(o.log_level, v); }},
      {"start-lineage", "NAME", "do not run: let agents follow a record that was lost or restored",
       [](O& o, S v) { return Lineage(o.start_lineage, v); }},
      {"supersedes", "NAME", "with --start-lineage: one that agents are of; repeatable",
       [](O& o, S v) -> Status { return Lineage(o.supersedes.emplace_back(), v); }},
      {"reason", "TEXT", "with --start-lineage: why; it is recorded",
       [](O& o, S v) { return Text(o.reason, v); }},
      {"version", nullptr, "print the version and end",
       [](O& o, S) {
         o.version = true;
         return base::OkStatus();
       }},
      {"help", nullptr, "print this and end",
       [](O& o, S) {
         o.help = true;
         return base::OkStatus();
       }},
  };
  return flags;
}

const Flag* Find(const std::string& name) {
  for (const Flag& flag : Flags()) {
    if (name == flag.name) return &flag;
  }
  return nullptr;
}

Status CheckTogether(const Options& options) {
  if (options.retry_period >= options.renew_deadline ||
      options.renew_deadline >= options.lease_duration) {
    return InvalidArgument(
        "--retry-period-seconds, --renew-deadline-seconds and --lease-duration-seconds must rise "
        "in this order");
  }
  if (options.start_lineage.empty() && (!options.supersedes.empty() || !options.reason.empty())) {
    return InvalidArgument("--supersedes and --reason go with --start-lineage only");
  }
  if (!options.start_lineage.empty() && options.reason.empty()) {
    return InvalidArgument("--start-lineage needs --reason, which is recorded");
  }
  if (options.alertmanager_address.empty() != options.alertmanager_token_file.empty()) {
    return InvalidArgument(
        "--alertmanager-address and --alertmanager-token-file go together: alerts open incidents, "
        "so whoever sends them is asked for a token");
  }
  if (options.audit_directory.empty() && !options.audit_stdout) {
    return InvalidArgument(
        "--audit-stdout=false needs --audit-directory: the log must go somewhere");
  }
  const audit::Retention& keep = options.audit_retention;
  if (keep.keep_bytes != 0 && (keep.file_bytes == 0 || keep.keep_bytes < 2 * keep.file_bytes)) {
    return InvalidArgument(
        "--audit-keep-bytes must be at least twice --audit-file-bytes: whole files go, and never "
        "the one being written");
  }
  return base::OkStatus();
}

}  // namespace

StatusOr<Options> ParseOptions(const std::vector<std::string>& arguments) {
  Options options;
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    const std::string& word = arguments[i];
    if (word == "-h") {
      options.help = true;
      continue;
    }
    if (word.rfind("--", 0) != 0) return InvalidArgument("takes no arguments: " + word);
    const std::size_t equal = word.find('=');
    const std::string name = word.substr(2, equal == std::string::npos ? equal : equal - 2);
    const Flag* flag = Find(name);
    if (flag == nullptr) return InvalidArgument("no such flag: --" + name + "; see --help");
    std::string value;
    if (equal != std::string::npos) {
      if (flag->value == nullptr) return InvalidArgument("--" + name + " takes no value");
      value = word.substr(equal + 1);
    } else if (flag->value != nullptr) {
      if (++i == arguments.size()) {
        return InvalidArgument(fmt::format("--{} needs {}", name, flag->value));
      }
      value = arguments[i];
    }
    if (const Status status = flag->set(options, value); !status.ok()) {
      return InvalidArgument("--" + name + " " + status.message());
    }
  }
  SLUICE_RETURN_IF_ERROR(CheckTogether(options));
  return options;
}

std::string HelpText() {
  std::string out =
      "sluice-controller: the control plane of Sluice. It runs in a cluster, or beside one with\n"
      "--kubeconfig.\n\nFlags (--name=value or --name value):\n";
  for (const Flag& flag : Flags()) {
    const std::string left = fmt::format("--{}{}{}", flag.name, flag.value == nullptr ? "" : " ",
                                         flag.value == nullptr ? "" : flag.value);
    out += fmt::format("  {:<38} {}\n", left, flag.help);
  }
  out +=
      "\nExit code: 0 after SIGTERM or SIGINT, 1 when the lead was lost or something failed, "
      "2 for a\nwrong flag or configuration.\n";
  return out;
}

}  // namespace sluice::controller_main
