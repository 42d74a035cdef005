// Small files, whole: read with a bound, write so that a crash leaves the old or the new bytes.
//
// Thread rule: any thread; of several that write one path at once the last one's bytes stay, whole.
// Blocks for the disk.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <string>
#include <string_view>

#include "controller/base/status.h"

namespace sluice::base {

// Errors: NotFound, PermissionDenied, ResourceExhausted when longer than `limit_bytes`; others as
// FromErrno says.
StatusOr<std::string> ReadFile(const std::string& path, std::size_t limit_bytes = 16 << 20);

// Writes a neighbour file, syncs it, renames it over `path` and syncs the directory. The file has
// `mode` before it has its name. Errors: as FromErrno says; `path` then has the old bytes, unless
// syncing the directory failed: then the new ones, which a crash may still undo.
Status WriteFileAtomic(const std::string& path, std::string_view bytes, mode_t mode = 0644);

}  // namespace sluice::base
