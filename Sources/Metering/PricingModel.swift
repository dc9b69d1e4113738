package import Credits

/// How a metering rule turns units into a cost. Zero units cost nothing in every model.
package enum PricingModel: Hashable, Sendable {
    /// `amount` per event, whatever the number of units.
    case flat(amount: Millicredits)
    /// `ceil(units × unitCost / perUnits)`; `perUnits` is at least 1.
    case perUnit(unitCost: Millicredits, perUnits: Int64)

    /// The cost of one event of `units` (non-negative), rounded up to a whole millicredit, once.
    ///
    /// - Throws: `AmountOutOfRange` when the cost leaves the range of `Millicredits`.
    package func cost(units: Int64) throws(AmountOutOfRange) -> Millicredits {
        guard units > 0 else { return .zero }
        switch self {
        case .flat(let amount):
            return amount
        case .perUnit(let unitCost, let perUnits):
            let product = Int128(units) * Int128(unitCost.rawValue)
            return try Millicredits((product + Int128(perUnits) - 1) / Int128(perUnits))
        }
    }

    /// The most units of one event whose cost is at most `funds` (non-negative), never more than 2^53 − 1.
    ///
    /// For `perUnit`, `ceil(u × c / p) ≤ f` holds exactly when `u × c ≤ f × p`.
    package func affordableUnits(funds: Millicredits) -> Int64 {
        switch self {
        case .flat(let amount):
            return amount <= funds ? Millicredits.limit : 0
        case .perUnit(let unitCost, let perUnits):
            guard unitCost > .zero else { return Millicredits.limit }
            let units = Int128(max(funds, .zero).rawValue) * Int128(perUnits) / Int128(unitCost.rawValue)
            return Int64(min(units, Int128(Millicredits.limit)))
        }
    }
}
