/// The measure of an event or a job.
package enum ModelDemand: Hashable, Sendable {
    case units(Int64)
    case quantities([String: Int64])
    /// Credits, independent of the price.
    case credits(Int64)

    /// The units that count against a quota; 0 for credits.
    package var total: Int64 {
        switch self {
        case .units(let units): return units
        case .quantities(let quantities):
            let exact = quantities.values.reduce(Int128(0)) { $0 + Int128($1) }
            return Int64(min(exact, Int128(Int64.max)))
        case .credits: return 0
        }
    }

    /// The units of a dimension; "" for units without dimensions.
    func units(of dimension: String) -> Int64 {
        switch self {
        case .units(let units): dimension.isEmpty ? units : 0
        case .quantities(let quantities): quantities[dimension] ?? 0
        case .credits: 0
        }
    }

    package var isCredits: Bool {
        if case .credits = self { true } else { false }
    }

    /// The larger of two demands, per dimension; nil if their measures differ.
    package func maximum(_ other: ModelDemand) -> ModelDemand? {
        switch (self, other) {
        case (.units(let left), .units(let right)): return .units(max(left, right))
        case (.credits(let left), .credits(let right)): return .credits(max(left, right))
        case (.quantities(let left), .quantities(let right)):
            return .quantities(left.merging(right) { max($0, $1) })
        default: return nil
        }
    }
}

/// One tier of a price.
package struct ModelTier: Hashable, Sendable {
    /// The last unit of the tier; nil means no end.
    package let upTo: Int64?
    package let cost: Int64
    package let fee: Int64

    package init(upTo: Int64?, cost: Int64, fee: Int64 = 0) {
        self.upTo = upTo
        self.cost = cost
        self.fee = fee
    }
}

/// A price row: the attributes that it matches, and the price.
package struct ModelRow: Hashable, Sendable {
    package let match: [String: String]
    package let price: ModelPrice

    package init(match: [String: String], price: ModelPrice) {
        self.match = match
        self.price = price
    }
}

/// A price that carries fractions: a row and a dimension of a rule.
package struct ModelSumKey: Hashable, Sendable {
    let row: Int
    let dimension: String
}

/// All events of a price that carries fractions.
package struct ModelSum: Hashable, Sendable {
    /// The exact cost, in parts of a millicredit.
    var exact: Int128 = 0
    /// The millicredits charged.
    var charged: Int128 = 0
}

