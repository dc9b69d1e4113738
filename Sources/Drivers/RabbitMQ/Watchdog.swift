import Glibc
import HandleThread
import Synchronization

/// Ends a library call that takes too long, by shutting down the socket under it.
///
/// `amqp_basic_publish` of librabbitmq 0.11 can hang without limit on a blocked connection or a silent broker. It
/// returns at once when its socket is shut down. The descriptor is lent to the watchdog from `attach` to `detach` and
/// must not be closed in between, because its number could then belong to another file.
final class CallGuard: Sendable {
    private struct State {
        var descriptor: Int32 = -1
        var deadline = UInt64.max
    }

    private let state = Mutex(State())

    /// - Throws: `HandleThreadError` when the watchdog cannot be started. A connection without it must not be used.
    func attach(descriptor: Int32) throws(HandleThreadError) {
        try Watchdog.tell(.watch(self))
        state.withLock { $0.descriptor = descriptor }
    }

    func detach() {
        state.withLock { $0 = State() }
        // Without a watchdog there is nothing to forget.
        try? Watchdog.tell(.forget(self))
    }

    /// Limits the next call to `limit` nanoseconds.
    func arm(limit: UInt64) {
        let deadline = monotonicNanoseconds() + limit
        state.withLock { $0.deadline = deadline }
    }

    func disarm() {
        state.withLock { $0.deadline = .max }
    }

    fileprivate func shutDownIfOverdue(now: UInt64) {
        state.withLock { state in
            guard state.deadline <= now, state.descriptor >= 0 else { return }
            _ = shutdown(state.descriptor, Int32(SHUT_RDWR))
            state.deadline = .max
        }
    }
}

/// The thread that watches all connections of the process, from the first connection on.
private enum Watchdog {
    private static let thread = Mutex<HandleThread<WatchdogOwner>?>(nil)

    static func tell(_ command: WatchdogOwner.Command) throws(HandleThreadError) {
        try thread.withLock { thread throws(HandleThreadError) in
            if thread == nil { thread = try HandleThread(name: "amqp-watchdog") { WatchdogOwner() } }
            _ = thread?.send(command)
        }
    }
}

/// Checks the limits of all connections every 100 ms.
private final class WatchdogOwner: HandleOwner {
    enum Command: Sendable {
        case watch(CallGuard)
        case forget(CallGuard)
    }

    private let interval: UInt64 = 100_000_000
    private var guards: [ObjectIdentifier: CallGuard] = [:]

    var descriptor: Int32? { nil }
    var wantsToWrite: Bool { false }
    var wakeAt: UInt64? { guards.isEmpty ? nil : monotonicNanoseconds() + interval }

    func receive(_ command: Command) {
        switch command {
        case .watch(let callGuard): guards[ObjectIdentifier(callGuard)] = callGuard
        case .forget(let callGuard): guards[ObjectIdentifier(callGuard)] = nil
        }
    }

    func turn(readable: Bool, writable: Bool) {
        let now = monotonicNanoseconds()
        for callGuard in guards.values { callGuard.shutDownIfOverdue(now: now) }
    }

    func stop() {}
}
