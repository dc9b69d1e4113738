package import Credits
import Metering

/// The automatic top-up of an account: its rule, and the state of its requests.
///
/// The ledger only asks. The tenant charges its customer and answers each request with a top-up or a failure.
package struct AutoTopUp: Hashable, Sendable {
    /// Nil after the rule was deleted. The state below is kept for requests that can still be answered.
    package internal(set) var rule: AutoTopUpRule?
    /// The number of the latest request.
    package internal(set) var requestCount: Int32
    /// The request that waits for its answer; nil if none does. It is always the latest one.
    package internal(set) var open: TopUpRequest?
    /// The instant of the latest request, from which the cooldown counts.
    package internal(set) var lastRequestedAt: Instant?
    /// The window of the rule's ceiling in which the latest request was counted, and the number of requests in it.
    package internal(set) var counted: WindowCounter?
    /// Consecutive failures. A top-up for a request and a new rule set them back.
    package internal(set) var failures: Int32
    /// Whether the failures have reached the rule's number, so that no more requests are made.
    package internal(set) var isSuspended: Bool
    /// Whether a charge was refused for want of credits since the latest top-up. It counts as a balance below the
    /// threshold.
    package internal(set) var isShort: Bool

    package init(
        rule: AutoTopUpRule? = nil, requestCount: Int32 = 0, open: TopUpRequest? = nil,
        lastRequestedAt: Instant? = nil, counted: WindowCounter? = nil, failures: Int32 = 0, isSuspended: Bool = false,
        isShort: Bool = false
    ) {
        self.rule = rule
        self.requestCount = requestCount
        self.open = open
        self.lastRequestedAt = lastRequestedAt
        self.counted = counted
        self.failures = failures
        self.isSuspended = isSuspended
        self.isShort = isShort
    }

    /// The instant from which cooldown and ceiling allow a request; nil if neither has ever bounded one.
    var allowedAt: Instant? {
        guard let rule else { return nil }
        let cooldownEnd = lastRequestedAt.map { $0.adding(seconds: rule.cooldownSeconds) }
        guard let ceiling = rule.ceiling, let counted, counted.used >= Int64(ceiling.count) else { return cooldownEnd }
        return max(cooldownEnd ?? counted.window.end, counted.window.end)
    }

    /// The state after the rule was deleted.
    var withoutRule: AutoTopUp {
        AutoTopUp(requestCount: requestCount, open: open, lastRequestedAt: lastRequestedAt)
    }

    /// Counts a request in the window of an instant. A window that is open ends when it would have ended, also when the
    /// zone has changed since.
    mutating func countRequest(at instant: Instant, in zone: ZoneRules) {
        guard let ceiling = rule?.ceiling else { return }
        if let counted, counted.window.end > instant {
            self.counted?.used += 1
        } else {
            counted = WindowCounter(window: ceiling.window.calendarWindow(containing: instant, in: zone), used: 1)
        }
    }
}

/// A request to the tenant to top up the end user.
package struct TopUpRequest: Hashable, Sendable {
    /// A request without an answer lapses after 24 hours.
    package static let lifetimeSeconds: Int64 = 86_400

    package enum Status: String, Sendable, CaseIterable {
        /// Waits for its answer.
        case open
        /// Answered by a top-up, which is final.
        case paid
        /// Answered by a failure. A top-up for it is still credited.
        case failed
        /// Not answered in time. A top-up for it is still credited.
        case lapsed
    }

    /// 1, 2, 3, … inside the account.
    package let number: Int32
    /// The amount that a top-up brings which answers the request and names no other.
    package let amount: TopUp.Credits
    package let requestedAt: Instant
    package internal(set) var status: Status
    /// Nil for an open request.
    package internal(set) var answeredAt: Instant?

    package init(
        number: Int32, amount: TopUp.Credits, requestedAt: Instant, status: Status = .open, answeredAt: Instant? = nil
    ) {
        self.number = number
        self.amount = amount
        self.requestedAt = requestedAt
        self.status = status
        self.answeredAt = answeredAt
    }

    /// The instant at which the request lapses if it is still open.
    var lapsesAt: Instant { requestedAt.adding(seconds: Self.lifetimeSeconds) }
}

/// An optional `AutoTopUp` behind a reference. Nearly all accounts have none, and a replica holds all accounts.
struct AutoTopUpBox: Hashable, Sendable {
    private final class Storage: Sendable {
        let value: AutoTopUp

        init(_ value: AutoTopUp) {
            self.value = value
        }
    }

    private let storage: Storage?

    init(_ value: AutoTopUp?) {
        storage = value.map { Storage($0) }
    }

    var value: AutoTopUp? { storage?.value }

    static func == (left: AutoTopUpBox, right: AutoTopUpBox) -> Bool {
        left.storage === right.storage || left.value == right.value
    }

    func hash(into hasher: inout Hasher) { hasher.combine(value) }
}
