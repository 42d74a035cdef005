#include "tests/integration/controller/world.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <sstream>

#include "controller/base/file.h"
#include "controller/client/config.h"
#include "controller/http/client.h"
#include "controller/testing/wait.h"

extern char** environ;

namespace sluice::integration {

using base::Status;
using base::StatusOr;
using nlohmann::json;

namespace {

const meta::Resource kLeases{"coordination.k8s.io", "v1", "Lease", "leases", true};

std::string Binary() {
  const char* build = std::getenv("SLUICE_BUILD_DIR");
  return std::string(build != nullptr ? build : "build/debug") + "/bin/sluice-controller";
}

// The admin's kubeconfig with the controller's token instead of the admin's credentials.
Status WriteControllerKubeconfig(const testing_kit::ApiServer& server, const std::string& path) {
  SLUICE_ASSIGN_OR_RETURN(const std::string text,
                          server.Kubectl({"config", "view", "--raw", "-o", "json"}));
  json config = json::parse(text);
  for (json& user : config["users"]) user["user"] = {{"token", server.token(kUser)}};
  return base::WriteFileAtomic(path, config.dump(), 0600);
}

constexpr const char* kBindings = R"(
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: sluice-controller}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: sluice-controller}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: "USER"}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: sluice-controller, namespace: sluice-system}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: sluice-controller}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: "USER"}]
)";

}  // namespace

Replica::Replica(const std::string& name, const std::string& folder, const std::string& kubeconfig,
                 std::vector<std::string> extra_flags)
    : log_path_(folder + "/" + name + ".log") {
  std::vector<std::string> argv = {Binary(),
                                   "--kubeconfig=" + kubeconfig,
                                   "--namespace=" + std::string(kNamespace),
                                   "--identity=" + name,
                                   "--metrics-address=127.0.0.1:0",
                                   "--health-address=127.0.0.1:0",
                                   "--control-address=127.0.0.1:0",
                                   "--enrolment-address=127.0.0.1:0",
                                   "--lease-duration-seconds=4",
                                   "--renew-deadline-seconds=3",
                                   "--retry-period-seconds=1"};
  for (auto& flag : extra_flags) argv.push_back(std::move(flag));
  std::vector<char*> args;
  for (auto& arg : argv) args.push_back(arg.data());
  args.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, 2, log_path_.c_str(), O_WRONLY | O_CREAT | O_TRUNC,
                                   0600);
  SLUICE_CHECK(posix_spawn(&pid_, args[0], &actions, nullptr, args.data(), environ) == 0);
  posix_spawn_file_actions_destroy(&actions);
}

Replica::~Replica() {
  if (running()) Signal(SIGKILL);
  WaitExit();
}

void Replica::Signal(int number) {
  if (!ended_) kill(pid_, number);
}

bool Replica::running() {
  if (!ended_ && waitpid(pid_, &status_, WNOHANG) == pid_) ended_ = true;
  return !ended_;
}

int Replica::WaitExit() {
  if (!testing_kit::WaitUntil([this] { return !running(); }, std::chrono::seconds(40))) return -1;
  return WIFEXITED(status_) ? WEXITSTATUS(status_) : -1;
}

std::string Replica::Log() const {
  std::ifstream file(log_path_);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

int Replica::Logged(const std::string& key) const {
  const std::string log = Log();
  const std::size_t at = log.find(" " + key + "=");
  return at == std::string::npos ? 0 : std::atoi(log.c_str() + at + key.size() + 2);
}

// The port is what the process logged: page="health address" port=NNNN.
std::string Replica::Fetch(const char* page, const std::string& path) const {
  const std::string log = Log();
  const std::string wanted = std::string("page=\"") + page + "\" port=";
  const std::size_t at = log.find(wanted);
  if (at == std::string::npos) return "";
  const std::string port = log.substr(at + wanted.size(), log.find('\n', at) - at - wanted.size());
  http::ClientOptions options;
  options.base_url = "http://127.0.0.1:" + port;
  auto client = http::Client::New(options);
  if (!client.ok()) return "";
  http::Request request;
  request.target = path;
  const auto answer = (*client)->Do(request);
  return answer.ok() && answer->status == 200 ? answer->body : "";
}

std::string Replica::Page(const std::string& path) const { return Fetch("health address", path); }
std::string Replica::Metrics() const { return Fetch("metrics address", "/metrics"); }

double Sum(const std::string& page, const std::string& family, const std::string& labels) {
  std::istringstream lines(page);
  double sum = 0;
  for (std::string line; std::getline(lines, line);) {
    if (line.rfind(family, 0) != 0 || line.find(labels) == std::string::npos) continue;
    if (line[family.size()] != '{' && line[family.size()] != ' ') continue;
    sum += std::strtod(line.substr(line.rfind(' ') + 1).c_str(), nullptr);
  }
  return sum;
}

StatusOr<std::unique_ptr<World>> World::Make() {
  auto world = std::make_unique<World>();
  testing_kit::ApiServerOptions options;
  options.users = {kUser};
  options.crds = "deploy/crds";
  SLUICE_ASSIGN_OR_RETURN(world->server_, testing_kit::ApiServer::Start(options));
  testing_kit::ApiServer& server = *world->server_;
  SLUICE_RETURN_IF_ERROR(server.Apply(
      R"({"apiVersion":"v1","kind":"Namespace","metadata":{"name":"sluice-system"}})"));
  const auto cluster_role =
      server.Kubectl({"apply", "--server-side", "-f", "deploy/manifests/rbac/clusterrole.yaml"});
  if (!cluster_role.ok()) return cluster_role.status();
  const auto role = server.Kubectl({"apply", "--server-side", "--namespace", kNamespace, "-f",
                                    "deploy/manifests/rbac/role.yaml"});
  if (!role.ok()) return role.status();
  std::string bindings = kBindings;
  for (std::size_t at; (at = bindings.find("USER")) != std::string::npos;) {
    bindings.replace(at, 4, kUser);
  }
  SLUICE_RETURN_IF_ERROR(server.Apply(bindings));
  SLUICE_RETURN_IF_ERROR(WriteControllerKubeconfig(server, world->controller_kubeconfig()));
  SLUICE_ASSIGN_OR_RETURN(const auto config, client::LoadKubeconfig(server.kubeconfig()));
  SLUICE_ASSIGN_OR_RETURN(world->client_, client::NewClient(config));
  return world;
}

json World::Get(const meta::Resource& resource, const std::string& ns, const std::string& name) {
  const auto object = client_->Get(resource, {ns, name});
  return object.ok() ? (*object)->ToJson() : json();
}

json World::Condition(const meta::Resource& resource, const std::string& name,
                      const std::string& type) {
  const json object = Get(resource, "", name);
  if (!object.is_object() || !object.contains("status")) return json();
  for (const json& condition : object["status"].value("conditions", json::array())) {
    if (condition["type"] == type) return condition;
  }
  return json();
}

std::string World::Holder() {
  const json lease = Get(kLeases, kNamespace, "sluice-controller");
  return lease.is_object() ? lease["spec"].value("holderIdentity", "") : "";
}

std::vector<std::string> World::WriteLog() {
  std::vector<std::string> out;
  const auto writes = server_->Writes();
  if (!writes.ok()) return out;
  for (const auto& line : *writes) {
    if (line.rfind(std::string(kUser) + " ", 0) == 0 &&
        line.find(" leases ") == std::string::npos) {
      out.push_back(line.substr(std::string(kUser).size() + 1));
    }
  }
  return out;
}

int World::WritesOfController() { return static_cast<int>(WriteLog().size()); }

}  // namespace sluice::integration
