#include "datapath/store/object.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <algorithm>

namespace sluice::store {

Object::Object(Shard& in_shard, std::string name, std::uint64_t name_hash, ObjectMeta meta,
               std::uint32_t chunk_bytes)
    : shard_(in_shard),
      name_(std::move(name)),
      name_hash_(name_hash),
      meta_(std::move(meta)),
      chunk_bytes_(chunk_bytes),
      chunk_count_(static_cast<std::uint32_t>((meta_.size + chunk_bytes - 1) / chunk_bytes)),
      version_hash_(XXH3_64bits_withSeed(meta_.etag.data(), meta_.etag.size(), name_hash)) {
  chunks_.resize(chunk_count_);
}

void Object::SetChecksums(std::string lines) {
  if (checksums() != nullptr) return;
  const std::string* none = nullptr;
  auto mine = std::make_unique<const std::string>(std::move(lines));
  if (checksums_.compare_exchange_strong(none, mine.get(), std::memory_order_acq_rel))
    mine.release();
}

std::uint32_t Object::chunk_length(std::uint32_t index) const {
  const std::uint64_t start = std::uint64_t{index} * chunk_bytes_;
  return static_cast<std::uint32_t>(std::min<std::uint64_t>(chunk_bytes_, meta_.size - start));
}

}  // namespace sluice::store
