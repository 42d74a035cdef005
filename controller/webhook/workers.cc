#include "controller/webhook/workers.h"

#include "controller/webhook/limits.h"

namespace sluice::webhook {
namespace {

http::ServerResponse Refusal(int status, std::string text) {
  return {status, "text/plain; charset=utf-8", std::move(text)};
}

}  // namespace

Workers::Workers(int threads, base::Clock& clock)
    : clock_(clock), max_waiting_(static_cast<std::size_t>(threads) * kQueuedPerWorker) {
  for (int i = 0; i < threads; ++i) threads_.emplace_back([this] { Loop(); });
}

http::ServerResponse Workers::Run(Work work, base::MonoTime deadline) {
  const auto job = std::make_shared<Job>();
  job->work = std::move(work);
  std::unique_lock lock(mutex_);
  if (stopping_) return Refusal(503, "the webhook server is stopping\n");
  if (waiting_.size() >= max_waiting_) return Refusal(503, "all webhook workers are busy\n");
  waiting_.push_back(job);
  wake_.notify_one();
  if (clock_.WaitUntil(lock, job->done_wake, deadline, [&] { return job->done; })) {
    return std::move(job->answer);
  }
  lock.unlock();
  job->stop.request_stop();  // may run callbacks of the handler
  return Refusal(504, "the webhook did not decide in time\n");
}

void Workers::Loop() {
  std::unique_lock lock(mutex_);
  while (true) {
    wake_.wait(lock, [this] { return stopping_ || !waiting_.empty(); });
    if (waiting_.empty()) return;
    const std::shared_ptr<Job> job = std::move(waiting_.front());
    waiting_.pop_front();
    if (job->stop.stop_requested()) continue;  // nobody waits for it any more
    lock.unlock();
    http::ServerResponse answer = job->work(job->stop.get_token());
    job->work = nullptr;
    lock.lock();
    job->answer = std::move(answer);
    job->done = true;
    job->done_wake.notify_all();
  }
}

void Workers::Stop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    wake_.notify_all();
  }
  for (std::thread& thread : threads_) thread.join();
  threads_.clear();
}

}  // namespace sluice::webhook
