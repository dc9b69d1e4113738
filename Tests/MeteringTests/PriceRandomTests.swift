import Credits
import Glibc
import Metering
import SeededRandom
import Testing

@Suite("Random prices equal those of counting unit by unit")
struct PriceRandomTests {
    private static let limit = Millicredits.limit
    private static let most = 250

    @Test("The cost and the affordable units equal those of counting", arguments: [1, 2, 3, 4] as [UInt64])
    func counting(seed: UInt64) throws {
        var random = SeededGenerator(seed: seed)
        for _ in 0..<150 {
            let model = try random.smallModel()
            let used = Int64.random(in: 0...40, using: &random)
            let usage = PriorUsage(used: ["": used])
            let price = Price(model)
            let counted = Self.costs(of: model, after: used)
            for (units, cost) in counted.enumerated() {
                let event = try price.priced(.units(Int64(units)), attributes: .none, used: usage)
                try #require(event.cost.rawValue == cost, "seed \(seed): \(units) after \(used) of \(model)")
                try #require(event.lines.reduce(0) { $0 + $1.amount.rawValue } == cost)
            }
            for funds in Int64(0)...40 {
                guard let affordable = counted.lastIndex(where: { $0 <= funds }) else { continue }
                // A price that is affordable up to the last counted unit is flat, free or in a package that reaches
                // further.
                if affordable < Self.most {
                    try #require(
                        price.affordableUnits(funds: funds, attributes: .none, used: usage) == Int64(affordable),
                        "seed \(seed): \(funds) mc after \(used) of \(model)")
                }
                let ceiling = Int.random(in: 0...Self.most, using: &random)
                try #require(
                    price.affordableUnits(
                        funds: funds, ceiling: Int64(ceiling), attributes: .none, used: usage)
                        == counted[...ceiling].lastIndex { $0 <= funds }.map { Int64($0) },
                    "seed \(seed): \(funds) mc, at most \(ceiling) units, after \(used) of \(model)")
            }
        }
    }

    @Test(
        "Nothing traps at the ends of the range, and affordable units cost no more than the funds",
        arguments: [5, 6, 7, 8])
    func ends(seed: UInt64) throws {
        var random = SeededGenerator(seed: seed)
        for _ in 0..<2_000 {
            let model = try random.anyModel()
            let price = Price(model)
            let usage = PriorUsage(used: ["": random.extreme()])
            let funds = min(random.extreme(), 2 * Self.limit)
            let units = try #require(price.affordableUnits(funds: funds, attributes: .none, used: usage))
            try #require(units >= 0 && units <= Self.limit)
            let cost = try price.priced(.units(units), attributes: .none, used: usage).cost.rawValue
            try #require(cost <= funds, "seed \(seed): \(model) at \(funds)")
            var more = (0..<8).map { _ in random.extreme() }
            more += [units + 1, units + 2, Self.limit] + model.tierEnds.flatMap { [$0, $0 == .max ? $0 : $0 + 1] }
            for candidate in more where candidate > units && candidate <= Self.limit {
                let dearer = try? price.priced(.units(candidate), attributes: .none, used: usage).cost.rawValue
                try #require(dearer.map { $0 > funds } ?? true, "seed \(seed): \(candidate) of \(model) at \(funds)")
            }
            _ = try? price.priced(.units(random.extreme()), attributes: .none, used: usage)
        }
    }

    @Test("An event over a period costs the same whole or in parts", arguments: [9, 10] as [UInt64])
    func parts(seed: UInt64) throws {
        var random = SeededGenerator(seed: seed)
        for _ in 0..<500 {
            let price = Price(.graduated(try random.smallTiers(), scope: .period))
            var usage = PriorUsage()
            var total: Int64 = 0
            for _ in 0..<10 {
                let units = Int64.random(in: 0...12, using: &random)
                let event = try price.priced(.units(units), attributes: .none, used: usage)
                usage.used[""] = (usage.used[""] ?? 0) + (event.periodUnits[""] ?? 0)
                total += event.cost.rawValue
            }
            let whole = try price.priced(.units(usage.used[""] ?? 0), attributes: .none, used: PriorUsage())
            try #require(whole.cost.rawValue == total, "seed \(seed)")
        }
    }

    @Test("An event that grows costs in the end what it would have cost at once", arguments: [15, 16] as [UInt64])
    func growth(seed: UInt64) throws {
        var random = SeededGenerator(seed: seed)
        for _ in 0..<500 {
            let models = [try random.smallModel(), try random.smallModel()]
            let price = Price(dimensions: ["a": models[0], "b": models[1]])
            let start = PriorUsage(used: ["a": Int64.random(in: 0...20, using: &random), "b": 3])
            var usage = start
            var reached: [String: Int64] = [:]
            var before: Measure?
            var total: Int64 = 0
            for _ in 0..<5 {
                for name in ["a", "b"] { reached[name, default: 0] += Int64.random(in: 0...9, using: &random) }
                let growth = try price.growth(
                    from: before, to: .quantities(reached), attributes: .none, used: usage)
                total += growth.cost.rawValue
                usage.used.merge(growth.periodUnits) { $0 + $1 }
                usage.remainders.merge(growth.remainders) { $1 }
                before = .quantities(reached)
            }
            let whole = try price.priced(.quantities(reached), attributes: .none, used: start)
            try #require(whole.cost.rawValue == total, "seed \(seed): \(reached) of \(models)")
            for (name, units) in whole.periodUnits {
                try #require(usage.used[name] == (start.used[name] ?? 0) + units, "seed \(seed)")
            }
        }
    }

    @Test(
        "A price that carries fractions costs the exact sum of its events rounded up once",
        arguments: [21, 22, 23] as [UInt64])
    func carriedSum(seed: UInt64) throws {
        var random = SeededGenerator(seed: seed)
        for _ in 0..<20 {
            let (unitCost, perUnits) = (
                Int64.random(in: 0...20, using: &random), Int64.random(in: 1...1_500, using: &random)
            )
            let price = Price(.perUnit(unitCost: try Millicredits(unitCost), perUnits: perUnits, rounding: .carry))
            var usage = PriorUsage()
            var (units, cost): (Int64, Int64) = (0, 0)
            for _ in 0..<Self.eventsPerRule {
                let event = Int64.random(in: 0...9, using: &random)
                let priced = try price.priced(.units(event), attributes: .none, used: usage)
                usage.remainders.merge(priced.remainders) { $1 }
                units += event
                cost += priced.cost.rawValue
                try #require(cost == (units * unitCost + perUnits - 1) / perUnits, "seed \(seed): \(units) of \(price)")
            }
        }
    }

    /// The number of events of each price that carries fractions.
    private static let eventsPerRule =
        getenv("QUOTASTACK_TEST_COMMANDS").flatMap { Int(String(cString: $0)) } ?? 2_000

    @Test("A price per units is the exact quotient rounded up", arguments: [11, 12, 13, 14] as [UInt64])
    func exactQuotient(seed: UInt64) throws {
        var random = SeededGenerator(seed: seed)
        for _ in 0..<2_000 {
            let unitCost = random.magnitude(upTo: Self.limit)
            let perUnits = max(1, random.magnitude(upTo: .max))
            let units = random.magnitude(upTo: .max)
            let expected = Self.costByLongDivision(units: units, unitCost: unitCost, perUnits: perUnits)
            let model = PricingModel.perUnit(unitCost: try Millicredits(unitCost), perUnits: perUnits)
            try #require((try? model.cost(units)) == expected, "seed \(seed): \(units) × \(unitCost) / \(perUnits)")
        }
    }

    @Test(
        "The row of an event is the one that reading the rows in their order finds",
        arguments: [17, 18, 19] as [UInt64])
    func rows(seed: UInt64) throws {
        var random = SeededGenerator(seed: seed)
        for _ in 0..<300 {
            let rows = try (0..<Int.random(in: 1...40, using: &random)).map { number in
                Price.Row(
                    match: random.attributes(upTo: 3), terms: .model(.flat(amount: try Millicredits(Int64(number)))))
            }
            let price = Price(rows: rows)
            for _ in 0..<40 {
                let attributes = random.attributes(upTo: 5)
                let expected = rows.first { $0.match.isSubset(of: attributes) }
                try #require(price.terms(for: attributes) == expected?.terms, "seed \(seed): \(attributes) of \(rows)")
            }
        }
    }

    /// The cost of 0, 1, 2, … units, counted one by one.
    private static func costs(of model: PricingModel, after used: Int64) -> [Int64] {
        var costs: [Int64] = [0]
        var numerator: Int64 = 0
        var cost: Int64 = 0
        for unit in 1...Int64(most) {
            switch model {
            case .flat(let amount): cost = amount.rawValue
            case .perUnit(let unitCost, let perUnits, _):
                numerator += unitCost.rawValue
                cost = numerator / perUnits + (numerator % perUnits > 0 ? 1 : 0)
            case .package(let size, let packageCost):
                if (unit - 1) % size == 0 { cost += packageCost.rawValue }
            case .graduated(let tiers, let scope):
                let place = (scope == .period ? used : 0) + unit
                let tier = tier(of: place, in: tiers)
                cost += tiers[tier].unitCost.rawValue
                if place == 1 || self.tier(of: place - 1, in: tiers) < tier { cost += tiers[tier].flatFee.rawValue }
            case .volume(let tiers):
                let tier = tiers[tier(of: unit, in: tiers)]
                cost = tier.flatFee.rawValue
                for _ in 1...unit { cost += tier.unitCost.rawValue }
            }
            costs.append(cost)
        }
        return costs
    }

    private static func tier(of place: Int64, in tiers: [Tier]) -> Int {
        tiers.firstIndex { $0.upTo.map { place <= $0 } ?? true } ?? tiers.endIndex
    }

    /// The full-width product, divided by hand; nil when the quotient is beyond the largest amount.
    private static func costByLongDivision(units: Int64, unitCost: Int64, perUnits: Int64) -> Int64? {
        let product = units.magnitude.multipliedFullWidth(by: unitCost.magnitude)
        guard product.high < perUnits.magnitude else { return nil }
        let (quotient, remainder) = perUnits.magnitude.dividingFullWidth(product)
        guard quotient < limit.magnitude || (quotient == limit.magnitude && remainder == 0) else { return nil }
        return Int64(quotient) + (remainder > 0 ? 1 : 0)
    }
}

