#include "datapath/net/page_pipe.h"

#include <fcntl.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "datapath/net/limits.h"

namespace sluice::net {

bool PagePipe::Open() {
  int ends[2];
  if (::pipe2(ends, O_NONBLOCK | O_CLOEXEC) != 0) return false;
  out_ = UniqueFd(ends[0]);
  in_ = UniqueFd(ends[1]);
  // Refused beyond the user's share of pipe pages: then it moves 64 KiB at a time.
  ::fcntl(in_.get(), F_SETPIPE_SZ, static_cast<int>(kPagePipeBytes));
  return true;
}

ssize_t PagePipe::Send(int socket, std::span<const char> pages, bool more) {
  if (!in_.valid() && !Open()) {
    refused_ = true;
    return -1;
  }
  const iovec piece{const_cast<char*>(pages.data()), std::min(pages.size(), kPagePipeBytes)};
  const ssize_t taken = ::vmsplice(in_.get(), &piece, 1, SPLICE_F_NONBLOCK);
  if (taken <= 0) {
    refused_ = true;
    return -1;
  }
  const bool rest = more || static_cast<std::size_t>(taken) < pages.size();
  const ssize_t sent =
      ::splice(out_.get(), nullptr, socket, nullptr, static_cast<std::size_t>(taken),
               SPLICE_F_NONBLOCK | (rest ? SPLICE_F_MORE : 0));
  if (sent == taken) return sent;
  // What the socket had no room for is dropped with the pipe; it is offered again later.
  const int error = errno;
  refused_ = sent < 0 && (error == EINVAL || error == ENOSYS || error == EPERM);
  in_.Reset();
  out_.Reset();
  errno = error;
  return sent;
}

}  // namespace sluice::net
