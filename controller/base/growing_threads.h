// Threads that wait for work of which some hangs: in a server that does not answer, say. Whenever
// the last free one takes work, one more is started, up to a bound, so that whoever hangs, a free
// one is left for the rest; those that are not needed any more end.
//
//   GrowingThreads threads;
//   threads.Start(2, 64, [&](GrowingThreads::Self& self) {
//     while (auto work = queue.Get()) {
//       threads.TookWork();
//       work->Do();
//       if (!threads.StaysFree(self)) return;
//     }
//   });
//   ...
//   queue.ShutDown();
//   threads.Join();
//
// With `least` equal to `most` it is a plain set of threads, and the two calls cost nothing.
//
// Invariants, while `count() < most`: at least one thread is free whenever no call of TookWork is
// under way. At most `least` are free after StaysFree.
//
// Thread rule: Start, Join and the destructor by the owner; TookWork and StaysFree by the threads.
// Stop: the owner makes the body return (of the free ones, too), then Join.
#pragma once

#include <functional>
#include <list>
#include <mutex>
#include <thread>

namespace sluice::base {

class GrowingThreads {
 public:
  struct Self {
    std::thread thread;
    bool ended = false;  // nothing is left but to join it
  };
  using Body = std::function<void(Self& self)>;

  GrowingThreads() = default;
  ~GrowingThreads() { Join(); }
  GrowingThreads(const GrowingThreads&) = delete;
  GrowingThreads& operator=(const GrowingThreads&) = delete;

  // Once. 1 <= least <= most.
  void Start(int least, int most, Body body);
  // The body has work. A thread that cannot be started is logged; the ones there are go on.
  void TookWork();
  // The body is done with it. False: enough others are free, and the body must return.
  bool StaysFree(Self& self);
  // Starts none any more and waits for all to return; false when there is nothing to wait for.
  bool Join();
  int count() const;  // threads whose body runs

 private:
  void Spawn();

  int least_ = 0;  // set by Start, as are most_ and body_
  int most_ = 0;
  Body body_;
  mutable std::mutex mutex_;
  std::list<Self> threads_;  // guarded by mutex_, as are:
  int free_ = 0;
  bool joining_ = false;
};

}  // namespace sluice::base
