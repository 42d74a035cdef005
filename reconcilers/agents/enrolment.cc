#include "reconcilers/agents/enrolment.h"

#include <fmt/format.h>

#include <utility>

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

ReviewPool::ReviewPool(int threads, std::size_t bound) : bound_(bound) {
  for (int i = 0; i < threads; ++i) threads_.emplace_back([this] { Run(); });
}

void ReviewPool::Submit(Job job) {
  base::Status refusal;
  {
    const std::lock_guard lock(mutex_);
    if (stopping_) {
      refusal = base::Unavailable("the controller is stopping");
    } else if (jobs_.size() >= bound_) {
      refusal = base::ResourceExhausted("too many agents enrol at once; try again later");
    } else {
      jobs_.push_back(std::move(job));
    }
  }
  if (!refusal.ok()) return job(refusal);
  wake_.notify_one();
}

void ReviewPool::Run() {
  std::unique_lock lock(mutex_);
  while (true) {
    wake_.wait(lock, [this] { return stopping_ || !jobs_.empty(); });
    if (jobs_.empty()) return;
    Job job = std::move(jobs_.front());
    jobs_.pop_front();
    lock.unlock();
    job(base::OkStatus());
    job = nullptr;
    lock.lock();
  }
}

void ReviewPool::Stop() {
  std::deque<Job> left;
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    left.swap(jobs_);
  }
  wake_.notify_all();
  for (auto& job : left) job(base::Unavailable("the controller is stopping"));
  for (auto& thread : threads_) thread.join();
  threads_.clear();
}

}  // namespace sluice::agents
