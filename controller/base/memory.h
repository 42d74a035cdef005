// Memory that was freed, given back to the system. Any thread.
#pragma once

namespace sluice::base {

// What a burst of work freed stays in the allocator, fit for the next burst, and in the process's
// resident size. This returns whole free pages; it takes the allocator's locks for about a
// millisecond per 10,000 free pieces, so call it after a burst, not in one.
void ReturnFreeMemory();

}  // namespace sluice::base
