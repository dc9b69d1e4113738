import Catalogue
import Credits
import Metering

// Ends of periods and windows are counted from an anchor and never from the end before, so no length drifts: 31 January
// plus one month is the last day of February, and plus two months it is 31 March.

extension BillingInterval {
    /// The first end of an interval after an instant.
    ///
    /// - Parameter count: The number of further ends to skip.
    func firstEnd(after instant: Instant, skipping count: Int64 = 0, from anchor: Instant, in zone: ZoneRules)
        -> Instant
    {
        firstBoundary(after: instant, skipping: count, from: anchor, shortest: shortestSeconds) {
            end(of: $0, from: anchor, in: zone)
        }.end
    }
}

extension BillingInterval {
    /// The window between two ends of intervals that contains an instant, which is not before the anchor.
    func window(containing instant: Instant, from anchor: Instant, in zone: ZoneRules) -> TimeWindow {
        firstBoundary(after: instant, from: anchor, shortest: shortestSeconds) { end(of: $0, from: anchor, in: zone) }
    }

    /// The seconds of the shortest interval, without changes of clocks.
    private var shortestSeconds: Int64 {
        let length: Int64 =
            switch unit {
            case .hour: 3_600
            case .day: 86_400
            case .week: 7 * 86_400
            case .month: 28 * 86_400
            case .year: 365 * 86_400
            }
        return Int64(count) * length
    }
}

extension CalendarDuration {
    /// The first instant after another one that is a whole number of durations after an anchor.
    func firstEnd(after instant: Instant, from anchor: Instant, in zone: ZoneRules) -> Instant {
        firstBoundary(after: instant, from: anchor, shortest: length) { boundary($0, from: anchor, in: zone) }.end
    }

    /// The window of whole durations from an anchor that contains an instant, which is not before the anchor.
    func window(containing instant: Instant, from anchor: Instant, in zone: ZoneRules) -> TimeWindow {
        firstBoundary(after: instant, from: anchor, shortest: length) { boundary($0, from: anchor, in: zone) }
    }

    /// The seconds of the shortest time that the duration stands for, without changes of clocks.
    private var length: Int64 { months * 28 * 86_400 + seconds }

    private func boundary(_ number: Int64, from anchor: Instant, in zone: ZoneRules) -> Instant {
        zone.adding(months: number * months, days: number * days, to: anchor).adding(seconds: number * time)
    }
}

/// The window between two neighbouring boundaries that contains an instant, which is not before the anchor.
///
/// - Parameters:
///   - count: The number of further windows that it lasts.
///   - shortest: The seconds of the shortest distance of two boundaries, without changes of clocks.
///   - boundary: The instant of a boundary by its number. It rises with the number.
private func firstBoundary(
    after instant: Instant, skipping count: Int64 = 0, from anchor: Instant, shortest: Int64,
    _ boundary: (Int64) -> Instant
) -> TimeWindow {
    let passed = max(0, instant.microseconds - anchor.microseconds) / 1_000_000
    var low: Int64 = 0
    // A change of clocks can move a boundary by a day, so the estimate may be too small.
    var high = passed / max(1, shortest) + 1
    while boundary(high) <= instant, high < Int64(Int32.max) { high *= 2 }
    while high - low > 1 {
        let middle = (low + high) / 2
        if boundary(middle) <= instant { low = middle } else { high = middle }
    }
    return TimeWindow(start: low == 0 ? anchor : boundary(low), end: boundary(high + count))
}

extension WindowLength {
    /// The windows of the calendar that a duration names: a day, a week and a month are local ones.
    init(calendarDuration duration: CalendarDuration) {
        switch (duration.months, duration.days, duration.time) {
        case (0, 1, 0): self = .day
        case (0, 7, 0): self = .week
        case (1, 0, 0): self = .month
        default: self = .duration(duration)
        }
    }
}

extension WindowLength {
    /// The length as a duration, for windows that do not follow the calendar.
    var duration: CalendarDuration {
        switch self {
        case .day: .day
        case .week: .week
        case .month: .month
        case .duration(let duration): duration
        }
    }
}
