import Credits
import Metering
import SeededRandom
import Testing

@Suite("A price model turns units into a cost")
struct PricingModelTests {
    @Test(
        "A flat price is the same for any number of units, and nothing for none",
        arguments: [(0, 0), (1, 250), (2, 250), (.max, 250)] as [(Int64, Int64)])
    func flat(units: Int64, cost: Int64) throws {
        #expect(try PricingModel.flat(amount: amount(250)).cost(units: units).rawValue == cost)
    }

    @Test(
        "A price per units is rounded up once, to a whole millicredit",
        arguments: [
            // 3 mc per 1,000 tokens
            (3, 1_000, 0, 0), (3, 1_000, 1, 1), (3, 1_000, 333, 1), (3, 1_000, 334, 2), (3, 1_000, 666, 2),
            (3, 1_000, 667, 3), (3, 1_000, 1_000, 3), (3, 1_000, 1_001, 4), (3, 1_000, 1_000_000, 3_000),
            // whole prices never round
            (1_000, 1, 1, 1_000), (1_000, 1, 50, 50_000), (7, 7, 13, 13),
            // 1 mc per 3
            (1, 3, 1, 1), (1, 3, 3, 1), (1, 3, 4, 2), (1, 3, 6, 2),
            // free
            (0, 1, 1_000_000, 0), (0, 1_000, .max, 0),
            // one unit of very many
            (1, .max, 1, 1), (1, .max, .max, 1), (2, .max, .max, 2),
        ] as [(Int64, Int64, Int64, Int64)])
    func perUnit(unitCost: Int64, perUnits: Int64, units: Int64, cost: Int64) throws {
        let model = PricingModel.perUnit(unitCost: try Millicredits(unitCost), perUnits: perUnits)
        #expect(try model.cost(units: units).rawValue == cost)
    }

    @Test(
        "The largest amount is a cost, and one more is refused without wrapping",
        arguments: [
            (1, 1, Millicredits.limit), (Millicredits.limit, 1, 1), (Millicredits.limit, 1_000, 1_000),
            (Millicredits.limit, .max, .max), (1, 1_000, Millicredits.limit * 1_000),
        ] as [(Int64, Int64, Int64)])
    func largestCost(unitCost: Int64, perUnits: Int64, units: Int64) throws {
        let model = PricingModel.perUnit(unitCost: try Millicredits(unitCost), perUnits: perUnits)
        #expect(try model.cost(units: units) == .max)
        guard units < .max else { return }
        #expect(throws: AmountOutOfRange()) { try model.cost(units: units + 1) }
    }

    @Test(
        "A cost beyond the range is refused, however far",
        arguments: [(2, 1, .max), (Millicredits.limit, 1, .max), (Millicredits.limit, 1, 2), (1_025, 1, .max)]
            as [(Int64, Int64, Int64)])
    func beyond(unitCost: Int64, perUnits: Int64, units: Int64) throws {
        let model = PricingModel.perUnit(unitCost: try Millicredits(unitCost), perUnits: perUnits)
        #expect(throws: AmountOutOfRange()) { try model.cost(units: units) }
    }

    @Test(
        "Funds buy the units that they pay in full",
        arguments: [
            (3, 1_000, 0, 0), (3, 1_000, 1, 333), (3, 1_000, 2, 666), (3, 1_000, 3, 1_000), (3, 1_000, 4, 1_333),
            (1_000, 1, 999, 0), (1_000, 1, 1_000, 1), (1_000, 1, 49_999, 49), (0, 1, 0, Millicredits.limit),
            (1, .max, 1, Millicredits.limit), (1, 1, Millicredits.limit, Millicredits.limit),
        ] as [(Int64, Int64, Int64, Int64)])
    func affordable(unitCost: Int64, perUnits: Int64, funds: Int64, units: Int64) throws {
        let model = PricingModel.perUnit(unitCost: try Millicredits(unitCost), perUnits: perUnits)
        #expect(model.affordableUnits(funds: try Millicredits(funds)) == units)
    }

    @Test("A flat price is affordable for any number of units or for none")
    func affordableFlat() throws {
        let model = PricingModel.flat(amount: try amount(250))
        #expect(try model.affordableUnits(funds: amount(249)) == 0)
        #expect(try model.affordableUnits(funds: amount(250)) == Millicredits.limit)
        #expect(PricingModel.flat(amount: .zero).affordableUnits(funds: .zero) == Millicredits.limit)
    }

    @Test("The cost of random events is the exact quotient rounded up", arguments: [1, 2, 3, 4] as [UInt64])
    func exactCost(seed: UInt64) throws {
        var random = SeededGenerator(seed: seed)
        for _ in 0..<2_000 {
            let unitCost = random.magnitude(upTo: Millicredits.limit)
            let perUnits = max(1, random.magnitude(upTo: .max))
            let units = random.magnitude(upTo: .max)
            let expected = Self.costByLongDivision(units: units, unitCost: unitCost, perUnits: perUnits)
            let model = PricingModel.perUnit(unitCost: try Millicredits(unitCost), perUnits: perUnits)
            let cost = try? model.cost(units: units).rawValue
            try #require(cost == expected, "seed \(seed): \(units) × \(unitCost) / \(perUnits)")
        }
    }

    @Test("What funds afford is exactly the most units that cost no more", arguments: [5, 6, 7, 8] as [UInt64])
    func exactAffordability(seed: UInt64) throws {
        var random = SeededGenerator(seed: seed)
        for _ in 0..<2_000 {
            let price = try Millicredits(random.magnitude(upTo: Millicredits.limit))
            let model: PricingModel =
                random.next() % 8 == 0
                ? .flat(amount: price)
                : .perUnit(unitCost: price, perUnits: max(1, random.magnitude(upTo: .max)))
            let funds = try Millicredits(random.magnitude(upTo: Millicredits.limit))
            let units = model.affordableUnits(funds: funds)
            try #require(units >= 0 && units <= Millicredits.limit)
            try #require(try model.cost(units: units) <= funds, "seed \(seed): \(model) at \(funds)")
            if units < Millicredits.limit {
                let more = try? model.cost(units: units + 1)
                try #require(more.map { $0 > funds } ?? true, "seed \(seed): \(model) at \(funds)")
            }
        }
    }

    private func amount(_ value: Int64) throws -> Millicredits {
        try Millicredits(value)
    }

    /// Full-width product, divided by hand; nil when the quotient is beyond the largest amount.
    private static func costByLongDivision(units: Int64, unitCost: Int64, perUnits: Int64) -> Int64? {
        let product = units.magnitude.multipliedFullWidth(by: unitCost.magnitude)
        guard product.high < perUnits.magnitude else { return nil }
        let (quotient, remainder) = perUnits.magnitude.dividingFullWidth(product)
        let limit = Millicredits.limit.magnitude
        guard quotient < limit || (quotient == limit && remainder == 0) else { return nil }
        return Int64(quotient) + (remainder > 0 ? 1 : 0)
    }
}
