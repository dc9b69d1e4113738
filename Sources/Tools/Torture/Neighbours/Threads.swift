import ChildProcesses
import Glibc

/// Runs blocking work on a thread of its own, and returns its result.
func onThread<Output: Sendable, Failure>(
    _ work: @escaping @Sendable () throws(Failure) -> Output
) async throws(Failure) -> Output {
    let result = await withCheckedContinuation { continuation in
        runOnThread { continuation.resume(returning: Result { () throws(Failure) in try work() }) }
    }
    return try result.get()
}

/// Runs blocking work, each piece on a thread of its own, and waits for all.
func onThreads(_ works: [@Sendable () -> Void]) async {
    await withTaskGroup(of: Void.self) { group in
        for work in works { group.addTask { await onThread(work) } }
    }
}

/// Lowers the priority of the calling thread: an abuser has a machine of its own, so its work must not slow down the
/// installation on this one.
func giveWay() {
    setpriority(Int32(PRIO_PROCESS.rawValue), 0, 10)
}

/// Whether the kernel compares the priorities of threads of one session only. Abusers then compete with the installation,
/// whatever their priority is.
var prioritiesEndAtSessions: Bool {
    readFile("/proc/sys/kernel/sched_autogroup_enabled")?.first == "1"
}
