#pragma once
#include <sys/eventfd.h>
#include <sys/prctl.h>

/// Returns a non-blocking, close-on-exec eventfd, or -1. The Glibc module map does not contain `eventfd`.
static inline int quotastack_eventfd(void) { return eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC); }

/// Names the calling thread; the kernel keeps the first 15 bytes.
static inline void quotastack_name_thread(const char *name) { prctl(PR_SET_NAME, name, 0, 0, 0); }
