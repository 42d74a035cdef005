// Applies SocketOptions and the descriptor flags every socket of ours has. Thread rule: any.
#pragma once

#include "datapath/net/stream.h"

namespace sluice::net {

// What the kernel does not know (a congestion control, say) is skipped: none of it is needed for
// right answers. The exceptions are real faults of the descriptor.
void ApplyOptions(int fd, int family, const SocketOptions& options);
// The congestion control in force on a TCP socket, for tests and `check`.
std::string CongestionOf(int fd);
base::Status SetNonBlocking(int fd);

}  // namespace sluice::net
