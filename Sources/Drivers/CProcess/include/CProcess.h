#pragma once
#include <sys/prctl.h>

/// Makes the process undumpable: it leaves no core dump, and other processes of its user can neither attach to it nor read
/// its memory and its environment in /proc. Returns 0, or -1 with errno. Swift cannot call the variadic `prctl`.
static inline int quotastack_forbid_dumps(void) { return prctl(PR_SET_DUMPABLE, 0, 0, 0, 0); }
