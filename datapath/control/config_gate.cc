#include "datapath/control/config_gate.h"

#include <fmt/format.h>

#include <memory>
#include <tuple>
#include <vector>

#include "api/agent/v1/agent.pb.h"
#include "controller/base/log.h"
#include "datapath/control/convert.h"
#include "datapath/control/limits.h"
#include "datapath/control/order.h"

namespace sluice::control {
namespace {

using base::Status;

bool Same(const Order& a, const Order& b) {
  return std::tie(a.lineage, a.epoch, a.revision) == std::tie(b.lineage, b.epoch, b.revision);
}

Status JudgeMessage(const Order& fence, const agent::v1::Order& order) {
  if (order.supersedes_size() > static_cast<int>(kMaxSuperseded)) {
    return base::FailedPrecondition("too many superseded lineages").WithReason("ForeignLineage");
  }
  const std::vector<std::string> supersedes(order.supersedes().begin(), order.supersedes().end());
  return JudgeOrder(fence, FromProto(order), supersedes);
}

}  // namespace

bool ConfigGate::Restore() {
  const std::lock_guard lock(mutex_);
  if (!view_.applied_version.empty()) return true;
  // Ours never falls, even where the disk did not take it.
  if (auto fence = store_.LoadFence(); fence.ok()) {
    if (JudgeOrder(view_.fence, *fence, {}).ok()) view_.fence = *fence;
  } else if (fence.status().code() != base::Code::kNotFound) {
    base::log::Error("stored order not read", {{"error", fence.status()}});
  }
  agent::v1::Configuration message;
  Status status = store_.LoadConfiguration(message);
  if (status.code() == base::Code::kNotFound) return true;
  // Higher than a damaged fence file, if that is what we have.
  const Order order = FromProto(message.order());
  if (!order.lineage.empty() && JudgeOrder(view_.fence, order, {}).ok()) view_.fence = order;
  bool may_pass = false;
  if (status.ok()) {
    auto config = ToConfig(message, site_, node_);
    status = config.ok() ? Validate(*config) : config.status();
    if (status.ok()) {
      status = on_config_(std::make_shared<const Config>(std::move(config).value()));
      may_pass = !status.ok();
    }
  }
  if (!status.ok()) {
    if (restore_problem_ != status.message()) {
      base::log::Warn("last good configuration not restored", {{"error", status}});
    }
    restore_problem_ = status.message();
    return !may_pass;
  }
  view_.applied_version = message.version();
  view_.applied_order = order;
  base::log::Info(
      "last good configuration restored",
      {{"version", message.version()}, {"epoch", order.epoch}, {"revision", order.revision}});
  return true;
}

void ConfigGate::Admitted(const std::string& lineage) {
  const std::lock_guard lock(mutex_);
  if (!view_.fence.lineage.empty() || lineage.empty()) return;
  RaiseFence({lineage, 0, 0});
}

Status ConfigGate::Take(const agent::v1::Configuration& message) {
  const std::lock_guard lock(mutex_);
  const Status status = TakeLocked(message);
  const Order order = FromProto(message.order());
  if (status.ok()) {
    view_.last_nack.clear();
  } else {
    view_.last_nack = status.ToString();
    base::log::Warn("configuration refused", {{"version", message.version()},
                                              {"epoch", order.epoch},
                                              {"revision", order.revision},
                                              {"error", status}});
  }
  return status;
}

Status ConfigGate::TakeLocked(const agent::v1::Configuration& message) {
  SLUICE_RETURN_IF_ERROR(JudgeMessage(view_.fence, message.order()));
  const Order order = FromProto(message.order());
  if (message.version() == view_.applied_version) {
    // The content we run, perhaps under a new order (or from a second replica).
    RaiseFence(order);
    if (!Same(order, view_.applied_order) || !view_.disk_problem.empty()) Persist(message);
    view_.applied_order = order;
    return base::OkStatus();
  }
  if (!view_.applied_version.empty() && Same(order, view_.applied_order)) {
    return base::FailedPrecondition(fmt::format("order ({}, {}) is that of version {}, which runs",
                                                order.epoch, order.revision, view_.applied_version))
        .WithReason("OrderReused");
  }
  RaiseFence(order);
  SLUICE_ASSIGN_OR_RETURN(auto converted, ToConfig(message, site_, node_));
  SLUICE_RETURN_IF_ERROR(Validate(converted));
  SLUICE_RETURN_IF_ERROR(on_config_(std::make_shared<const Config>(std::move(converted))));
  view_.applied_version = message.version();
  view_.applied_order = order;
  Persist(message);
  base::log::Info(
      "configuration applied",
      {{"version", message.version()}, {"epoch", order.epoch}, {"revision", order.revision}});
  return base::OkStatus();
}

void ConfigGate::RaiseFence(const Order& order) {
  if (Same(order, view_.fence)) return;
  view_.fence = order;
  const Status saved = store_.SaveFence(order);
  if (!saved.ok()) base::log::Error("order not written to disk", {{"error", saved}});
}

void ConfigGate::Persist(const agent::v1::Configuration& message) {
  const Status saved = store_.SaveConfiguration(message);
  view_.disk_problem =
      saved.ok() ? ""
                 : fmt::format("the configuration in force is not on disk: {}", saved.message());
  if (!saved.ok()) base::log::Error("configuration not written to disk", {{"error", saved}});
}

Status ConfigGate::Judge(const agent::v1::Order& order) const {
  const std::lock_guard lock(mutex_);
  return JudgeMessage(view_.fence, order);
}

ConfigGate::View ConfigGate::view() const {
  const std::lock_guard lock(mutex_);
  return view_;
}

}  // namespace sluice::control
