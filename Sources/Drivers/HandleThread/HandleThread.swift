import CHandleThread
import Glibc
import Synchronization

/// The owner of one C handle. It is created, called and released on its handle thread, so it needs no locks and is not
/// `Sendable`.
///
/// One turn of the thread has three steps. The thread waits until the descriptor is ready, a command arrives or
/// `wakeAt` passes. It hands over the commands in the order in which they were sent. It calls `turn`. Commands come
/// before `turn` so that a reply that is already readable finds the request that caused it.
package protocol HandleOwner: AnyObject, SendableMetatype {
    associatedtype Command: Sendable

    /// The descriptor to wait on, or nil while there is no connection.
    var descriptor: Int32? { get }

    /// True while bytes wait for the descriptor to become writable.
    var wantsToWrite: Bool { get }

    /// The latest instant, as `monotonicNanoseconds()` counts, at which `turn` must be called again; nil for none.
    var wakeAt: UInt64? { get }

    /// Handles one command from the mailbox.
    func receive(_ command: Command)

    /// Called once per turn, after the commands, regardless of what woke the thread.
    func turn(readable: Bool, writable: Bool)

    /// The last call to the owner: it must close the handle and fail every request that still waits. All commands that
    /// `send` accepted have been passed to `receive` by then.
    func stop()
}

/// One operating-system thread that owns one C handle: a `PGconn` or an `amqp_connection_state_t`.
///
/// libpq and librabbitmq block and are not thread safe, and the cooperative thread pool must not run blocking calls. A
/// handle therefore lives on one thread and needs no lock. `PostgresConnection`, `PostgresReplication`, `AMQPPublisher`
/// and `AMQPConsumer` have one handle thread each. `AMQPTopology` starts one per call, and one watchdog thread serves
/// all AMQP connections of the process.
///
/// Data flow: any task calls `send`, which appends a command to the mailbox and never waits. The first command in an
/// empty mailbox writes to an eventfd, which ends the thread's `poll`. The thread passes the commands to the owner's
/// `receive`, in the order in which they were sent, and then calls the owner's `turn`, which reads and writes the
/// socket. The owner returns results by resuming continuations, whose tasks go on elsewhere, or by calling callbacks,
/// which run on the handle thread: a slow callback delays the connection.
///
/// Invariants:
/// - The owner is created, called and released on this thread only.
/// - Every command that `send` accepted reaches `receive` exactly once, before the owner's `stop`.
/// - The mailbox has no bound. Callers bound the commands they have under way: the pool by its connections, the
///   publisher by its window.
///
/// End: `stop()` or the release of the last reference closes the mailbox. The thread delivers the commands that were
/// sent before, calls the owner's `stop` and ends. `ends()` waits for that.
///
/// Failure: a lost connection is a state of the owner and does not end the thread. After the mailbox is closed `send`
/// returns false, and the caller must fail its request itself. When the system provides no eventfd or no thread, `init`
/// throws: the connection that was to be made has failed, and the process goes on.
package final class HandleThread<Owner: HandleOwner>: Sendable {
    private let mailbox: Mailbox<Owner.Command>
    private let ended: Ended

    /// Starts the thread. `makeOwner` runs on it.
    ///
    /// - Parameters:
    ///   - name: Shown by `ps -L` and debuggers; cut to 15 bytes.
    ///   - makeOwner: Creates the owner. It must not block for long, because commands can already be sent.
    package init(name: String, makeOwner: @escaping @Sendable () -> Owner) throws(HandleThreadError) {
        let mailbox = try Mailbox<Owner.Command>()
        let ended = Ended()
        self.mailbox = mailbox
        self.ended = ended
        try startThread(name: name) {
            Self.run(owner: makeOwner(), mailbox: mailbox)
            ended.finish()
        }
    }

    deinit {
        mailbox.close()
    }

    /// Puts a command into the mailbox and wakes the thread. Never blocks. The mailbox is unbounded: the caller must
    /// bound the number of its commands.
    ///
    /// - Returns: False when the thread was told to stop. The command was not taken and will not be received.
    package func send(_ command: Owner.Command) -> Bool {
        mailbox.put(command)
    }

    /// Asks the thread to end after the commands sent so far. Further calls have no effect.
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

    /// The timeout for `poll` in milliseconds, at most one minute. It is rounded up so that the deadline has passed
    /// when `poll` returns. -1 means no timeout.
    private static func timeout(until deadline: UInt64?) -> Int32 {
        guard let deadline else { return -1 }
        let now = monotonicNanoseconds()
        guard deadline > now else { return 0 }
        return Int32(min((deadline - now + 999_999) / 1_000_000, 60_000))
    }
}

/// The system has no free descriptor or no free thread, so a handle thread cannot be started.
package enum HandleThreadError: Error, CustomStringConvertible {
    case noDescriptor(errno: Int32)
    case noThread(errno: Int32)

    package var description: String {
        switch self {
        case .noDescriptor(let code):
            "this process has no free file descriptor (\(String(cString: strerror(code)))); raise its limit (ulimit -n)"
        case .noThread(let code):
            "this process can start no further thread (\(String(cString: strerror(code)))); raise its limit (ulimit -u)"
        }
    }
}

/// The time of the monotonic clock in nanoseconds.
package func monotonicNanoseconds() -> UInt64 {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
}

/// The commands that wait for a handle thread, and the eventfd that wakes it.
private final class Mailbox<Command: Sendable>: Sendable {
    private struct State {
        var commands: [Command] = []
        var closed = false
    }

    private let state = Mutex(State())
    let descriptor: Int32

    init() throws(HandleThreadError) {
        let opened = quotastack_eventfd()
        guard opened >= 0 else { throw .noDescriptor(errno: errno) }
        descriptor = opened
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

/// Starts a detached thread with all signals blocked, so that the kernel delivers signals to a thread that handles
/// them.
private func startThread(name: String, _ body: @escaping @Sendable () -> Void) throws(HandleThreadError) {
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
    guard code == 0 else {
        start.release()
        throw .noThread(errno: code)
    }
}
