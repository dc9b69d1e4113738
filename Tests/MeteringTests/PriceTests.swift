import Credits
import Metering
import Testing

@Suite("A price depends on the dimensions and the attributes of an event")
struct PriceTests {
    @Test("Dimensions round up each on their own, and the cost is the sum")
    func dimensions() throws {
        let price = Price(dimensions: ["input": try perThousand(3), "output": try perThousand(15)])
        let event = try price.priced(
            .quantities(["output": 1, "input": 1_001]), attributes: .none, used: PriorUsage())
        #expect(event.cost.rawValue == 4 + 1)
        #expect(event.lines.map(\.dimension) == ["input", "output"])
        #expect(event.lines.map(\.amount.rawValue) == [4, 1])
        #expect(try cost(price, ["input": 1_000]) == 3)
        #expect(try cost(price, [:]) == 0)
        #expect(try cost(price, ["input": 0, "output": 0]) == 0)
    }

    @Test("Each dimension fills the tiers of its own period")
    func dimensionPeriods() throws {
        let tiers = [Tier(upTo: 10, unitCost: .zero), Tier(upTo: nil, unitCost: try Millicredits(Int64(2)))]
        let price = Price(dimensions: [
            "input": .graduated(tiers, scope: .period), "output": .graduated(tiers, scope: .period),
            "calls": .graduated(tiers, scope: .event),
        ])
        let event = try price.priced(
            .quantities(["input": 5, "output": 5, "calls": 5]), attributes: .none,
            used: PriorUsage(used: ["input": 8, "calls": 1_000, "": 1_000]))
        #expect(event.cost.rawValue == 6)
        #expect(event.periodUnits == ["input": 5, "output": 5])
        #expect(!price.periodDimensions(for: .none).isEmpty)
    }

    @Test("An event that does not fit the price is refused with the part that does not fit")
    func misfits() throws {
        let dimensional = Price(dimensions: ["input": try perThousand(3)])
        let plain = Price(try perThousand(3))
        #expect(throws: PricingFailure.wrongMeasure(.quantitiesExpected)) { try cost(dimensional, units: 1) }
        #expect(throws: PricingFailure.wrongMeasure(.unitsExpected)) { try cost(plain, ["input": 1]) }
        #expect(throws: PricingFailure.wrongMeasure(.unknownDimension("a"))) {
            try cost(dimensional, ["z": 1, "a": 0, "input": 1])
        }
        #expect(dimensional.affordableUnits(funds: 10, attributes: .none, used: PriorUsage()) == nil)
    }

    @Test("The sum over dimensions that leaves the range is refused")
    func sumOutOfRange() throws {
        let price = Price(dimensions: ["a": .flat(amount: .max), "b": .flat(amount: try Millicredits(Int64(1)))])
        #expect(try cost(price, ["a": 1]) == Millicredits.limit)
        #expect(throws: PricingFailure.outOfRange) { try cost(price, ["a": 1, "b": 1]) }
    }

    @Test("The first row that matches the attributes prices the event")
    func rows() throws {
        let price = Price(rows: [
            row(["model": .string("large"), "cached": .boolean(true)], try flat(1)),
            row(["model": .string("large")], try flat(10)),
            row(["size": .integer(3)], try flat(5)),
            Price.Row(match: .none, terms: .dimensions(["input": try flat(2)])),
        ])
        let table: [([String: AttributeValue], Int64)] = [
            (["model": .string("large"), "cached": .boolean(true), "more": .integer(1)], 1),
            (["model": .string("large"), "cached": .boolean(false)], 10),
            (["model": .string("large"), "size": .integer(3)], 10),
            (["model": .string("small"), "size": .integer(3)], 5),
        ]
        for (attributes, expected) in table {
            #expect(try cost(price, units: 1, Attributes(attributes)) == expected, "\(attributes)")
            #expect(
                price.affordableUnits(funds: expected - 1, attributes: Attributes(attributes), used: PriorUsage())
                    == 0)
        }
        for attributes in [["size": AttributeValue.string("3")], ["model": .string("Large")], [:]] {
            let event = try price.priced(
                .quantities(["input": 7]), attributes: Attributes(attributes), used: PriorUsage())
            #expect(event.cost.rawValue == 2, "\(attributes)")
            #expect(
                price.affordableUnits(funds: 9, attributes: Attributes(attributes), used: PriorUsage()) == nil)
        }
    }

    @Test("Without a row that matches there is no price")
    func noRow() throws {
        let price = Price(rows: [row(["model": .string("large")], try flat(10))])
        #expect(throws: PricingFailure.noMatchingRow) { try cost(price, units: 0) }
        #expect(price.affordableUnits(funds: 100, attributes: .none, used: PriorUsage()) == 0)
    }

    @Test("Strings match by their bytes: a combining accent differs from the accented letter")
    func bytes() throws {
        let price = Price(rows: [row(["city": .string("caf\u{E9}")], try flat(10))])
        #expect(try cost(price, units: 1, Attributes(["city": .string("caf\u{E9}")])) == 10)
        #expect(throws: PricingFailure.noMatchingRow) {
            try cost(price, units: 1, Attributes(["city": .string("cafe\u{301}")]))
        }
        #expect(AttributeValue.string("caf\u{E9}") != .string("cafe\u{301}"))
    }

    @Test("Attributes have one text, sorted by name")
    func canonicalText() {
        let attributes = Attributes(["b": .integer(-1), "a": .string("x\"é"), "c": .boolean(true)])
        #expect(attributes.canonicalJSON == #"{"a":"x\"é","b":-1,"c":true}"#)
        #expect(Attributes.none.canonicalJSON == "{}")
    }

    @Test("A measure's total saturates")
    func total() {
        #expect(Measure.units(7).total == 7)
        #expect(Measure.quantities(["a": 2, "b": 3]).total == 5)
        #expect(Measure.quantities(["a": .max, "b": 3]).total == .max)
        #expect(Measure.quantities([:]).total == 0)
    }

    private func row(_ match: [String: AttributeValue], _ model: PricingModel) -> Price.Row {
        Price.Row(match: Attributes(match), terms: .model(model))
    }

    private func flat(_ amount: Int64) throws -> PricingModel { .flat(amount: try Millicredits(amount)) }

    private func perThousand(_ unitCost: Int64) throws -> PricingModel {
        .perUnit(unitCost: try Millicredits(unitCost), perUnits: 1_000)
    }

    private func cost(_ price: Price, units: Int64, _ attributes: Attributes = .none) throws -> Int64 {
        try price.priced(.units(units), attributes: attributes, used: PriorUsage()).cost.rawValue
    }

    private func cost(_ price: Price, _ quantities: [String: Int64]) throws -> Int64 {
        try price.priced(.quantities(quantities), attributes: .none, used: PriorUsage()).cost.rawValue
    }
}
