import Glibc
package import Credits

extension Instant {
    /// The present instant by the machine's clock, which may be set forwards or backwards.
    package static var now: Instant {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return Instant(microseconds: Int64(time.tv_sec) * 1_000_000 + Int64(time.tv_nsec) / 1_000)
    }
}
