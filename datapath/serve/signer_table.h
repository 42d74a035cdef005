// The signers a worker has seen of late, with the key of the configuration each of them holds.
//
// A bounded table with one place for each mark; a newcomer takes the place. Thread rule: one
// worker's. Clear() it whenever another configuration comes.
#pragma once

#include <array>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string_view>

#include "datapath/s3/known_signer.h"
#include "datapath/serve/limits.h"

namespace sluice::serve {

struct KeyEntry;

class SignerTable {
 public:
  struct Entry {
    s3::KnownSigner signer;
    const KeyEntry* key;  // of the configuration in force
  };
  // Who wrote this Authorization header; nullptr: nobody known.
  Entry* Find(std::string_view authorization) {
    Entry* const entry = places_[PlaceOf(authorization)].get();
    return entry != nullptr && entry->signer.Wrote(authorization) ? entry : nullptr;
  }
  void Remember(std::string_view authorization, s3::KnownSigner signer, const KeyEntry* key) {
    places_[PlaceOf(authorization)].reset(new Entry{std::move(signer), key});
  }
  void Clear() {
    for (auto& place : places_) place.reset();
  }

 private:
  // Some letters of the key's id and the end of the list of signed headers.
  static std::size_t PlaceOf(std::string_view authorization) {
    constexpr std::size_t kIdAt = 32;
    constexpr std::size_t kBehindNames = 64 + 12 + 8;  // ", Signature=" and its digits
    if (authorization.size() < kIdAt + kBehindNames) return 0;
    std::uint64_t id, names;
    std::memcpy(&id, authorization.data() + kIdAt, 8);
    std::memcpy(&names, authorization.data() + authorization.size() - kBehindNames, 8);
    const std::uint64_t mixed = (id * 0x9e3779b97f4a7c15ull) ^ (names * 0xc2b2ae3d27d4eb4full) ^
                                authorization.size() * 0x165667b19e3779f9ull;
    return static_cast<std::size_t>((mixed * 0x9e3779b97f4a7c15ull) >> 40) % kKnownSigners;
  }
  std::array<std::unique_ptr<Entry>, kKnownSigners> places_;
};

}  // namespace sluice::serve
