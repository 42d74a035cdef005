// The end of a YAML text. yaml-cpp reads one document and says nothing of what stands behind it,
// and where something begins no document it tells empty ones without end: who reads YAML asks here
// first. Pure; any thread.
#pragma once

#include <string>

#include "controller/base/status.h"

namespace sluice::base {

enum class YamlDocuments { kOne, kMany };

// Whether `text` ends where its documents do. Of kOne, comments and empty documents may follow the
// first. Errors: InvalidArgument with line, column, rule and cure, never with words of the text,
// which may be secret. What is wrong inside a document is left to whoever reads it.
Status CheckYamlEnd(const std::string& text, YamlDocuments documents);

}  // namespace sluice::base
