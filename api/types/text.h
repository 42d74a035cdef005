// Text on its way into an object: as long as the schema allows, and valid UTF-8 (JSON holds no
// other). Pure.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace sluice::types {

// The longest beginning of `text` of at most `limit_bytes` that does not cut a character in two.
// `text` is UTF-8; the schemas' maxLength counts characters, so a limit in bytes is on the safe
// side.
std::string_view Cut(std::string_view text, std::size_t limit_bytes);

// `text` with every byte that is not part of valid UTF-8 replaced by U+FFFD.
std::string ValidUtf8(std::string_view text);

}  // namespace sluice::types
