#pragma once
#include <sys/prctl.h>
#include <unistd.h>

/// Makes the process undumpable: it leaves no core dump, and other processes of its user can neither attach to it nor read
/// its memory and its environment in /proc. Returns 0, or -1 with errno. Swift cannot call the variadic `prctl`.
static inline int quotastack_forbid_dumps(void) { return prctl(PR_SET_DUMPABLE, 0, 0, 0, 0); }

/// Gives the calling thread a lower priority than the thread that began it, for as long as it lives. Does nothing when it
/// was called on the thread before. On Linux a nice value belongs to a thread, not to a process, and a thread that this one
/// begins inherits it.
static inline void quotastack_let_others_run_first(void) {
    static _Thread_local int isDone = 0;
    if (!isDone) nice(10);
    isDone = 1;
}
