// Memory that was freed, given back to the system. Any thread.
#pragma once

namespace sluice::base {

// What a burst of work freed stays in the allocator, fit for the next burst, and in the process's
// resident size. This returns whole free pages; it takes the allocator's locks for about a
// millisecond per 10,000 free pieces, so call it after a burst, not in one.
void ReturnFreeMemory();

// All threads take their memory from one place instead of from up to eight a core, each with free
// pieces of its own: less resident, for threads that mostly wait. First thing in main.
void UseOneArena();

}  // namespace sluice::base
