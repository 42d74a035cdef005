// Page-aligned memory, as O_DIRECT wants it. Its content is arbitrary at first.
#pragma once

#include <cstdlib>
#include <memory>

#include "datapath/store/limits.h"

namespace sluice::store {

struct FreePages {
  void operator()(char* pages) const { std::free(pages); }
};
using PageBuffer = std::unique_ptr<char, FreePages>;

// Room for `bytes` > 0, rounded to pages; nullptr when there is no memory.
inline PageBuffer AllocatePages(std::size_t bytes) {
  return PageBuffer(static_cast<char*>(std::aligned_alloc(kPageBytes, RoundToPages(bytes))));
}

}  // namespace sluice::store
