import Glibc

/// The number of file descriptors that this process may have.
package enum FileDescriptors {
    /// The largest limit that is used. More descriptors would not serve more connections.
    private static let enough: rlim_t = 1 << 20

    /// Raises the process's soft limit to its hard limit, which needs no rights. The usual soft limit of 1,024 is meant
    /// for programs that use `select`.
    ///
    /// - Returns: The limit that is in force afterwards.
    package static func raiseLimit() -> Int {
        let kind = __rlimit_resource_t(RLIMIT_NOFILE.rawValue)
        var limit = rlimit()
        guard getrlimit(kind, &limit) == 0 else { return 0 }
        let wanted = min(limit.rlim_max, enough)
        if limit.rlim_cur < wanted {
            var raised = rlimit(rlim_cur: wanted, rlim_max: limit.rlim_max)
            if setrlimit(kind, &raised) == 0 { limit.rlim_cur = wanted }
        }
        return Int(min(limit.rlim_cur, enough))
    }
}
