// One API server for the whole test binary and controller processes beside it, each running as a
// user that has exactly the shipped ClusterRole and Role.
//
// Thread rule: one thread. Everything is taken down by destructors.
#pragma once

#include <sys/types.h>

#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "controller/client/client.h"
#include "controller/testing/api_server.h"

namespace sluice::integration {

inline constexpr const char* kUser = "sluice-controller";
inline constexpr const char* kNamespace = "sluice-system";

// Sum of a family's series that contain `labels`, in the text of /metrics.
double Sum(const std::string& page, const std::string& family, const std::string& labels = "");

// A running sluice-controller.
class Replica {
 public:
  Replica(const std::string& name, const std::string& folder, const std::string& kubeconfig,
          std::vector<std::string> extra_flags = {});
  ~Replica();  // SIGKILL when it still runs
  Replica(const Replica&) = delete;
  Replica& operator=(const Replica&) = delete;

  void Signal(int number);
  // Exit code; -1 when it did not end in time or by a signal.
  int WaitExit();
  bool running();
  std::string Log() const;
  // The first number logged as KEY=NUMBER; 0: none yet.
  int Logged(const std::string& key) const;
  // Text of a page of the health or metrics port; empty when it cannot be had.
  std::string Page(const std::string& path) const;
  std::string Metrics() const;
  double Metric(const std::string& family, const std::string& labels = "") const {
    return Sum(Metrics(), family, labels);
  }

 private:
  std::string Fetch(const char* page, const std::string& path) const;
  const std::string log_path_;
  pid_t pid_ = 0;
  int status_ = 0;
  bool ended_ = false;
};

class World {
 public:
  static base::StatusOr<std::unique_ptr<World>> Make();

  testing_kit::ApiServer& server() { return *server_; }
  client::Client& client() { return *client_; }
  std::string controller_kubeconfig() const { return server_->state() + "/controller.kubeconfig"; }
  const std::string& folder() const { return server_->state(); }

  // The object, or null.
  nlohmann::json Get(const meta::Resource& resource, const std::string& ns,
                     const std::string& name);
  // Condition `type` of an object's status; null when it is not there.
  nlohmann::json Condition(const meta::Resource& resource, const std::string& name,
                           const std::string& type);
  // Holder of the controller's Lease.
  std::string Holder();
  // How often the controller's user wrote anything but its Lease.
  int WritesOfController();
  std::vector<std::string> WriteLog();

 private:
  std::unique_ptr<testing_kit::ApiServer> server_;
  std::unique_ptr<client::Client> client_;
};

}  // namespace sluice::integration
