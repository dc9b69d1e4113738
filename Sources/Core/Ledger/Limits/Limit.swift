import Credits
import Metering

extension Limit {
    /// The amount by which a demand counts.
    ///
    /// - Parameter cost: In millicredits.
    func counted(_ demand: Demand, cost: Int64) -> Int64 {
        switch unit {
        case .credits: cost
        case .concurrent: 1
        case .units: demand.units(in: dimension)
        }
    }

    /// The window at an instant for which nothing has been counted yet.
    ///
    /// - Parameter start: The start of the subscription from which windows of that anchor are counted; nil without one.
    func newWindow(at now: Instant, from start: Instant?, in zone: ZoneRules) -> TimeWindow {
        guard let window else { return .always }
        switch (anchor, start) {
        case (.firstUse, _): return window.window(openedAt: now, in: zone)
        case (.subscription, let start?) where start <= now:
            return window.duration.window(containing: now, from: start, in: zone)
        case (.subscription, _), (.calendar, _): return window.calendarWindow(containing: now, in: zone)
        }
    }
}

extension Limit {
    /// The amount for a number of seats, at most the largest amount.
    func amount(times quantity: Int32) -> Int64 {
        let (product, overflow) = amount.multipliedReportingOverflow(by: Int64(quantity))
        return overflow ? Millicredits.limit : min(product, Millicredits.limit)
    }
}

extension LimitKey {
    init(cap number: Int32, of account: AccountID) {
        self.init(cap: PublicID(.spendCap, account: account, number: Int64(number)))
    }
}
