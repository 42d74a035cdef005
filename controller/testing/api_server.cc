#include "controller/testing/api_server.h"

#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "controller/base/file.h"
#include "controller/testing/command.h"

namespace sluice::testing_kit {

using base::Status;
using base::StatusOr;

namespace {

// Tests run in the source root (sluice_test).
std::string LocalBin() {
  const char* named = std::getenv("SLUICE_LOCAL_BIN");
  return named != nullptr ? named : "build/local/bin";
}

Status AsStatus(const StatusOr<std::string>& result) {
  return result.ok() ? base::OkStatus() : result.status();
}

}  // namespace

StatusOr<std::unique_ptr<ApiServer>> ApiServer::Start(const ApiServerOptions& options) {
  std::string folder = (std::filesystem::temp_directory_path() / "sluice-api-XXXXXX").string();
  if (mkdtemp(folder.data()) == nullptr) return base::FromErrno(errno, "mkdtemp");
  std::vector<std::string> up = {
      "deploy/local/cluster",   "up",    "--state", folder, "--profile", "api", "--owner-pid",
      std::to_string(getpid()), "--bin", LocalBin()};
  if (options.controller_manager) up.push_back("--controller-manager");
  for (const auto& user : options.users) {
    up.push_back("--token-user");
    up.push_back(user);
  }
  std::unique_ptr<ApiServer> server(new ApiServer(folder));
  SLUICE_RETURN_IF_ERROR(AsStatus(RunCommand(up, "", std::chrono::seconds(200))));
  if (!options.crds.empty()) {
    SLUICE_RETURN_IF_ERROR(
        AsStatus(server->Kubectl({"apply", "--server-side", "-f", options.crds})));
    SLUICE_RETURN_IF_ERROR(AsStatus(server->Kubectl(
        {"wait", "--for=condition=Established", "--timeout=30s", "-f", options.crds})));
  }
  return server;
}

ApiServer::~ApiServer() {
  const auto down = RunCommand({"deploy/local/cluster", "down", "--state", state_});
  std::error_code ignored;  // a leftover is found and cleared by the next cluster's `up`
  if (down.ok()) std::filesystem::remove_all(state_, ignored);
}

std::string ApiServer::token(const std::string& user) const {
  auto text = base::ReadFile(state_ + "/tokens/" + user);
  if (!text.ok()) return "";
  while (!text->empty() && text->back() == '\n') text->pop_back();
  return *text;
}

StatusOr<std::string> ApiServer::Kubectl(std::vector<std::string> args,
                                         const std::string& input) const {
  args.insert(args.begin(), {LocalBin() + "/kubectl", "--kubeconfig", kubeconfig()});
  return RunCommand(args, input);
}

Status ApiServer::Apply(const std::string& objects) const {
  return AsStatus(Kubectl({"apply", "--server-side", "-f", "-"}, objects));
}

Status ApiServer::StopComponent(const std::string& name, const std::string& signal) {
  return AsStatus(
      RunCommand({"deploy/local/cluster", "stop", "--state", state_, "--signal", signal, name}));
}

Status ApiServer::StartComponent(const std::string& name) {
  return AsStatus(RunCommand({"deploy/local/cluster", "start", "--state", state_, name}));
}

StatusOr<std::vector<std::string>> ApiServer::Writes() const {
  std::ifstream log(state_ + "/logs/audit.log");
  if (!log) return base::NotFound("no audit log in " + state_);
  std::vector<std::string> out;
  for (std::string line; std::getline(log, line);) {
    const auto event = nlohmann::json::parse(line, nullptr, false);
    if (!event.is_object() || event.value("stage", "") != "ResponseComplete") continue;
    const auto about = event.value("objectRef", nlohmann::json::object());
    const std::string part = about.value("subresource", "");
    const std::string uri = event.value("requestURI", "");
    const std::size_t at = uri.find("fieldManager=");
    const std::string manager =
        at == std::string::npos ? "-" : uri.substr(at + 13, uri.find('&', at) - at - 13);
    out.push_back(event["user"].value("username", "") + " " + event.value("verb", "") + " " +
                  about.value("resource", "") + (part.empty() ? "" : "/" + part) + " " +
                  about.value("namespace", "") + "/" + about.value("name", "") + " " + manager);
  }
  return out;
}

}  // namespace sluice::testing_kit
