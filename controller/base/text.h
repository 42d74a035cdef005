// Text on its way into an object or a message: as long as is allowed, and valid UTF-8 (JSON and
// protobuf hold no other; the receiver of anything else refuses all of it). Pure.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace sluice::base {

// The longest beginning of `text` of at most `limit_bytes` that does not cut a character in two.
// `text` is UTF-8.
std::string_view Cut(std::string_view text, std::size_t limit_bytes);

// `text` with every byte that is not part of valid UTF-8 replaced by U+FFFD.
std::string ValidUtf8(std::string_view text);

}  // namespace sluice::base
