#include "reconcilers/agents/enrolment.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "api/agent/v1/agent.pb.h"
#include "controller/base/log.h"
#include "reconcilers/agents/limits.h"

namespace sluice::agents {

base::Status Admit(const ReviewedToken& token, const AgentIdentity& wanted) {
  if (token.node.empty()) {
    return base::PermissionDenied(
        "the token is not bound to a pod on a node; mount a projected token of audience sluice");
  }
  if (token.node != wanted.node) {
    return base::PermissionDenied(fmt::format("the token's pod {} runs on node {}, not on {}",
                                              token.pod, token.node, wanted.node));
  }
  return base::OkStatus();
}

ReviewPool::ReviewPool(Limits limits) : limits_(limits) {
  threads_.Start(limits.threads, limits.most_threads,
                 [this](base::GrowingThreads::Self& self) { Run(self); });
}

void ReviewPool::Submit(const std::string& lane, int at_once, Job job) {
  base::Status refusal;
  {
    const std::lock_guard lock(mutex_);
    const auto own = lanes_.find(lane);
    const std::size_t waiting = own == lanes_.end() ? 0 : own->second.waiting;
    if (stopping_) {
      refusal = base::Unavailable("the controller is stopping");
    } else if (jobs_.size() >= limits_.waiting && waiting >= kWaitingOfALane) {
      refusal = base::ResourceExhausted("too many agents enrol at once; try again later");
    } else {
      const auto at = lanes_.try_emplace(lane).first;
      ++at->second.waiting;
      jobs_.push_back({at, at_once, std::move(job)});
    }
  }
  if (!refusal.ok()) return job(refusal);
  wake_.notify_one();
}

std::list<ReviewPool::Waiting>::iterator ReviewPool::FindRunnable() {
  return std::find_if(jobs_.begin(), jobs_.end(), [](const Waiting& waiting) {
    return waiting.lane->second.running < waiting.at_once;
  });
}

void ReviewPool::Run(base::GrowingThreads::Self& self) {
  std::unique_lock lock(mutex_);
  while (true) {
    auto next = jobs_.end();
    wake_.wait(lock, [&] { return stopping_ || (next = FindRunnable()) != jobs_.end(); });
    if (stopping_) return;
    const auto lane = next->lane;
    Job job = std::move(next->job);
    jobs_.erase(next);
    --lane->second.waiting;
    ++lane->second.running;
    lock.unlock();
    threads_.TookWork();
    job(base::OkStatus());
    job = nullptr;
    lock.lock();
    --lane->second.running;
    // Whoever waits may be of this lane, and this thread may end.
    if (lane->second.waiting > 0) wake_.notify_one();
    if (lane->second.waiting == 0 && lane->second.running == 0) lanes_.erase(lane);
    lock.unlock();
    if (!threads_.StaysFree(self)) return;
    lock.lock();
  }
}

void ReviewPool::Stop() {
  std::list<Waiting> left;
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    left.swap(jobs_);
    for (Waiting& waiting : left) --waiting.lane->second.waiting;
  }
  wake_.notify_all();
  for (Waiting& waiting : left) waiting.job(base::Unavailable("the controller is stopping"));
  threads_.Join();
}

void Enroller::Enrol(std::shared_ptr<rpc::Call> call, std::string_view bytes) {
  const auto request = std::make_shared<agent::v1::EnrolRequest>();
  if (!request->ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) {
    return call->Finish(base::InvalidArgument("not an EnrolRequest"));
  }
  const std::string cluster = reviewer_.ClusterOf(request->site());
  pool_.Submit(cluster, cluster.empty() ? own_at_once_ : kReviewsOfACluster,
               [this, call = std::move(call), request](const base::Status& admitted) {
                 agent::v1::Identity response;
                 base::Status status = admitted.ok() ? Decide(*request, response) : admitted;
                 ++(status.ok() ? enrolled : refused);
                 if (!status.ok()) return call->Finish(std::move(status));
                 rpc::Reply(*call, response.SerializeAsString());
               });
}

base::Status Enroller::Decide(const agent::v1::EnrolRequest& request,
                              agent::v1::Identity& response) const {
  const AgentIdentity wanted{request.site(), request.node()};
  SLUICE_RETURN_IF_ERROR(ParseIdentityUri(IdentityUri(wanted)).status());
  auto token = reviewer_.Review(wanted.site, request.token(), clock_.Mono() + kTokenReviewDeadline);
  // The roster last: whoever has no token learns nothing of it.
  base::Status admitted = token.ok() ? Admit(*token, wanted) : token.status();
  if (admitted.ok()) admitted = roster_(wanted);
  if (!admitted.ok()) {
    base::log::Warn("enrolment refused",
                    {{"site", wanted.site}, {"node", wanted.node}, {"error", admitted}});
    return admitted;
  }
  SLUICE_RETURN_IF_ERROR(issuer_.Issue(request.csr_pem(), wanted, response));
  base::log::Info("agent enrolled", {{"site", wanted.site},
                                     {"node", wanted.node},
                                     {"pod", token->pod},
                                     {"service_account", token->service_account}});
  return base::OkStatus();
}

}  // namespace sluice::agents
