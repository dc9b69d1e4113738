import Credits
import Metering
import Testing

@Suite("A price model turns units into a cost")
struct PricingModelTests {
    private static let limit = Millicredits.limit

    @Test(
        "A flat price is the same for any number of units, and nothing for none",
        arguments: [(0, 0), (1, 250), (2, 250), (.max, 250)] as [(Int64, Int64)])
    func flat(units: Int64, cost: Int64) throws {
        #expect(try PricingModel.flat(amount: amount(250)).cost(units) == cost)
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
        #expect(try PricingModel.perUnit(unitCost: amount(unitCost), perUnits: perUnits).cost(units) == cost)
    }

    @Test(
        "Packages are sold whole",
        arguments: [
            (100, 40, 0, 0), (100, 40, 1, 40), (100, 40, 100, 40), (100, 40, 101, 80), (100, 40, 250, 120),
            (1, 7, 3, 21), (100, 0, 5, 0), (.max, 9, .max, 9), (.max - 1, 9, .max, 18),
        ] as [(Int64, Int64, Int64, Int64)])
    func package(size: Int64, price: Int64, units: Int64, cost: Int64) throws {
        #expect(try PricingModel.package(size: size, cost: amount(price)).cost(units) == cost)
    }

    @Test(
        "Graduated tiers charge each unit at the price of the tier it falls in",
        arguments: [
            (0, 0), (1, 10), (10_000, 100_000), (10_001, 100_005), (12_000, 110_000), (1_000_000, 5_050_000),
        ] as [(Int64, Int64)])
    func graduated(units: Int64, cost: Int64) throws {
        #expect(try PricingModel.graduated(twoTiers(), scope: .event).cost(units) == cost)
    }

    @Test(
        "A volume price charges all units at the price of the tier that their number falls in",
        arguments: [
            (0, 0), (1, 10), (10_000, 100_000), (10_001, 50_005), (12_000, 60_000),
        ] as [(Int64, Int64)])
    func volume(units: Int64, cost: Int64) throws {
        #expect(try PricingModel.volume(twoTiers()).cost(units) == cost)
    }

    @Test("A flat fee is charged once for each graduated tier entered, and for the one volume tier")
    func flatFees() throws {
        let tiers = [
            try Tier(upTo: 5, unitCost: amount(2), flatFee: amount(100)),
            try Tier(upTo: 10, unitCost: amount(1), flatFee: amount(30)),
            try Tier(upTo: nil, unitCost: .zero, flatFee: amount(7)),
        ]
        let graduated = PricingModel.graduated(tiers, scope: .event)
        let volume = PricingModel.volume(tiers)
        let table: [(units: Int64, graduated: Int64, volume: Int64)] = [
            (0, 0, 0), (1, 102, 102), (5, 110, 110), (6, 141, 36), (10, 145, 40), (11, 152, 7), (.max, 152, 7),
        ]
        for row in table {
            #expect(try graduated.cost(row.units) == row.graduated, "\(row.units) units")
            #expect(try volume.cost(row.units) == row.volume, "\(row.units) units")
        }
    }

    @Test(
        "Period tiers continue from the units that the period has used",
        arguments: [
            (0, 12_000, 110_000), (9_999, 1, 10), (9_999, 2, 15), (10_000, 1, 5), (12_000, 2_000, 10_000),
            (5_000, 7_000, 60_000),
        ] as [(Int64, Int64, Int64)])
    func period(used: Int64, units: Int64, cost: Int64) throws {
        let price = Price(.graduated(try twoTiers(), scope: .period))
        let event = try price.priced(.units(units), attributes: .none, used: PriorUsage(used: ["": used]))
        #expect(event.cost.rawValue == cost)
        #expect(event.periodUnits == ["": units])
        #expect(!price.periodDimensions(for: .none).isEmpty)
    }

    @Test("The flat fee of a tier is charged to the event of the period that enters it")
    func periodFlatFees() throws {
        let price = Price(
            .graduated(
                [
                    try Tier(upTo: 5, unitCost: amount(2), flatFee: amount(100)),
                    try Tier(upTo: nil, unitCost: amount(1), flatFee: amount(30)),
                ], scope: .period))
        for (used, units, cost) in [(0, 1, 102), (1, 4, 8), (5, 1, 31), (6, 1, 1), (4, 2, 33), (0, 6, 141)] {
            let usage = PriorUsage(used: ["": Int64(used)])
            let event = try price.priced(.units(Int64(units)), attributes: .none, used: usage)
            #expect(event.cost.rawValue == Int64(cost), "\(units) after \(used)")
        }
    }

