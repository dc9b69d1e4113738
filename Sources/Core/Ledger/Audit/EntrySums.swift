package import Credits
package import Metering

/// The sums of an account's entries, added up one entry after another: the numbers that a checkpoint stores.
///
/// Checkpoints are made by SQL. This is the same in another way, against which they are checked.
package struct EntrySums: Sendable {
    /// The entries of one type that changed a block.
    package struct Part: Hashable, Sendable {
        package var amount: Int128 = 0
        package var held: Int128 = 0
        package var count: Int64 = 0
        /// The sequence of the first of these entries; `last` is that of the last one.
        package var first: Int64
        package var last: Int64
    }

    /// The credits that a reservation holds of a block.
    package struct Hold: Hashable, Sendable {
        package var amount: Int128 = 0
        /// The sequence of the first entry that changed the hold; `last` is that of the last one.
        package var first: Int64
        package var last: Int64
    }

    package struct ReservationSums: Hashable, Sendable {
        package var featureKey: FeatureKey?
        /// The most units that a commit has stated; nil before the first commit.
        package var units: Int128?
        /// By block, also those of which nothing is held any more.
        package var holds: [Int32: Hold] = [:]
    }

    package struct Usage: Hashable, Sendable {
        package var charges: Int64 = 0
        package var units: Int128 = 0
        package var cost: Int128 = 0

        mutating func add(_ charge: Charge) {
            charges += charge.count
            units += charge.units
            cost += charge.cost
        }
    }

    /// The charge of one entry. `units` counts only the units that the entry added to its reservation.
    struct Charge: Sendable {
        let quarter: Instant
        let attributes: Attributes
        /// 0 for what a job got back as a part of its price.
        let count: Int64
        let units: Int128
        let cost: Int128
    }

    package private(set) var lifetimeGranted: Int128 = 0
    package private(set) var blocks: [Int32: [EntryType: Part]] = [:]
    package private(set) var reservations: [Int32: ReservationSums] = [:]
    /// The blocks with remaining credits.
    package private(set) var openBlocks: Set<Int32> = []
    /// The reservations that hold credits.
    package private(set) var heldReservations: Set<Int32> = []

    // Since the last call of `startSpan`:
    package private(set) var changedBlocks: Set<Int32> = []
    package private(set) var changedReservations: Set<Int32> = []
    private var charges: [FeatureKey?: [Charge]] = [:]

    package init() {}

    /// Begins a new span: forgets what has changed, and the usage, but no sums.
    package mutating func startSpan() {
        changedBlocks = []
        changedReservations = []
        charges = [:]
    }

    // MARK: - Usage in the span

    /// The features with usage; nil is usage without a feature.
    package var usedFeatures: Set<FeatureKey?> { Set(charges.keys) }

    /// The usage of a feature by quarter of an hour.
    package func usage(of feature: FeatureKey?) -> [Instant: Usage] {
        charges[feature, default: []].reduce(into: [:]) { usage, charge in
            usage[charge.quarter, default: Usage()].add(charge)
        }
    }

    /// The usage of a feature by the value of an attribute and by quarter of an hour; nil is usage without the attribute.
    package func usage(of feature: FeatureKey?, by attribute: String) -> [AttributeValue?: [Instant: Usage]] {
        charges[feature, default: []].reduce(into: [:]) { usage, charge in
            usage[charge.attributes.values[attribute], default: [:]][charge.quarter, default: Usage()].add(charge)
        }
    }

    // MARK: - Adding entries

    /// Adds an entry. The entries of an account must come in order of sequence.
    package mutating func take(_ entry: Entry) {
        if entry.amount > 0, [.grant, .adjust, .transfer].contains(entry.type) {
            lifetimeGranted += Int128(entry.amount)
        }
        takeBlocks(entry)
        if let reservation = entry.cause.reservation { takeHolds(entry, of: reservation) }
        if entry.type == .use || entry.type == .commit || entry.cause.details.isSettlement { takeUsage(entry) }
    }

    private mutating func takeBlocks(_ entry: Entry) {
        let amounts = entry.allocations.totals
        let holds = entry.holds.totals
        for number in Set(amounts.keys).union(holds.keys) {
            var part = blocks[number]?[entry.type] ?? Part(first: entry.sequence, last: entry.sequence)
            part.amount += amounts[number] ?? 0
            part.held += holds[number] ?? 0
            part.count += 1
            part.last = entry.sequence
            blocks[number, default: [:]][entry.type] = part
            changedBlocks.insert(number)
            let remaining = blocks[number, default: [:]].values.reduce(0) { $0 + $1.amount }
            if remaining > 0 { openBlocks.insert(number) } else { openBlocks.remove(number) }
        }
    }

    private mutating func takeHolds(_ entry: Entry, of reservation: Int32) {
        var sums = reservations[reservation] ?? ReservationSums()
        for (number, amount) in entry.holds.totals {
            var hold = sums.holds[number] ?? Hold(first: entry.sequence, last: entry.sequence)
            hold.amount += amount
            hold.last = entry.sequence
            sums.holds[number] = hold
            // A reservation over several features has none, although each of its commits has one.
            let reserved = entry.type == .reserve ? entry.cause.featureKey : nil
            sums.featureKey = [sums.featureKey, reserved].compactMap(\.self).max()
            changedReservations.insert(reservation)
        }
        reservations[reservation] = sums
        if sums.holds.values.contains(where: { $0.amount > 0 }) {
            heldReservations.insert(reservation)
        } else {
            heldReservations.remove(reservation)
        }
    }

    private mutating func takeUsage(_ entry: Entry) {
        let measured =
            entry.cause.units.map { Int128($0) }
            ?? entry.cause.details.quantities.values.reduce(0) { $0 + Int128($1) }
        var added = measured
        if let reservation = entry.cause.reservation {
            let before = reservations[reservation]?.units
            added = entry.cause.details.addedUnits.map { Int128($0) } ?? max(0, measured - (before ?? 0))
            reservations[reservation]?.units = max(measured, before ?? measured)
            changedReservations.insert(reservation)
        }
        let quarter: Int64 = 900 * 1_000_000
        let start = entry.effectiveAt.microseconds.flooredDivision(by: quarter).quotient * quarter
        let charge = Charge(
            quarter: Instant(microseconds: start), attributes: entry.cause.details.attributes,
            count: entry.cause.details.isSettlement ? 0 : 1, units: added,
            cost: -Int128(entry.amount) - Int128(entry.cause.details.forfeited))
        charges[entry.cause.featureKey, default: []].append(charge)
    }
}

extension [Allocation] {
    fileprivate var totals: [Int32: Int128] {
        Dictionary(map { ($0.block, Int128($0.amount)) }, uniquingKeysWith: +)
    }
}
