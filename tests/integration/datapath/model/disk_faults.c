// Preloaded into an agent under test: makes the device below store.sluice fail on command.
//
// $SLUICE_DISK_FAULTS names a file of int32 words that the checker writes and this maps:
//   0  reads of 1,000 that fail with EIO
//   1  writes of 1,000 that fail with EIO
//   2  writes of 1,000 that fail with ENOSPC
//   3  fallocate fails with ENOSPC when not 0 (a full disk at start)
//   4  when > 0: counted down by each write; at 0 a part of the write is done and the process dies
//      as by kill -9 (a cut point inside a record)
// Only files named store.sluice are touched.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

enum { kReadEio, kWriteEio, kWriteEnospc, kAllocateEnospc, kDieAtWrite, kWords };

static _Atomic int32_t *words;
static ssize_t (*real_pread)(int, void *, size_t, off_t);
static ssize_t (*real_pwritev)(int, const struct iovec *, int, off_t);
static int (*real_fallocate)(int, int, off_t, off_t);

__attribute__((constructor)) static void Begin(void) {
  real_pread = dlsym(RTLD_NEXT, "pread64");
  real_pwritev = dlsym(RTLD_NEXT, "pwritev64");
  real_fallocate = dlsym(RTLD_NEXT, "fallocate64");
  const char *path = getenv("SLUICE_DISK_FAULTS");
  const int fd = path == NULL ? -1 : open(path, O_RDWR | O_CLOEXEC);
  if (fd < 0) return;
  void *map = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  close(fd);
  if (map != MAP_FAILED) words = map;
}

static int IsStore(int fd) {
  char link[64], path[512];
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  const ssize_t n = readlink(link, path, sizeof path - 1);
  if (n < 12) return 0;
  path[n] = 0;
  return strcmp(path + n - 12, "store.sluice") == 0;
}

static int Strikes(int word) {
  static _Atomic uint32_t state = 2463534242u;
  uint32_t x = atomic_load(&state);
  x ^= x << 13, x ^= x >> 17, x ^= x << 5;
  atomic_store(&state, x);
  return (int32_t)(x % 1000) < atomic_load(&words[word]);
}

static int Fails(int error) {
  errno = error;
  return -1;
}

ssize_t pread64(int fd, void *buffer, size_t bytes, off_t at) {
  if (words != NULL && IsStore(fd) && Strikes(kReadEio)) return Fails(EIO);
  return real_pread(fd, buffer, bytes, at);
}
ssize_t pread(int fd, void *buffer, size_t bytes, off_t at) { return pread64(fd, buffer, bytes, at); }

ssize_t pwritev64(int fd, const struct iovec *pieces, int count, off_t at) {
  if (words == NULL || !IsStore(fd)) return real_pwritev(fd, pieces, count, at);
  if (atomic_load(&words[kDieAtWrite]) > 0 && atomic_fetch_sub(&words[kDieAtWrite], 1) == 1) {
    struct iovec part = pieces[count - 1];
    if (count > 1 && at % 8192 == 0) {
      real_pwritev(fd, pieces, count - 1, at);  // the header whole, the data not
    } else {
      part = pieces[0];
      part.iov_len = part.iov_len / 2 / 4096 * 4096;
      if (part.iov_len > 0) real_pwritev(fd, &part, 1, at);
    }
    raise(SIGKILL);  // tgkill: kill() is not in the agents' seccomp profile
  }
  if (Strikes(kWriteEio)) return Fails(EIO);
  if (Strikes(kWriteEnospc)) return Fails(ENOSPC);
  return real_pwritev(fd, pieces, count, at);
}
ssize_t pwritev(int fd, const struct iovec *pieces, int count, off_t at) {
  return pwritev64(fd, pieces, count, at);
}

int fallocate64(int fd, int mode, off_t at, off_t bytes) {
  if (words != NULL && atomic_load(&words[kAllocateEnospc]) != 0 && IsStore(fd))
    return Fails(ENOSPC);
  return real_fallocate(fd, mode, at, bytes);
}
int fallocate(int fd, int mode, off_t at, off_t bytes) { return fallocate64(fd, mode, at, bytes); }
