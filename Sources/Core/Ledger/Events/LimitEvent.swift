package import Catalogue
package import Credits
import JSON
package import Metering

/// The data of an event of a limit.
package struct LimitEvent: Hashable, Sendable {
    /// One of the types of limits.
    package let type: EventType
    package let key: LimitKey
    package let unit: Limit.Unit
    /// The percentage of a warning; nil for the other types.
    package let percentage: Int?
    /// In the limit's unit.
    package let used: Int64
    package let limit: Int64
    /// The end of the window; nil for a limit without windows.
    package let resetsAt: Instant?
    /// Whether each value of an attribute has a counter of its own.
    package let isPerValue: Bool
    /// The value of the counter; nil for null.
    package let perValue: String?

    /// Whether the tenant is told of this percentage of a limit when it was told of others up to `told`.
    fileprivate init(
        _ type: EventType, _ state: LimitState, percentage: Int? = nil, used: Int64, resetsAt: Instant?
    ) {
        self.type = type
        key = state.applied.key
        unit = state.limit.unit
        self.percentage = percentage
        self.used = used
        limit = state.limit.amount
        self.resetsAt = resetsAt
        isPerValue = state.limit.per != nil
        perValue = state.value
    }

    /// The event that a new window of a limit has begun.
    init(reset exhausted: ExhaustedLimit, _ applied: AppliedLimit) {
        type = .quotaReset
        key = applied.key
        unit = applied.limit.unit
        percentage = nil
        used = 0
        limit = applied.limit.amount
        resetsAt = nil
        isPerValue = false
        perValue = nil
    }

    var data: JSONValue {
        var members: [(key: String, value: JSONValue)] = [
            ("limit_key", .string(key.rawValue)), ("unit", .string(unit.rawValue)),
        ]
        if let percentage { members.append(("percentage", .integer(Int64(percentage)))) }
        members += [("used", .integer(used)), ("limit", .integer(limit))]
        if type != .quotaReset { members.append(("resets_at", .optional(resetsAt?.description))) }
        if isPerValue { members.append(("per_value", .optional(perValue))) }
        return .object(JSONObject(members: members))
    }
}

/// A limit of units that was exhausted in a window which is still open. The tenant is told when the next one begins.
package struct ExhaustedLimit: Hashable, Sendable {
    /// The most that an account keeps. An account has fewer limits; the others are earlier definitions of them.
    static let maximumCount = 100

    package let counter: CounterID
    /// The end of the window.
    package let resetsAt: Instant

    package init(counter: CounterID, resetsAt: Instant) {
        self.counter = counter
        self.resetsAt = resetsAt
    }
}

extension WindowCounter {
    /// The value of `told` after the tenant was told that the limit is exhausted, above every percentage.
    static let exhausted: Int16 = 101
}

extension AccountDraft {
    /// Records what the tenant is told of limits whose usage has risen: each percentage of `warn_at` and the exhaustion once
    /// in a window, in ascending order.
    ///
    /// - Parameter states: The states before the usage was counted.
    mutating func tellLimits(_ states: [LimitState], _ context: ActionContext) {
        guard recorder.recorded.intersects(.ofLimits) else { return }
        for state in states where !state.isOver {
            // The counter of a window that is over stays until something counts in a later one.
            guard let counter = account.counters[state.counter], counter.window.contains(context.now) else { continue }
            let before = counter.window == state.window ? state.used : 0
            guard counter.used > before else { continue }
            tell(state, counter, before: before, context)
        }
    }

    private mutating func tell(_ state: LimitState, _ counter: WindowCounter, before: Int64, _ context: ActionContext) {
        let limit = state.limit
        // A limit without windows is told of at each crossing. Its counter knows nothing of before.
        let hasWindows = limit.window != nil
        func isTold(_ percentage: Int) -> Bool {
            hasWindows ? counter.told >= percentage : limit.isReached(percentage, by: before)
        }
        var told = counter.told
        func tell(_ type: EventType, _ percentage: Int? = nil) {
            guard recorder.recorded.contains(type) else { return }
            recorder.happened(
                .limit(
                    LimitEvent(
                        type, state, percentage: percentage, used: counter.used,
                        resetsAt: hasWindows ? counter.window.end : nil)), at: context.now, now: context.now)
        }
        for percentage in limit.warnAt where !isTold(percentage) && limit.isReached(percentage, by: counter.used) {
            tell(.limitWarning, percentage)
            told = Int16(percentage)
        }
        let wasExhausted = hasWindows ? counter.told >= WindowCounter.exhausted : before >= limit.amount
        if !wasExhausted, counter.used >= limit.amount {
            tell(limit.unit == .credits ? .spendCapReached : .quotaExhausted)
            told = WindowCounter.exhausted
            if limit.unit == .units, limit.per == nil, recorder.recorded.contains(.quotaReset) {
                account.awaitReset(of: state.counter, at: counter.window.end, context.catalogue)
            }
        }
        if hasWindows, told > counter.told { account.counters.note(told: told, state.counter) }
    }
}

extension Account {
    /// Takes note of an exhausted limit whose next window the tenant is told of.
    fileprivate mutating func awaitReset(of counter: CounterID, at end: Instant, _ catalogue: Catalogue) {
        if exhausted.count >= ExhaustedLimit.maximumCount {
            let known = Set(limits(catalogue).map { $0.counterID(value: nil) })
            exhausted.removeAll { !known.contains($0.counter) }
        }
        exhausted.append(ExhaustedLimit(counter: counter, resetsAt: end))
    }

    /// Records that new windows of exhausted limits have begun, in the order of the limits. Nothing is told of a limit that
    /// the end user does not have any more.
    mutating func resetLimits(
        at instant: Instant, now: Instant, in catalogue: Catalogue, into recorder: inout some EffectRecorder
    ) {
        guard exhausted.contains(where: { $0.resetsAt <= instant }) else { return }
        let over = exhausted.filter { $0.resetsAt <= instant }
        exhausted.removeAll { $0.resetsAt <= instant }
        for applied in limits(catalogue) where applied.limit.per == nil {
            let id = applied.counterID(value: nil)
            guard let ended = over.first(where: { $0.counter == id }) else { continue }
            recorder.happened(.limit(LimitEvent(reset: ended, applied)), at: instant, now: now)
        }
        // The account has changed, also where nobody is told.
        recorder.hasPassed()
    }
}

extension EventTypes {
    fileprivate static let ofLimits = EventTypes([.limitWarning, .quotaExhausted, .spendCapReached])
}