    @Test("Only period tiers read and advance the usage of the period")
    func eventScope() throws {
        for model in [
            PricingModel.graduated(try twoTiers(), scope: .event), .volume(try twoTiers()), .flat(amount: .zero),
        ] {
            let price = Price(model)
            let event = try price.priced(
                .units(12_000), attributes: .none, used: PriorUsage(used: ["": 1_000_000]))
            #expect(event.cost.rawValue == (try model.cost(12_000)))
            #expect(event.periodUnits.isEmpty)
            #expect(price.periodDimensions(for: .none).isEmpty)
        }
    }

    @Test("The lines of a price add up to it and say what each is for")
    func lines() throws {
        let tiers = [
            try Tier(upTo: 5, unitCost: amount(2), flatFee: amount(100)), try Tier(upTo: nil, unitCost: amount(1)),
        ]
        let event = try Price(.graduated(tiers, scope: .event)).priced(
            .units(8), attributes: .none, used: PriorUsage())
        #expect(event.lines.map(\.kind) == [.tier, .flatFee, .tier])
        #expect(event.lines.map(\.tier) == [1, 1, 2])
        #expect(event.lines.map(\.units) == [5, 0, 3])
        #expect(event.lines.map(\.amount.rawValue) == [10, 100, 3])
        #expect(event.cost.rawValue == 113)
        let package = try Price(.package(size: 10, cost: amount(4))).priced(
            .units(11), attributes: .none, used: PriorUsage())
        #expect(package.lines.map(\.kind) == [.package])
        #expect(package.lines.map(\.perUnits) == [10])
        #expect(package.lines.map(\.unitCost?.rawValue) == [4])
    }

    @Test(
        "The largest amount is a cost, and one more is refused without wrapping",
        arguments: [
            (1, 1, limit), (limit, 1, 1), (limit, 1_000, 1_000), (limit, .max, .max), (1, 1_000, limit * 1_000),
        ] as [(Int64, Int64, Int64)])
    func largestCost(unitCost: Int64, perUnits: Int64, units: Int64) throws {
        let model = PricingModel.perUnit(unitCost: try amount(unitCost), perUnits: perUnits)
        #expect(try model.cost(units) == Self.limit)
        guard units < .max else { return }
        #expect(throws: PricingFailure.outOfRange) { try model.cost(units + 1) }
    }

    @Test("A cost beyond the range is refused, however far")
    func beyond() throws {
        let dear = [
            Tier(upTo: .max - 1, unitCost: .max, flatFee: .max), Tier(upTo: nil, unitCost: .max, flatFee: .max),
        ]
        let models: [PricingModel] = [
            .perUnit(unitCost: try amount(2), perUnits: 1), .perUnit(unitCost: .max, perUnits: 1),
            .perUnit(unitCost: try amount(1_025), perUnits: 1), .package(size: 1, cost: .max),
            .graduated(dear, scope: .event), .graduated(dear, scope: .period), .volume(dear),
        ]
        for model in models {
            #expect(throws: PricingFailure.outOfRange, "\(model)") { try model.cost(.max) }
            let used = PriorUsage(used: ["": .max])
            #expect((try? Price(model).priced(.units(.max), attributes: .none, used: used)) == nil, "\(model)")
        }
        let fees = [Tier(upTo: 1, unitCost: .zero, flatFee: .max), try Tier(upTo: nil, unitCost: amount(1))]
        #expect(try PricingModel.graduated(fees, scope: .event).cost(1) == Self.limit)
        #expect(throws: PricingFailure.outOfRange) { try PricingModel.graduated(fees, scope: .event).cost(2) }
    }

    @Test("A period counts no more than 2^53 − 1 units, even where they are free")
    func largestPeriod() throws {
        let price = Price(.graduated([Tier(upTo: nil, unitCost: .zero)], scope: .period))
        let used = PriorUsage(used: ["": Self.limit - 5])
        #expect(try price.priced(.units(5), attributes: .none, used: used).cost == .zero)
        #expect(throws: PricingFailure.outOfRange) { try price.priced(.units(6), attributes: .none, used: used) }
        #expect(price.affordableUnits(funds: 0, attributes: .none, used: used) == 5)
        let beyond = PriorUsage(used: ["": .max])
        #expect(price.affordableUnits(funds: 0, attributes: .none, used: beyond) == 0)
    }

