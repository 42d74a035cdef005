#include "reconcilers/agents/enrolment.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

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

}  // namespace sluice::agents
