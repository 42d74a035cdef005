#include "controller/runtime/profile.h"

#include <sys/time.h>
#include <ucontext.h>
#include <unwind.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <condition_variable>
#include <csignal>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <thread>
#include <vector>

#include "controller/base/file.h"
#include "controller/runtime/limits.h"

namespace sluice::runtime {
namespace {

// Invariants of what the signal handler touches:
//   1. It allocates nothing and takes no lock: slots are made beforehand and taken by a counter.
//      Unwinding takes none either: glibc finds the tables by _dl_find_object since 2.35.
//   2. g_samples is reset before the slots are read, and g_inside awaited: no handler writes then.
//   3. The handler stays installed for ever; a late signal finds no samples and does nothing.
struct Stack {
  std::uint32_t depth = 0;
  std::array<std::uintptr_t, kMaxProfileDepth> addresses;
};
struct Samples {
  std::vector<Stack> stacks = std::vector<Stack>(kMaxProfileSamples);
  std::atomic<std::size_t> next{0};
};
std::atomic<Samples*> g_samples{nullptr};
std::atomic<int> g_inside{0};
static_assert(std::atomic<Samples*>::is_always_lock_free);

std::uintptr_t InterruptedAt(const void* context) {
  const auto* const user = static_cast<const ucontext_t*>(context);
#if defined(__x86_64__)
  return static_cast<std::uintptr_t>(user->uc_mcontext.gregs[REG_RIP]);
#elif defined(__aarch64__)
  return static_cast<std::uintptr_t>(user->uc_mcontext.pc);
#else
#error "where a signal interrupted is not known for this processor"
#endif
}

struct Walk {
  Stack* stack;
  std::uintptr_t from;  // frames before this one are the handler's own; 0: none are
};

_Unwind_Reason_Code Visit(_Unwind_Context* context, void* argument) {
  const auto* const walk = static_cast<const Walk*>(argument);
  Stack& stack = *walk->stack;
  const std::uintptr_t address = _Unwind_GetIP(context);
  if (stack.depth == 0 && walk->from != 0 && address != walk->from) return _URC_NO_REASON;
  if (address == 0 || stack.depth == kMaxProfileDepth) return _URC_END_OF_STACK;
  stack.addresses[stack.depth++] = address;
  return _URC_NO_REASON;
}

void OnSignal(int, siginfo_t*, void* context) {
  const int saved = errno;
  g_inside.fetch_add(1);
  if (Samples* const samples = g_samples.load(); samples != nullptr) {
    const std::size_t slot = samples->next.fetch_add(1, std::memory_order_relaxed);
    if (slot < samples->stacks.size()) {
      Stack& stack = samples->stacks[slot];
      Walk walk{&stack, InterruptedAt(context)};
      _Unwind_Backtrace(&Visit, &walk);
      if (stack.depth == 0) {  // no table led there; where it was is still true
        stack.addresses[0] = walk.from;
        stack.depth = 1;
      }
    }
  }
  g_inside.fetch_sub(1);
  errno = saved;
}

bool SetTimer(std::chrono::microseconds period) {
  itimerval timer{};
  timer.it_interval.tv_usec = period.count();
  timer.it_value.tv_usec = period.count();
  return setitimer(ITIMER_PROF, &timer, nullptr) == 0;
}

bool InstallHandler() {
  struct sigaction action {};
  action.sa_sigaction = &OnSignal;
  action.sa_flags = SA_SIGINFO | SA_RESTART;
  sigemptyset(&action.sa_mask);
  return sigaction(SIGPROF, &action, nullptr) == 0;
}

void Append(std::string& out, std::initializer_list<std::uintptr_t> words) {
  out.append(reinterpret_cast<const char*>(words.begin()), words.size() * sizeof(std::uintptr_t));
}

std::string Encode(std::span<const Stack> stacks, const std::string& maps) {
  std::map<std::vector<std::uintptr_t>, std::uintptr_t> counts;
  for (const Stack& stack : stacks) {
    if (stack.depth == 0) continue;
    ++counts[{stack.addresses.begin(), stack.addresses.begin() + stack.depth}];
  }
  std::string out;
  Append(out, {0, 3, 0, static_cast<std::uintptr_t>(kProfilePeriod.count()), 0});
  for (const auto& [addresses, count] : counts) {
    Append(out, {count, addresses.size()});
    for (const std::uintptr_t address : addresses) Append(out, {address});
  }
  Append(out, {0, 1, 0});
  return out + maps;
}

}  // namespace

base::StatusOr<std::string> TakeCpuProfile(std::chrono::seconds length, std::stop_token stop) {
  if (length.count() < 1 || length > kMaxProfileLength) {
    return base::InvalidArgument("a profile lasts 1 to " +
                                 std::to_string(kMaxProfileLength.count()) + " seconds");
  }
  static std::mutex one;
  const std::unique_lock turn(one, std::try_to_lock);
  if (!turn.owns_lock()) {
    return base::Aborted("another profile is being taken").WithReason("Busy");
  }
  const auto samples = std::make_unique<Samples>();
  // The unwinder's first use may allocate; the handler's must not be the first.
  Stack warm;
  Walk walk{&warm, 0};
  _Unwind_Backtrace(&Visit, &walk);

  g_samples = samples.get();
  const bool runs = InstallHandler() && SetTimer(kProfilePeriod);
  if (runs) {
    std::mutex mutex;
    std::unique_lock lock(mutex);
    std::condition_variable_any wake;
    wake.wait_for(lock, stop, length, [] { return false; });
  }
  SetTimer(std::chrono::microseconds(0));
  g_samples = nullptr;
  while (g_inside != 0) std::this_thread::yield();
  if (!runs) return base::Internal("the profile's timer was refused");

  SLUICE_ASSIGN_OR_RETURN(const std::string maps, base::ReadFile("/proc/self/maps"));
  const std::size_t taken = std::min(samples->next.load(), samples->stacks.size());
  return Encode(std::span(samples->stacks).first(taken), maps);
}

}  // namespace sluice::runtime
