#include <liburing.h>

#include <cerrno>
#include <thread>

#include "datapath/ring/kinds.h"
#include "datapath/ring/limits.h"
#include "datapath/ring/receive_buffers.h"

namespace sluice::ring {
namespace {

base::Status Refused(const char* call, int error) {
  const char* const why = error == EPERM
                              ? "forbidden, by a seccomp profile or sysctl kernel.io_uring_disabled"
                          : error == ENOSYS ? "the kernel, or a sandbox, has no io_uring"
                          : error == EINVAL ? "the kernel is older than 6.1"
                                            : "";
  const base::Status status = base::FromErrno(error, call);
  return *why == '\0' ? status : base::Status(status.code(), std::string(call) + ": " + why);
}

}  // namespace

int OpenRing(io_uring* ring) {
  io_uring_params params{};
  params.flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_CQSIZE;
  params.cq_entries = kCompletionEntries;
  return -io_uring_queue_init_params(kSubmissionEntries, ring, &params);
}

// On a thread of its own: a ring that closes interrupts the system calls of the one that opened it.
base::Status ProbeUring(std::string* without) {
  base::Status result;
  std::thread([&] {
    io_uring ring;
    if (const int error = OpenRing(&ring); error != 0) {
      result = Refused("io_uring_setup", error);
      return;
    }
    io_uring_prep_nop(io_uring_get_sqe(&ring));
    const int error = -io_uring_submit_and_get_events(&ring);
    if (error > 0) result = Refused("io_uring_enter", error);
    if (const int refused = ReceiveBuffers().Register(&ring); refused != 0)
      *without = Refused("io_uring_register", refused).message();
    io_uring_queue_exit(&ring);
  }).join();
  return result;
}

}  // namespace sluice::ring
