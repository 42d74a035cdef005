// Small files, whole: read with a bound, write so that a crash leaves the old or the new bytes.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <string>
#include <string_view>

#include "controller/base/status.h"

namespace sluice::base {

// Errors: NotFound, PermissionDenied, ResourceExhausted when longer than `limit_bytes`.
StatusOr<std::string> ReadFile(const std::string& path, std::size_t limit_bytes = 16 << 20);

// Writes a neighbour file, syncs it, renames it over `path` and syncs the directory. The file has
// `mode` from its first byte on.
Status WriteFileAtomic(const std::string& path, std::string_view bytes, mode_t mode = 0644);

}  // namespace sluice::base
