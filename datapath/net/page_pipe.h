// Sends mapped pages to a socket by reference: vmsplice into a pipe of the loop's, splice from
// there into the socket. It does what sendfile does, a megabyte at a time instead of 64 KiB, and
// finds the pages by the page table instead of asking shmem for each: a fifth less CPU from a memfd
// (docs/adr/0100-transmit-path.md). Between calls the pipe is empty.
//
// Thread rule: the owning loop's. Stop: the destructor. Errors: none; see Send().
#pragma once

#include <sys/types.h>

#include <span>

#include "datapath/net/unique_fd.h"

namespace sluice::net {

class PagePipe {
 public:
  PagePipe() = default;
  PagePipe(const PagePipe&) = delete;
  PagePipe& operator=(const PagePipe&) = delete;

  // False once the kernel (or a sandbox) has refused; then copy.
  bool usable() const { return !refused_; }
  // At most limits.h kPagePipeBytes. The bytes must stay as they are until the peer has read them
  // (datapath/store keeps that rule). Like send(): what the socket took, or -1 with errno; with
  // usable() false afterwards nothing was sent.
  ssize_t Send(int socket, std::span<const char> pages, bool more);

 private:
  bool Open();

  UniqueFd in_;
  UniqueFd out_;
  bool refused_ = false;
};

}  // namespace sluice::net
