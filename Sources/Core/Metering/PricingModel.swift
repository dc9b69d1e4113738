package import Credits

/// One tier: the units from just above the previous tier up to `upTo`, and their cost.
package struct Tier: Hashable, Sendable {
    /// The last unit of the tier, counted from 1. It rises from tier to tier. Nil for the last tier, which has no end.
    package let upTo: Int64?
    /// Not negative.
    package let unitCost: Millicredits
    /// Not negative. Charged once if at least one unit is in the tier.
    package let flatFee: Millicredits

    package init(upTo: Int64?, unitCost: Millicredits, flatFee: Millicredits = .zero) {
        self.upTo = upTo
        self.unitCost = unitCost
        self.flatFee = flatFee
    }
}

/// The units that fill the tiers of a graduated price.
package enum TierScope: String, Hashable, Sendable, CaseIterable {
    /// Every event begins in the first tier.
    case event
    /// An event continues where the period's earlier events ended.
    case period
}

/// The rounding of a `per_unit` price.
package enum Rounding: String, Hashable, Sendable, CaseIterable {
    /// Each event is rounded up by itself.
    case event
    /// The account keeps what was charged beyond the exact sum, so that all its events together are rounded up once.
    case carry
}

/// The formula that turns units into a cost. Zero units cost nothing in every model. Amounts are not negative.
package enum PricingModel: Hashable, Sendable {
    /// `amount` per event, whatever the number of units.
    case flat(amount: Millicredits)
    /// `ceil(units × unitCost / perUnits)`; `perUnits` is at least 1. With `carry` an event costs `ceil(S + x) − ceil(S)`
    /// for its exact cost `x` and the exact sum `S` of the events before it.
    case perUnit(unitCost: Millicredits, perUnits: Int64, rounding: Rounding = .event)
    /// `ceil(units / size) × cost`; `size` is at least 1.
    case package(size: Int64, cost: Millicredits)
    /// The units of each tier at the tier's unit cost, plus the flat fee of each tier that is entered.
    case graduated([Tier], scope: TierScope)
    /// All units at the unit cost of the tier that contains their number, plus the flat fee of that tier.
    case volume([Tier])

    /// Whether more units may cost less.
    var isVolume: Bool {
        if case .volume = self { true } else { false }
    }

    /// Whether the cost of an event depends on the period's earlier units.
    package var isPeriodScoped: Bool {
        if case .graduated(_, .period) = self { return true }
        return false
    }

    /// Whether the account keeps a remainder between events.
    package var carries: Bool {
        if case .perUnit(_, _, .carry) = self { true } else { false }
    }

    /// Whether the cost of an event depends on events before it. A job's growth is then priced like an event of its own.
    package var isCumulative: Bool { isPeriodScoped || carries }
}

/// The kinds of lines in a price's breakdown.
package enum PriceLineKind: String, Hashable, Sendable, CaseIterable {
    /// A flat price.
    case flat
    /// Units at `unitCost` per `perUnits` units.
    case perUnit = "per_unit"
    /// Whole packages of `perUnits` units at `unitCost` each.
    case package
    /// Units in a tier, at the tier's unit cost.
    case tier
    /// The flat fee of a tier. The line before it has the tier's units.
    case flatFee = "flat_fee"
}

/// One addend of an event's cost.
package struct PriceLine: Hashable, Sendable {
    package let kind: PriceLineKind
    /// Nil for a rule without dimensions.
    package let dimension: String?
    /// The tier, counted from 1; nil in a model without tiers.
    package let tier: Int?
    /// The units that the line charges; 0 for the kind `flatFee`.
    package let units: Int64
    package let unitCost: Millicredits?
    package let perUnits: Int64?
    /// The part of the cost in this line, in millicredits.
    package let amount: Millicredits
}

extension PricingModel {
    /// The addends of an event's cost; empty for zero units.
    ///
    /// - Parameters:
    ///   - dimension: The dimension of the lines.
    ///   - used: The period's units before the event. Only models of scope `period` use it.
    ///   - remainder: The part of earlier charges that exceeds their exact sum, in parts of `perUnits` of a
    ///     millicredit. Only a model that carries fractions uses it.
    /// - Throws: `outOfRange` if a line is outside the range of `Millicredits`.
    func lines(
        units: Int64, dimension: String?, used: Int64, remainder: Int64
    ) throws(PricingFailure) -> [PriceLine] {
        guard units > 0 else { return [] }
        switch self {
        case .flat(let amount):
            return [
                PriceLine(
                    kind: .flat, dimension: dimension, tier: nil, units: units, unitCost: nil, perUnits: nil,
                    amount: amount)
            ]
        case .perUnit(let unitCost, let perUnits, let rounding):
            let owed = Int128(units) * Int128(unitCost.rawValue) - (rounding == .carry ? Int128(remainder) : 0)
            let cost = max(0, owed).dividedRoundingUp(by: perUnits)
            return [
                PriceLine(
                    kind: .perUnit, dimension: dimension, tier: nil, units: units, unitCost: unitCost,
                    perUnits: perUnits, amount: try inRange(cost))
            ]
        case .package(let size, let packageCost):
            let cost = Int128(units).dividedRoundingUp(by: size) * Int128(packageCost.rawValue)
            return [
                PriceLine(
                    kind: .package, dimension: dimension, tier: nil, units: units, unitCost: packageCost,
                    perUnits: size, amount: try inRange(cost))
            ]
        case .graduated(let tiers, let scope):
            let before = scope == .period ? Int128(max(used, 0)) : 0
            let after = before + Int128(units)
            var lines: [PriceLine] = []
            for span in TierSpan.all(of: tiers) {
                let inTier = min(after, span.end) - max(before, span.start)
                guard inTier > 0 else { continue }
                try span.charge(inTier, entered: before <= span.start, dimension: dimension, into: &lines)
            }
            return lines
        case .volume(let tiers):
            var lines: [PriceLine] = []
            guard let span = TierSpan.all(of: tiers).first(where: { Int128(units) <= $0.end }) else { return [] }
            try span.charge(Int128(units), entered: true, dimension: dimension, into: &lines)
            return lines
        }
    }

