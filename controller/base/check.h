// SLUICE_CHECK(condition): a bug in our own code ends the process, with the place and the
// condition. What the world does wrong (network, disk, users) is a Status instead. Any thread.
#pragma once

namespace sluice::base {
[[noreturn]] void CheckFailed(const char* file, int line, const char* condition);
}

#define SLUICE_CHECK(condition)                      \
  (__builtin_expect(static_cast<bool>(condition), 1) \
       ? static_cast<void>(0)                        \
       : ::sluice::base::CheckFailed(__FILE__, __LINE__, #condition))
