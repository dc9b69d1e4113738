import Glibc
import Synchronization

/// A place in the program where a test can kill or freeze the process, to show that no data is lost there.
///
/// Failpoints are compiled into debug builds, and into release builds made with `QUOTASTACK_FAILPOINTS=1`. In other
/// builds `hit` does nothing. The part of the raw value before the dot names the part of the system that passes the
/// failpoint.
package enum Failpoint: String, Sendable, CaseIterable {
    case apiBeforePublish = "api.before_publish"
    case apiAfterConfirm = "api.after_confirm"
    case apiAfterReply = "api.after_reply"
    case apiBeforeReplicaWait = "api.before_replica_wait"
    case apiBeforeAnswer = "api.before_answer"

    case workerAfterTake = "worker.after_take"
    case workerAfterDecode = "worker.after_decode"
    case workerAfterLoad = "worker.after_load"
    case workerDuringDecide = "worker.during_decide"
    case workerAfterDecide = "worker.after_decide"
    case workerAfterCommit = "worker.after_commit"
    case workerAfterCatalogueCommit = "worker.after_catalogue_commit"
    case workerAfterReply = "worker.after_reply"
    case workerAfterAcknowledge = "worker.after_acknowledge"
    case workerBeforeRelease = "worker.before_release"
    case workerAfterRelease = "worker.after_release"

    case schedulerAfterRead = "scheduler.after_read"
    case schedulerAfterPublish = "scheduler.after_publish"

    case replicaAfterSlot = "replica.after_slot"
    case replicaDuringSnapshot = "replica.during_snapshot"
    case replicaBeforeLive = "replica.before_live"
    case replicaBeforeApply = "replica.before_apply"
    case replicaAfterApply = "replica.after_apply"

    /// Whether this build contains failpoints.
    package static var areCompiledIn: Bool {
        #if FAILPOINTS
            true
        #else
            false
        #endif
    }

    /// Kills or freezes the process if `arm` ordered it for this failpoint.
    ///
    /// - Parameter subject: The thing that is worked on, such as an end user id. Only orders with `:subject=` read it.
    package func hit(_ subject: @autoclosure () -> String = "") {
        #if FAILPOINTS
            guard let order = FailpointOrder.current.withLock({ $0.hit(self, subject) }) else { return }
            let text = "failpoint \(rawValue): \(order)\n"
            text.utf8.withContiguousStorageIfAvailable { _ = write(STDERR_FILENO, $0.baseAddress, $0.count) }
            // A signal to the process may be taken by another thread while this one goes on for a moment.
            _ = raise(order == .kill ? SIGKILL : SIGSTOP)
        #endif
    }

    /// Sets this process's order, which replaces an earlier one: `NAME:kill` or `NAME:freeze`, then optionally one
    /// condition: `:p=0.02` (each hit with that probability), `:n=5` (the fifth hit only; the default is 1) or
    /// `:subject=TEXT` (every hit with that subject).
    ///
    /// - Throws: `FailpointError` for an order that cannot be parsed, and in a build without failpoints.
    package static func arm(_ text: String) throws {
        #if FAILPOINTS
            let order = try FailpointOrder(text)
            FailpointOrder.current.withLock { $0 = order }
        #else
            throw FailpointError("this build has no failpoints: build with QUOTASTACK_FAILPOINTS=1")
        #endif
    }
}

