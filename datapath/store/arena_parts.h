// What an Arena is made of; for arena.cc and arena_huge.cc alone.
#pragma once

#include <cstdint>
#include <vector>

#include "datapath/store/arena.h"
#include "datapath/store/limits.h"

namespace sluice::store {

// Slots that share huge pages: they come together and go together. A bit each, at most 32.
struct Arena::Block {
  std::uint32_t idle = 0;   // free, nobody was sent them by reference
  std::uint32_t spent = 0;  // free, but lent: not to be written before the block was given up
  std::uint32_t place = 0;  // in the list it stands in
  enum class List : std::uint8_t { kNone, kSome, kWhole, kSpent } list = List::kNone;
};

struct Arena::Segment {
  int fd = -1;  // none: of huge pages
  char* base = nullptr;
  std::size_t bytes = 0;
  std::size_t slot_bytes = 0;
  std::size_t size_class = 0;
  bool shares_pages = false;  // several slots lie in one block
  // Guarded by the arena's mutex:
  std::vector<std::uint32_t> present_bytes;  // of each slot; with huge pages, of each block
  std::vector<Block> blocks;
  std::vector<Chunk*> owners;  // of each slot, if they share pages

  std::uint32_t slots_a_block() const {
    return static_cast<std::uint32_t>(bytes / slot_bytes / blocks.size());
  }
};

struct Arena::SizeClass {
  std::vector<Extent> idle;  // free, with pages present that nobody was sent by reference
  std::vector<Extent> bare;  // free, without pages
  // The same of blocks, each by its first slot: with idle slots, with nothing else, with idle slots
  // and too many spent ones, without pages.
  std::vector<Extent> some, whole, spent, bare_blocks;
};

}  // namespace sluice::store