extension PricingModel {
    fileprivate var tierEnds: [Int64] {
        switch self {
        case .graduated(let tiers, _), .volume(let tiers): tiers.compactMap(\.upTo)
        default: []
        }
    }
}

extension SeededGenerator {
    /// A number from 0 to the largest `Int64`. The ends, and the numbers next to the largest amount, are frequent.
    fileprivate mutating func extreme() -> Int64 {
        let limit = Millicredits.limit
        return chance(40) ? pick([0, 1, limit - 1, limit, limit + 1, .max - 1, .max]) : magnitude(upTo: .max)
    }

    /// Attributes of few names and values, so that rows often match several events and events several rows.
    fileprivate mutating func attributes(upTo most: Int) -> Attributes {
        var values: [String: AttributeValue] = [:]
        for _ in 0..<Int.random(in: 0...most, using: &self) {
            let number = Int64.random(in: 0...3, using: &self)
            values[pick(["a", "b", "c", "d", "e"])] = pick([
                .string("\(number)"), .integer(number), .boolean(number > 1), .integer(7),
            ])
        }
        return Attributes(values)
    }

    fileprivate mutating func smallModel() throws -> PricingModel {
        switch Int.random(in: 0..<6, using: &self) {
        case 0: .flat(amount: try small())
        case 1:
            .perUnit(
                unitCost: try small(), perUnits: Int64.random(in: 1...7, using: &self),
                rounding: chance(50) ? .carry : .event)
        case 2: .package(size: Int64.random(in: 1...9, using: &self), cost: try small())
        case 3: .graduated(try smallTiers(), scope: .event)
        case 4: .graduated(try smallTiers(), scope: .period)
        default: .volume(try smallTiers())
        }
    }