/// A known bug that a test activates in a process, to show that the test would detect it.
package enum KnownBug: String, Sendable, CaseIterable {
    /// The worker acknowledges messages before it commits.
    case acknowledgeBeforeCommit = "acknowledge_before_commit"
    /// The worker does not check whether a command was decided before.
    case noIdempotencyCheck = "no_idempotency_check"
    /// The API publishes without `mandatory`, so the broker confirms messages that reach no queue.
    case noMandatoryFlag = "no_mandatory_flag"
    /// The worker releases a queue with `basic.cancel` while it still holds messages of that queue.
    case releaseByCancel = "release_by_cancel"
    /// A transaction of the worker takes commands whatever they cost.
    case unboundedTransactions = "unbounded_transactions"
    /// The API works on large bodies and long reads on its event loops.
    case longWorkOnEventLoops = "long_work_on_event_loops"
    /// An environment may have any number of undecided commands on an API node.
    case noCommandShares = "no_command_shares"
    /// The worker loads a changed catalogue whole.
    case wholeCatalogues = "whole_catalogues"
    /// The values of a body are counted after it was parsed.
    case noValueLimit = "no_value_limit"

    /// Whether the bug lets one tenant disturb another, and leaves the books right: `ops/torture neighbours` notices
    /// it, and a storm does not.
    package var disturbsNeighbours: Bool {
        switch self {
        case .acknowledgeBeforeCommit, .noIdempotencyCheck, .noMandatoryFlag, .releaseByCancel: false
        case .unboundedTransactions, .longWorkOnEventLoops, .noCommandShares, .wholeCatalogues, .noValueLimit: true
        }
    }

    /// Whether the bug is active in this process. Always false in a build without failpoints.
    package var isActive: Bool {
        #if FAILPOINTS
            Self.active.load(ordering: .relaxed) == Self.allCases.firstIndex(of: self)
        #else
            false
        #endif
    }

    #if FAILPOINTS
        private static let active = Atomic<Int>(-1)
    #endif

    /// Activates the bug with the given raw value in this process. It replaces an earlier one.
    ///
    /// - Throws: `FailpointError` for an unknown name, and in a build without failpoints.
    package static func activate(_ name: String) throws {
        #if FAILPOINTS
            guard let index = allCases.firstIndex(where: { $0.rawValue == name }) else {
                throw FailpointError("there is no known bug named \(name): use a raw value of KnownBug")
            }
            active.store(index, ordering: .relaxed)
        #else
            throw FailpointError("this build has no known bugs: build with QUOTASTACK_FAILPOINTS=1")
        #endif
    }
}

/// A failpoint order or a bug name that cannot be used.
package struct FailpointError: Error, CustomStringConvertible {
    package let description: String

    init(_ description: String) {
        self.description = description
    }
}

#if FAILPOINTS
    /// The action of a process at one of its failpoints, and the hits at which it is taken.
    private struct FailpointOrder {
        enum Action: String {
            case kill, freeze
        }

        private enum Trigger {
            case probability(Double)
            case time(Int)
            case subject(String)
        }

        static let current = Mutex<FailpointOrder?>(nil)

        private let failpoint: Failpoint
        private let action: Action
        private let trigger: Trigger
        private var hits = 0

        init(_ text: String) throws {
            let parts = text.split(separator: ":", maxSplits: 2).map(String.init)
            guard parts.count >= 2, let failpoint = Failpoint(rawValue: parts[0]),
                let action = Action(rawValue: parts[1])
            else { throw FailpointError("\(text) must be NAME:kill or NAME:freeze, where NAME is a failpoint") }
            self.failpoint = failpoint
            self.action = action
            guard parts.count == 3 else {
                trigger = .time(1)
                return
            }
            let condition = parts[2].split(separator: "=", maxSplits: 1).map(String.init)
            switch (condition.first, condition.last) {
            case ("p", let value?):
                guard let probability = Double(value), (0...1).contains(probability) else {
                    throw FailpointError("p must be a number from 0 to 1")
                }
                trigger = .probability(probability)
            case ("n", let value?):
                guard let time = Int(value), time > 0 else { throw FailpointError("n must be a whole number above 0") }
                trigger = .time(time)
            case ("subject", let value?): trigger = .subject(value)
            default: throw FailpointError("the condition \(parts[2]) must begin with p=, n= or subject=")
            }
        }

        fileprivate mutating func hit(_ failpoint: Failpoint, _ subject: () -> String) -> Action? {
            guard failpoint == self.failpoint else { return nil }
            hits += 1
            switch trigger {
            case .probability(let probability): return Double.random(in: 0..<1) < probability ? action : nil
            case .time(let time): return hits == time ? action : nil
            case .subject(let wanted): return subject() == wanted ? action : nil
            }
        }
    }

    extension FailpointOrder? {
        fileprivate mutating func hit(_ failpoint: Failpoint, _ subject: () -> String) -> FailpointOrder.Action? {
            self?.hit(failpoint, subject)
        }
    }
#endif
