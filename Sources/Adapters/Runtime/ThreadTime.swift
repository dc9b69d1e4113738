import Glibc

/// The processor time of the calling thread. It stands still while the operating system lets other threads run.
package enum ThreadTime {
    /// The time since the thread began. Only differences on the same thread mean something. Costs a system call.
    package static var now: Duration {
        var time = timespec()
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
        return .seconds(time.tv_sec) + .nanoseconds(time.tv_nsec)
    }
}
