package import Credits
package import Metering

/// The usage counted in one window of time.
package struct WindowCounter: Hashable, Sendable {
    package let window: TimeWindow
    package var used: Int64

    package init(window: TimeWindow, used: Int64) {
        self.window = window
        self.used = used
    }
}

/// The usage of an account in the windows of its quotas, spend caps and period tiers. A window that has ended counts as
/// unused. A reset therefore needs no job, and none can be missed.
package struct UsageCounters: Hashable, Sendable {
    /// Units by feature, against its quota.
    package var quotas: [FeatureKey: WindowCounter]
    /// Units by feature and dimension, for tiers that fill over a period. The dimension of a rule without dimensions is
    /// "".
    package var periods: [FeatureKey: [String: WindowCounter]]
    /// Millicredits by the number of the spend cap.
    package var caps: [Int32: WindowCounter]

    package init(
        quotas: [FeatureKey: WindowCounter] = [:], periods: [FeatureKey: [String: WindowCounter]] = [:],
        caps: [Int32: WindowCounter] = [:]
    ) {
        self.quotas = quotas
        self.periods = periods
        self.caps = caps
    }

    package static let none = UsageCounters()

    package var isEmpty: Bool { quotas.isEmpty && periods.isEmpty && caps.isEmpty }
}

// MARK: - Reading

extension UsageCounters {
    /// The state of a quota at an instant.
    package func state(of quota: Quota, feature: FeatureKey, zone: ZoneRules, now: Instant) -> QuotaState {
        let counter = quotas[feature]
        switch quota.anchor {
        case .calendar:
            let window = quota.window.calendarWindow(containing: now, in: zone)
            return QuotaState(quota: quota, used: counter.used(in: window, now: now), window: window)
        case .firstUse:
            if let counter, counter.window.contains(now) {
                return QuotaState(quota: quota, used: counter.used, window: counter.window)
            }
            return QuotaState(quota: quota, used: 0, window: quota.window.window(openedAt: now, in: zone))
        }
    }

    /// The state of a spend cap at an instant.
    package func state(of cap: SpendCap, zone: ZoneRules, now: Instant) -> SpendCapState {
        let window = cap.window.calendarWindow(containing: now, in: zone)
        return SpendCapState(cap: cap, spent: caps[cap.number].used(in: window, now: now), window: window)
    }

    /// The usage of a feature in the period that contains an instant: the calendar month in UTC.
    package func periodUsage(of feature: FeatureKey, now: Instant) -> PeriodUsage {
        guard let dimensions = periods[feature] else { return PeriodUsage(used: [:]) }
        let month = WindowLength.month.calendarWindow(containing: now, in: .utc)
        return PeriodUsage(used: dimensions.mapValues { Optional($0).used(in: month, now: now) })
    }
}

extension WindowCounter? {
    /// The usage counted so far in a window. It is 0 if the counter's window has ended or began at another instant:
    /// when the windows of a quota or a cap are changed, counting starts again unless both windows began together.
    fileprivate func used(in window: TimeWindow, now: Instant) -> Int64 {
        guard let self, self.window.start == window.start, now < self.window.end else { return 0 }
        return self.used
    }
}

// MARK: - Counting

extension UsageCounters {
    /// Counts units against a quota, in its open window.
    mutating func count(_ units: Int64, against state: QuotaState, feature: FeatureKey) {
        quotas[feature] = WindowCounter(window: state.window, used: Self.sum(state.used, units))
    }

    /// Counts millicredits against a spend cap, in its open window.
    mutating func count(_ credits: Int64, against state: SpendCapState) {
        caps[state.cap.number] = WindowCounter(window: state.window, used: Self.sum(state.spent, credits))
    }

    /// Corrects the usage that a reservation counts, in the windows in which it was made. Counters of other windows
    /// stay as they are.
    mutating func correct(
        _ windows: ReservationWindows, feature: FeatureKey, units: Int64, credits: Int64
    ) {
        if let start = windows.quota, let counter = quotas[feature], counter.window.start == start {
            quotas[feature]?.used = max(0, Self.sum(counter.used, units))
        }
        for (number, start) in windows.caps {
            if let counter = caps[number], counter.window.start == start {
                caps[number]?.used = max(0, Self.sum(counter.used, credits))
            }
        }
    }

    /// Counts units of period-scoped dimensions, in the month that contains an instant.
    mutating func count(_ units: [String: Int64], feature: FeatureKey, now: Instant) {
        guard !units.isEmpty else { return }
        let month = WindowLength.month.calendarWindow(containing: now, in: .utc)
        for (dimension, count) in units where count > 0 {
            let used = (periods[feature]?[dimension]).used(in: month, now: now)
            periods[feature, default: [:]][dimension] = WindowCounter(window: month, used: Self.sum(used, count))
        }
    }

    /// Drops the counters of windows that have ended, so that counters do not accumulate.
    mutating func forgetEnded(by now: Instant) {
        quotas = quotas.filter { $0.value.window.end > now }
        periods = periods.compactMapValues { dimensions in
            let open = dimensions.filter { $0.value.window.end > now }
            return open.isEmpty ? nil : open
        }
        caps = caps.filter { $0.value.window.end > now }
    }

    /// Adds and saturates at the largest `Int64` only. A counter may exceed every limit, because a job that gives units
    /// back must bring it down again.
    private static func sum(_ left: Int64, _ right: Int64) -> Int64 {
        let (sum, overflow) = left.addingReportingOverflow(right)
        return overflow ? .max : sum
    }
}
