import CHandleThread
import Glibc
import Synchronization

/// The owner of one C handle. It is made on its thread, lives on it and dies on it, so it needs no locks and is not `Sendable`.
///
/// A turn of the thread is: wait until the descriptor is ready, a command arrives or `wakeAt` passes; hand over the
/// commands in the order in which they were sent; call `turn`. Commands come first so that a reply that is already
/// readable can be matched with the request that caused it.
package protocol HandleOwner: AnyObject, SendableMetatype {
    associatedtype Command: Sendable

    /// The descriptor to wait on, or nil while there is no connection.
    var descriptor: Int32? { get }

    /// True while bytes wait for the descriptor to become writable.
    var wantsToWrite: Bool { get }

    /// The latest instant (monotonic, nanoseconds, `monotonicNanoseconds()`) at which `turn` must be called again, or nil.
    var wakeAt: UInt64? { get }

    /// One command from the mailbox.
    func receive(_ command: Command)

    /// Called once per turn after the commands, whatever woke the thread.
    func turn(readable: Bool, writable: Bool)

    /// The last call: close the handle and fail what is still waiting. Commands that were sent but not yet received
    /// have been delivered through `receive` before.
    func stop()
}

/// One operating-system thread that owns one C handle.
///
/// libpq and librabbitmq block and are not thread safe; the cooperative pool must not run them. Everybody else talks to
/// the handle through `send`, which never blocks. Continuations are resumed by the owner and run elsewhere.
package final class HandleThread<Owner: HandleOwner>: Sendable {
    private let mailbox: Mailbox<Owner.Command>
    private let ended: Ended

    /// Starts the thread. `makeOwner` runs on it.
    ///
    /// - Parameters:
    ///   - name: Shown by `ps -L` and debuggers; cut to 15 bytes.
    ///   - makeOwner: Makes the owner; it must not block for long, since `send` is already possible.
    package init(name: String, makeOwner: @escaping @Sendable () -> Owner) {
        let mailbox = Mailbox<Owner.Command>()
        let ended = Ended()
        self.mailbox = mailbox
        self.ended = ended
        startThread(name: name) {
            Self.run(owner: makeOwner(), mailbox: mailbox)
            ended.finish()
        }
    }

    deinit {
        mailbox.close()
    }

    /// Puts a command into the mailbox and wakes the thread. The mailbox has no bound of its own: callers bound what they
    /// have under way (the pool its leases, the publisher its window).
    ///
    /// - Returns: False when the thread was told to stop: the command was not taken and will not be received.
    package func send(_ command: Owner.Command) -> Bool {
        mailbox.put(command)
    }

    /// Asks the thread to end after the commands sent so far. Repeating it changes nothing.
    package func stop() {
        mailbox.close()
    }

    /// Waits until the thread has ended.
    package func ends() async {
        await ended.wait()
    }

    private static func run(owner: Owner, mailbox: Mailbox<Owner.Command>) {
        var descriptors = [pollfd](repeating: pollfd(), count: 2)
        while true {
            descriptors[0] = pollfd(fd: mailbox.descriptor, events: Int16(POLLIN), revents: 0)
            let socket = owner.descriptor
            descriptors[1] = pollfd(
                fd: socket ?? -1,
                events: Int16(POLLIN) | (owner.wantsToWrite ? Int16(POLLOUT) : 0),
                revents: 0
            )
            _ = poll(&descriptors, 2, timeout(until: owner.wakeAt))
            if descriptors[0].revents != 0 { mailbox.drainWakeups() }
            let (commands, closed) = mailbox.take()
            for command in commands { owner.receive(command) }
            if closed {
                owner.stop()
                return
            }
            let events = descriptors[1].revents
            let failed = events & Int16(POLLERR | POLLHUP | POLLNVAL) != 0
            owner.turn(
                readable: failed || events & Int16(POLLIN) != 0,
                writable: failed || events & Int16(POLLOUT) != 0
            )
        }
    }

    /// Milliseconds for `poll`, rounded up so that the deadline has passed when it returns; -1 waits for ever.
    private static func timeout(until deadline: UInt64?) -> Int32 {
        guard let deadline else { return -1 }
        let now = monotonicNanoseconds()
        guard deadline > now else { return 0 }
        return Int32(min((deadline - now + 999_999) / 1_000_000, 60_000))
    }
}

/// Nanoseconds of the monotonic clock.
package func monotonicNanoseconds() -> UInt64 {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
}

/// The commands on their way to a handle thread, and the descriptor that wakes it.
private final class Mailbox<Command: Sendable>: Sendable {
    private struct State {
        var commands: [Command] = []
        var closed = false
    }

    private let state = Mutex(State())
    let descriptor: Int32

    init() {
        descriptor = quotastack_eventfd()
        precondition(descriptor >= 0, "no event descriptor to be had: the process is out of file descriptors")
    }

    deinit {
        close(descriptor)
    }

    func put(_ command: Command) -> Bool {
        let (taken, wake) = state.withLock { state -> (Bool, Bool) in
            if state.closed { return (false, false) }
            state.commands.append(command)
            return (true, state.commands.count == 1)
        }
        if wake { self.wake() }
        return taken
    }

    func close() {
        state.withLock { $0.closed = true }
        wake()
    }

    func take() -> (commands: [Command], closed: Bool) {
        state.withLock { state in
            let commands = state.commands
            state.commands = []
            return (commands, state.closed)
        }
    }

    func drainWakeups() {
        var count: UInt64 = 0
        _ = read(descriptor, &count, 8)
    }

    private func wake() {
        var one: UInt64 = 1
        _ = write(descriptor, &one, 8)
    }

    private func close(_ descriptor: Int32) {
        _ = Glibc.close(descriptor)
    }
}

/// Lets any number of tasks wait for the end of a thread.
private final class Ended: Sendable {
    private struct State {
        var finished = false
        var waiters: [CheckedContinuation<Void, Never>] = []
    }

    private let state = Mutex(State())

    func finish() {
        let waiters = state.withLock { state in
            state.finished = true
            defer { state.waiters = [] }
            return state.waiters
        }
        for waiter in waiters { waiter.resume() }
    }

    func wait() async {
        await withCheckedContinuation { continuation in
            let finished = state.withLock { state in
                if !state.finished { state.waiters.append(continuation) }
                return state.finished
            }
            if finished { continuation.resume() }
        }
    }
}

/// Starts a detached thread with every signal blocked, so that signals reach the thread that handles them.
private func startThread(name: String, _ body: @escaping @Sendable () -> Void) {
    final class Start {
        let name: String
        let body: @Sendable () -> Void
        init(name: String, body: @escaping @Sendable () -> Void) {
            self.name = name
            self.body = body
        }
    }
    var attributes = pthread_attr_t()
    pthread_attr_init(&attributes)
    pthread_attr_setdetachstate(&attributes, Int32(PTHREAD_CREATE_DETACHED))
    var all = sigset_t()
    var before = sigset_t()
    sigfillset(&all)
    pthread_sigmask(SIG_SETMASK, &all, &before)
    defer {
        pthread_sigmask(SIG_SETMASK, &before, nil)
        pthread_attr_destroy(&attributes)
    }
    let start = Unmanaged.passRetained(Start(name: String(name.prefix(15)), body: body))
    var thread = pthread_t()
    let code = pthread_create(
        &thread, &attributes,
        { argument in
            guard let argument else { return nil }
            let start = Unmanaged<Start>.fromOpaque(argument).takeRetainedValue()
            quotastack_name_thread(start.name)
            start.body()
            return nil
        }, start.toOpaque())
    precondition(code == 0, "the system refused a thread (error \(code))")
}
