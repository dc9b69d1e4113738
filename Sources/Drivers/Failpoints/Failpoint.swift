import Glibc
import Synchronization

/// A place in the program where a test can end or freeze the process, to show that nothing is lost there.
///
/// They are compiled into debug builds, and into a release build made with `QUOTASTACK_FAILPOINTS=1`; anywhere else
/// they are nothing. The part before the dot says in which processes the place is.
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

    /// Whether this build has failpoints at all.
    package static var areCompiledIn: Bool {
        #if FAILPOINTS
            true
        #else
            false
        #endif
    }

    /// Ends or freezes the process here when it was told to.
    ///
    /// - Parameter subject: What is being worked on, for orders that speak of one subject only.
    package func hit(_ subject: @autoclosure () -> String = "") {
        #if FAILPOINTS
            guard let order = FailpointOrder.current.withLock({ $0.hit(self, subject) }) else { return }
            let text = "failpoint \(rawValue): \(order)\n"
            text.utf8.withContiguousStorageIfAvailable { _ = write(STDERR_FILENO, $0.baseAddress, $0.count) }
            _ = kill(getpid(), order == .kill ? SIGKILL : SIGSTOP)
        #endif
    }

    /// Gives this process its order: `NAME:kill` or `NAME:freeze`, then optionally `:p=0.02` (each time with that
    /// probability), `:n=5` (the fifth time only; 1 when nothing is said) or `:subject=TEXT` (every time with that
    /// subject).
    ///
    /// - Throws: `FailpointError` for an order that cannot be carried out.
    package static func arm(_ text: String) throws {
        #if FAILPOINTS
            let order = try FailpointOrder(text)
            FailpointOrder.current.withLock { $0 = order }
        #else
            throw FailpointError("this build has no failpoints; make one with QUOTASTACK_FAILPOINTS=1")
        #endif
    }
}

/// A known mistake that a test puts into a process, to show that the test would notice it.
package enum KnownBug: String, Sendable, CaseIterable {
    /// The worker acknowledges before it commits.
    case acknowledgeBeforeCommit = "acknowledge_before_commit"
    /// The worker does not look whether a command was decided before.
    case noIdempotencyCheck = "no_idempotency_check"
    /// The API publishes without `mandatory`: what reaches no queue is confirmed.
    case noMandatoryFlag = "no_mandatory_flag"
    /// The worker gives a queue back with `basic.cancel` while it still holds messages of it.
    case releaseByCancel = "release_by_cancel"

    /// Whether this process has the mistake; never in a build without failpoints.
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

    /// Puts a mistake into this process.
    package static func activate(_ name: String) throws {
        #if FAILPOINTS
            guard let index = allCases.firstIndex(where: { $0.rawValue == name }) else {
                throw FailpointError("there is no known bug \(name)")
            }
            active.store(index, ordering: .relaxed)
        #else
            throw FailpointError("this build has no known bugs; make one with QUOTASTACK_FAILPOINTS=1")
        #endif
    }
}

/// An order that cannot be carried out.
package struct FailpointError: Error, CustomStringConvertible {
    package let description: String

    init(_ description: String) {
        self.description = description
    }
}

#if FAILPOINTS
    /// What a process shall do at one of its failpoints.
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
            else { throw FailpointError("\(text) is not NAME:kill or NAME:freeze with the name of a failpoint") }
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
                    throw FailpointError("p must be from 0 to 1")
                }
                trigger = .probability(probability)
            case ("n", let value?):
                guard let time = Int(value), time > 0 else { throw FailpointError("n must be 1 or more") }
                trigger = .time(time)
            case ("subject", let value?): trigger = .subject(value)
            default: throw FailpointError("\(parts[2]) is none of p=, n= and subject=")
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