    private func amount(_ value: Int64) throws -> Millicredits {
        try Millicredits(value)
    }

    private func twoTiers() throws -> [Tier] {
        [try Tier(upTo: 10_000, unitCost: amount(10)), try Tier(upTo: nil, unitCost: amount(5))]
    }
}

@Suite("Funds buy the most units that they pay in full")
struct AffordableUnitsTests {
    private static let limit = Millicredits.limit

    @Test(
        "At a price per units",
        arguments: [
            (3, 1_000, 0, 0), (3, 1_000, 1, 333), (3, 1_000, 2, 666), (3, 1_000, 3, 1_000), (3, 1_000, 4, 1_333),
            (1_000, 1, 999, 0), (1_000, 1, 1_000, 1), (1_000, 1, 49_999, 49), (0, 1, 0, limit), (1, .max, 1, limit),
            (1, 1, limit, limit), (1, 1, 2 * limit, limit), (3, 2, 2 * limit, limit / 3 * 2),
        ] as [(Int64, Int64, Int64, Int64)])
    func perUnit(unitCost: Int64, perUnits: Int64, funds: Int64, units: Int64) throws {
        #expect(try PricingModel.perUnit(unitCost: Millicredits(unitCost), perUnits: perUnits).affords(funds) == units)
    }

    @Test("A flat price is affordable for any number of units or for none")
    func flat() throws {
        let model = PricingModel.flat(amount: try Millicredits(Int64(250)))
        #expect(model.affords(249) == 0)
        #expect(model.affords(250) == Self.limit)
        #expect(PricingModel.flat(amount: .zero).affords(0) == Self.limit)
    }

    @Test(
        "At a price per package",
        arguments: [(0, 0), (39, 0), (40, 100), (79, 100), (80, 200), (limit, limit)] as [(Int64, Int64)])
    func package(funds: Int64, units: Int64) throws {
        #expect(try PricingModel.package(size: 100, cost: Millicredits(Int64(40))).affords(funds) == units)
        #expect(PricingModel.package(size: 100, cost: .zero).affords(funds) == Self.limit)
    }

    @Test(
        "At a graduated price, a tier whose fee cannot be paid is not entered",
        arguments: [
            (0, 0), (9, 0), (10, 0), (11, 0), (12, 1), (20, 5), (23, 5), (24, 6), (25, 7), (1_018, 1_000),
        ] as [(Int64, Int64)])
    func graduated(funds: Int64, units: Int64) throws {
        let tiers = [
            Tier(upTo: 5, unitCost: try Millicredits(Int64(2)), flatFee: try Millicredits(Int64(10))),
            Tier(upTo: nil, unitCost: try Millicredits(Int64(1)), flatFee: try Millicredits(Int64(3))),
        ]
        #expect(PricingModel.graduated(tiers, scope: .event).affords(funds) == units)
    }

    @Test(
        "At a volume price a larger number of units may be affordable while a smaller one is not",
        arguments: [
            (0, 0), (9, 0), (99, 9), (100, 10), (101, 101), (110, 110), (1_000, 1_000),
        ] as [(Int64, Int64)])
    func volume(funds: Int64, units: Int64) throws {
        // 100 units cost 1,000, but 101 cost 101.
        let tiers = [
            Tier(upTo: 100, unitCost: try Millicredits(Int64(10))),
            Tier(upTo: nil, unitCost: try Millicredits(Int64(1))),
        ]
        let model = PricingModel.volume(tiers)
        #expect(model.affords(funds) == units)
        #expect(try model.cost(model.affords(funds) ?? -1) <= funds)
    }

    @Test("A last volume tier that is free is affordable without funds")
    func freeVolume() throws {
        let tiers = [Tier(upTo: 100, unitCost: .max), Tier(upTo: nil, unitCost: .zero)]
        #expect(PricingModel.volume(tiers).affords(0) == Self.limit)
    }
}

extension PricingModel {
    /// The cost of one event without attributes, at the beginning of a period.
    func cost(_ units: Int64) throws -> Int64 {
        try Price(self).priced(.units(units), attributes: .none, used: PriorUsage()).cost.rawValue
    }

    func affords(_ funds: Int64) -> Int64? {
        Price(self).affordableUnits(funds: funds, attributes: .none, used: PriorUsage())
    }
}
