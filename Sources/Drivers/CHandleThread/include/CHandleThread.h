#pragma once
#include <sys/eventfd.h>
#include <sys/prctl.h>

/// A non-blocking, close-on-exec event descriptor, or -1. `eventfd` is not in the Glibc module map.
static inline int quotastack_eventfd(void) { return eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC); }

/// Names the calling thread; the kernel keeps the first 15 bytes.
static inline void quotastack_name_thread(const char *name) { prctl(PR_SET_NAME, name, 0, 0, 0); }
