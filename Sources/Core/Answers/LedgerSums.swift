package import Credits
package import JSON
package import Ledger

/// How an account stood after one of its entries.
package struct PastStanding: Hashable, Sendable {
    /// The sequence of that entry; 0 before the first.
    package let version: Int64
    package let balances: Balances
    package let overage: Int64
    package let lifetimeGranted: Int64

    package init(version: Int64, balances: Balances, overage: Int64, lifetimeGranted: Int64) {
        self.version = version
        self.balances = balances
        self.overage = overage
        self.lifetimeGranted = lifetimeGranted
    }
}

/// What an account's entries up to one of them made of a block.
package struct BlockFold: Hashable, Sendable {
    /// The entries of one type that touched the block, added up.
    package struct Part: Hashable, Sendable {
        package let type: EntryType
        /// The change of what remains, mc.
        package let amount: Int64
        /// The change of what is held, mc.
        package let held: Int64
        /// How many entries.
        package let count: Int64
        /// The sequences of the first and the last of them.
        package let first: Int64
        package let last: Int64

        package init(type: EntryType, amount: Int64, held: Int64, count: Int64, first: Int64, last: Int64) {
            self.type = type
            self.amount = amount
            self.held = held
            self.count = count
            self.first = first
            self.last = last
        }
    }

    /// As it was granted; what remains of it is the sum of the parts.
    package let granted: GrantedBlock
    /// By first sequence.
    package let parts: [Part]

    package init(granted: GrantedBlock, parts: [Part]) {
        self.granted = granted
        self.parts = parts
    }

    package var remaining: Int64 { parts.reduce(0) { $0 + $1.amount } }
    package var held: Int64 { parts.reduce(0) { $0 + $1.held } }
    package var available: Int64 { remaining - held }
}

/// What an account's entries up to one of them leave held by a reservation.
package struct HoldFold: Hashable, Sendable {
    /// The reservation's number.
    package let reservation: Int32
    package let featureKey: FeatureKey?
    /// What is held of each block, above zero, by block.
    package let allocations: [Allocation]
    /// The sequences of the first and the last entry of the reservation.
    package let first: Int64
    package let last: Int64

    package init(reservation: Int32, featureKey: FeatureKey?, allocations: [Allocation], first: Int64, last: Int64) {
        self.reservation = reservation
        self.featureKey = featureKey
        self.allocations = allocations
        self.first = first
        self.last = last
    }

    package var held: Int64 { allocations.reduce(0) { $0 + $1.amount } }
}

/// What totals of usage are made for.
package enum UsageGrouping: String, Sendable, CaseIterable {
    /// Each local day.
    case day
    case feature
}

/// What was used and what it cost, added up. What was refunded since is not taken off.
package struct UsageTotal: Hashable, Sendable {
    /// Such as `2026-01-31`; nil unless grouped by day.
    package let day: String?
    /// Nil unless grouped by feature.
    package let featureKey: FeatureKey?
    /// How many entries charged: a reservation with progress has several.
    package let charges: Int64
    /// At most `Int64.max`.
    package let units: Int64
    /// mc; at most `Int64.max`.
    package let cost: Int64

    package init(day: String?, featureKey: FeatureKey?, charges: Int64, units: Int64, cost: Int64) {
        self.day = day
        self.featureKey = featureKey
        self.charges = charges
        self.units = units
        self.cost = cost
    }
}

extension JSONWriter {
    package mutating func usageTotal(_ total: UsageTotal) {
        beginObject()
        member("day", total.day)
        member("feature_key", total.featureKey?.rawValue)
        member("charges", total.charges)
        member("units", total.units)
        member("cost", total.cost)
        endObject()
    }
}
