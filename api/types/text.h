// Text on its way into an object: as long as the schema allows, and valid UTF-8 (JSON holds no
// other). Pure.
#pragma once

#include "controller/base/text.h"

namespace sluice::types {

using base::Cut;  // the schemas' maxLength counts characters: a limit in bytes is on the safe side
using base::ValidUtf8;

}  // namespace sluice::types