/// The price of a feature's units.
package indirect enum ModelPrice: Hashable, Sendable {
    case flat(Int64)
    /// With `carries` the account is charged the exact sum of all its events, rounded up once.
    case perUnit(Int64, per: Int64, carries: Bool = false)
    case package(size: Int64, cost: Int64)
    case graduated([ModelTier], perPeriod: Bool)
    case volume([ModelTier])
    case dimensions([String: ModelPrice])
    case rows([ModelRow])

    /// The cost of an event, and the units by which it fills the period's tiers.
    package struct Charge: Equatable, Sendable {
        package var cost: Int64
        package var filled: [String: Int64] = [:]
        /// The sums of prices that carry fractions after the event, by row and dimension.
        package var sums: [ModelSumKey: ModelSum] = [:]
        /// The parts of the cost that prices which carry fractions have charged, by dimension.
        package var carried: [String: Int64] = [:]
    }

    /// The cost of a number of units without earlier usage; nil if it is beyond the range of amounts.
    package func cost(_ units: Int64) -> Int64? {
        let exact = exactCost(units, used: 0)
        return exact <= Int128(ModelLedger.largestAmount) ? Int64(exact) : nil
    }

    /// - Parameters:
    ///   - used: The period's earlier units, by dimension; "" for prices without dimensions.
    ///   - sums: The sums of earlier events of prices that carry fractions.
    ///   - row: The place of the row that this is the price of.
    package func charge(
        _ demand: ModelDemand, attributes: [String: String], used: [String: Int64],
        sums: [ModelSumKey: ModelSum] = [:], row: Int = 0
    ) throws(ModelLedger.Refusal) -> Charge {
        switch self {
        case .rows(let rows):
            for (place, row) in rows.enumerated()
            where row.match.allSatisfy({ attributes[$0.key] == $0.value }) {
                return try row.price.charge(demand, attributes: attributes, used: used, sums: sums, row: place)
            }
            throw ModelLedger.Refusal("feature_not_priced")
        case .dimensions(let prices):
            guard case .quantities(let quantities) = demand else { throw ModelLedger.Refusal("quantities_expected") }
            try requireKnownDimensions(demand)
            var sum: Int128 = 0
            var charge = Charge(cost: 0)
            for (name, price) in prices {
                let key = ModelSumKey(row: row, dimension: name)
                sum += try price.add(quantities[name] ?? 0, key, used[name] ?? 0, sums[key], to: &charge)
            }
            charge.cost = try Self.inRange(sum)
            return charge
        default:
            guard case .units(let units) = demand else { throw ModelLedger.Refusal("units_expected") }
            var charge = Charge(cost: 0)
            let key = ModelSumKey(row: row, dimension: "")
            charge.cost = try Self.inRange(try add(units, key, used[""] ?? 0, sums[key], to: &charge))
            return charge
        }
    }

    /// Refuses a dimension that has no price.
    func requireKnownDimensions(_ demand: ModelDemand) throws(ModelLedger.Refusal) {
        guard case .dimensions(let prices) = self, case .quantities(let quantities) = demand else { return }
        if let unknown = quantities.keys.sorted().first(where: { prices[$0] == nil }) {
            throw ModelLedger.Refusal("unknown_dimension \(unknown)")
        }
    }

    /// The price that applies to an event with these attributes; nil if no row matches.
    package func chosen(by attributes: [String: String]) -> ModelPrice? {
        row(for: attributes)?.price
    }

    /// The place of the row that applies to an event with these attributes, and its price; nil if no row matches.
    func row(for attributes: [String: String]) -> (place: Int, price: ModelPrice)? {
        guard case .rows(let rows) = self else { return (0, self) }
        return rows.enumerated().first { $0.element.match.allSatisfy { attributes[$0.key] == $0.value } }.map {
            ($0.offset, $0.element.price)
        }
    }

    /// The price of a dimension; "" for a price without dimensions.
    func price(of dimension: String) -> ModelPrice? {
        guard case .dimensions(let prices) = self else { return dimension.isEmpty ? self : nil }
        return prices[dimension]
    }

    /// The growth of a demand beyond an earlier one, restricted to dimensions that depend on earlier events, or to the
    /// others.
    func part(_ demand: ModelDemand, ofPeriod: Bool, beyond earlier: ModelDemand? = nil) -> ModelDemand {
        func isOfPeriod(_ price: ModelPrice?) -> Bool {
            switch price {
            case .graduated(_, perPeriod: true), .perUnit(_, per: _, carries: true): true
            default: false
            }
        }
        switch (self, demand) {
        case (.dimensions(let prices), .quantities(let quantities)):
            var before: [String: Int64] = [:]
            if case .quantities(let earlier) = earlier { before = earlier }
            let part = quantities.filter { isOfPeriod(prices[$0.key]) == ofPeriod }
            return .quantities(
                Dictionary(uniqueKeysWithValues: part.map { ($0.key, $0.value - (before[$0.key] ?? 0)) }))
        case (_, .units(let units)):
            guard isOfPeriod(self) == ofPeriod else { return .units(0) }
            if case .units(let before) = earlier { return .units(units - before) }
            return demand
        default: return demand
        }
    }

    private func add(
        _ units: Int64, _ key: ModelSumKey, _ used: Int64, _ sum: ModelSum?, to charge: inout Charge
    ) throws(ModelLedger.Refusal) -> Int128 {
        if case .graduated(_, perPeriod: true) = self, units > 0 {
            _ = try Self.inRange(Int128(used) + Int128(units))
            charge.filled[key.dimension] = units
        }
        if case .perUnit(let cost, let per, carries: true) = self {
            if units == 0 { return 0 }
            var sum = sum ?? ModelSum()
            sum.exact += Int128(units) * Int128(cost)
            let due = max(0, (sum.exact + Int128(per) - 1) / Int128(per) - sum.charged)
            charge.carried[key.dimension] = try Self.inRange(due)
            sum.charged += due
            charge.sums[key] = sum
            return due
        }
        let cost = exactCost(units, used: used)
        _ = try Self.inRange(cost)
        return cost
    }

    private static func inRange(_ amount: Int128) throws(ModelLedger.Refusal) -> Int64 {
        guard amount <= Int128(ModelLedger.largestAmount) else { throw ModelLedger.Refusal("amount_out_of_range") }
        return Int64(amount)
    }

    private func exactCost(_ units: Int64, used: Int64) -> Int128 {
        if units == 0 { return 0 }
        let count = Int128(units)
        switch self {
        case .flat(let amount): return Int128(amount)
        case .perUnit(let cost, let per, _): return (count * Int128(cost) + Int128(per) - 1) / Int128(per)
        case .package(let size, let cost): return (count + Int128(size) - 1) / Int128(size) * Int128(cost)
        case .graduated(let tiers, let perPeriod):
            if !perPeriod { return Self.filling(tiers, count) }
            return Self.filling(tiers, Int128(used) + count) - Self.filling(tiers, Int128(used))
        case .volume(let tiers):
            for tier in tiers where tier.upTo.map({ units <= $0 }) ?? true {
                return count * Int128(tier.cost) + Int128(tier.fee)
            }
            return Int128(ModelLedger.largestAmount) + 1
        case .dimensions, .rows: return 0
        }
    }

    /// The cost of filling the tiers from the first unit up to a number of units.
    private static func filling(_ tiers: [ModelTier], _ units: Int128) -> Int128 {
        var sum: Int128 = 0
        var reached: Int128 = 0
        for tier in tiers where units > reached {
            let end = min(units, tier.upTo.map { Int128($0) } ?? units)
            sum += (end - reached) * Int128(tier.cost) + Int128(tier.fee)
            reached = end
        }
        return sum
    }
}