    /// The largest number of units of one event, at most `ceiling`, that cost at most `funds`, which is not negative.
    ///
    /// The parameters `used` and `remainder` are those of `lines`.
    func affordableUnits(funds: Int64, ceiling: Int64, used: Int64, remainder: Int64) -> Int64 {
        let most = Int128(ceiling)
        let funds = Int128(max(funds, 0))
        let units: Int128
        switch self {
        case .flat(let amount):
            units = Int128(amount.rawValue) <= funds ? most : 0
        case .perUnit(let unitCost, let perUnits, let rounding):
            // ceil((u × c − r) / p) ≤ f holds exactly when u × c ≤ f × p + r.
            let paid = funds * Int128(perUnits) + (rounding == .carry ? Int128(remainder) : 0)
            units = unitCost > .zero ? max(0, paid) / Int128(unitCost.rawValue) : most
        case .package(let size, let cost):
            units = cost > .zero ? funds / Int128(cost.rawValue) * Int128(size) : most
        case .graduated(let tiers, .event):
            units = Self.affordableGraduated(tiers, funds: funds, from: 0)
        case .graduated(let tiers, .period):
            // The units of a period must stay in the range of amounts as well.
            let before = Int128(max(used, 0))
            let room = Int128(Millicredits.limit) - before
            units = max(0, min(Self.affordableGraduated(tiers, funds: funds, from: before), room))
        case .volume(let tiers):
            units = Self.affordableByVolume(tiers, funds: funds, ceiling: most)
        }
        return Int64(min(units, most))
    }

    /// Fills tier after tier while the funds last. This is exact, because a graduated cost never falls with more units.
    private static func affordableGraduated(_ tiers: [Tier], funds: Int128, from before: Int128) -> Int128 {
        var units: Int128 = 0
        var left = funds
        for span in TierSpan.all(of: tiers) where span.end > before {
            let room = span.end - max(before, span.start)
            if before <= span.start { left -= span.flatFee }
            guard left >= 0 else { break }
            let affordable = span.unitCost > 0 ? min(left / span.unitCost, room) : room
            units += affordable
            guard affordable == room else { break }
            left -= room * span.unitCost
        }
        return units
    }

    /// Searches from the last tier backwards, because more units may cost less. The first tier in which any number of
    /// units is affordable has the largest such number.
    private static func affordableByVolume(_ tiers: [Tier], funds: Int128, ceiling: Int128) -> Int128 {
        for span in TierSpan.all(of: tiers).reversed() where span.flatFee <= funds {
            let last = min(span.end, ceiling)
            let units = span.unitCost > 0 ? min((funds - span.flatFee) / span.unitCost, last) : last
            if units > span.start { return units }
        }
        return 0
    }
}

extension PricingModel {
    /// The remainder after some units: what was charged beyond the exact sum. Nil if it is out of range, and for a model
    /// that carries no fractions.
    ///
    /// - Parameters:
    ///   - before: The remainder before them.
    ///   - cost: The millicredits that they cost; negative, as are the units, when a charge is taken back.
    package func remainder(after units: Int64, costing cost: Int64, before: Int64) -> Int64? {
        guard case .perUnit(let unitCost, let perUnits, .carry) = self else { return nil }
        let exact = Int128(units) * Int128(unitCost.rawValue)
        return Int64(exactly: Int128(before) + Int128(cost) * Int128(perUnits) - exact)
    }
}

/// A tier between its bounds: the units above `start` up to and including `end`.
private struct TierSpan {
    let number: Int
    let start: Int128
    let end: Int128
    let tier: Tier
    var unitCost: Int128 { Int128(tier.unitCost.rawValue) }
    var flatFee: Int128 { Int128(tier.flatFee.rawValue) }

    /// Larger than the sum of any two numbers of units.
    private static let endless: Int128 = 1 << 65

    static func all(of tiers: [Tier]) -> [TierSpan] {
        var spans: [TierSpan] = []
        spans.reserveCapacity(tiers.count)
        for tier in tiers {
            spans.append(
                TierSpan(
                    number: spans.count + 1, start: spans.last?.end ?? 0,
                    end: tier.upTo.map { Int128($0) } ?? endless, tier: tier))
        }
        return spans
    }

    /// Adds the lines for units in the tier.
    ///
    /// - Parameter entered: Whether the flat fee is due, because the event's units enter the tier.
    func charge(
        _ units: Int128, entered: Bool, dimension: String?, into lines: inout [PriceLine]
    ) throws(PricingFailure) {
        lines.append(
            PriceLine(
                kind: .tier, dimension: dimension, tier: number, units: Int64(units), unitCost: tier.unitCost,
                perUnits: nil, amount: try inRange(units * unitCost)))
        guard entered, tier.flatFee > .zero else { return }
        lines.append(
            PriceLine(
                kind: .flatFee, dimension: dimension, tier: number, units: 0, unitCost: nil, perUnits: nil,
                amount: tier.flatFee))
    }
}

extension Int128 {
    /// - Precondition: The number is not negative, and the divisor is at least 1.
    fileprivate func dividedRoundingUp(by divisor: Int64) -> Int128 {
        (self + Int128(divisor) - 1) / Int128(divisor)
    }
}

func inRange(_ amount: Int128) throws(PricingFailure) -> Millicredits {
    do {
        return try Millicredits(amount)
    } catch {
        throw .outOfRange
    }
}