    fileprivate mutating func smallTiers() throws -> [Tier] {
        var end: Int64 = 0
        var tiers: [Tier] = []
        for _ in 0..<Int.random(in: 0...4, using: &self) {
            end += Int64.random(in: 1...12, using: &self)
            tiers.append(Tier(upTo: end, unitCost: try small(), flatFee: chance(50) ? .zero : try small()))
        }
        return tiers + [Tier(upTo: nil, unitCost: try small(), flatFee: chance(50) ? .zero : try small())]
    }

    private mutating func small() throws -> Millicredits {
        try Millicredits(Int64.random(in: 0...5, using: &self))
    }

    fileprivate mutating func anyModel() throws -> PricingModel {
        switch Int.random(in: 0..<6, using: &self) {
        case 0: .flat(amount: try anyAmount())
        case 1: .perUnit(unitCost: try anyAmount(), perUnits: max(1, extreme()))
        case 2: .package(size: max(1, extreme()), cost: try anyAmount())
        case 3: .graduated(try anyTiers(), scope: .event)
        case 4: .graduated(try anyTiers(), scope: .period)
        default: .volume(try anyTiers())
        }
    }

    private mutating func anyTiers() throws -> [Tier] {
        let ends = Set((0..<Int.random(in: 0...4, using: &self)).map { _ in max(1, extreme()) }).sorted()
        return try ends.map { Tier(upTo: $0, unitCost: try anyAmount(), flatFee: try anyAmount()) }
            + [Tier(upTo: nil, unitCost: try anyAmount(), flatFee: try anyAmount())]
    }

    private mutating func anyAmount() throws -> Millicredits {
        try Millicredits(chance(30) ? 0 : min(extreme(), Millicredits.limit))
    }
}
