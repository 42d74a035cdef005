#include "controller/runtime/process.h"

#include <sys/random.h>
#include <unistd.h>

#include <cstring>

#include "controller/base/check.h"
#include "controller/base/digest.h"
#include "controller/base/log.h"

namespace sluice::runtime {

std::string MakeIdentity() {
  char host[256] = "unknown";
  gethostname(host, sizeof host - 1);
  unsigned char bytes[4] = {};
  SLUICE_CHECK(getrandom(bytes, sizeof bytes, 0) == sizeof bytes);
  return std::string(host) + "_" +
         base::HexEncode(std::string_view(reinterpret_cast<const char*>(bytes), sizeof bytes));
}

StopSignals::StopSignals() {
  signal(SIGPIPE, SIG_IGN);
  sigemptyset(&set_);
  sigaddset(&set_, SIGTERM);
  sigaddset(&set_, SIGINT);
  sigaddset(&set_, SIGUSR1);  // ours, to end the waiting thread
  pthread_sigmask(SIG_BLOCK, &set_, nullptr);
  thread_ = std::thread([this] { Wait(); });
}

StopSignals::~StopSignals() {
  ending_ = true;
  pthread_kill(thread_.native_handle(), SIGUSR1);
  thread_.join();
}

void StopSignals::Wait() {
  while (true) {
    int number = 0;
    if (sigwait(&set_, &number) != 0) continue;
    if (number == SIGUSR1) {
      if (ending_) return;
      continue;  // somebody else's
    }
    if (stop_.stop_requested()) _exit(1);
    base::log::Info("signal received", {{"signal", strsignal(number)}});
    stop_.request_stop();
  }
}

}  // namespace sluice::runtime
