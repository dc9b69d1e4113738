import Credits
import JSON
import Metering
import Testing

@Suite("A price has one text")
struct PriceJSONTests {
    @Test("Every kind of price is read from its text as it was written")
    func roundTrip() throws {
        for price in try Self.prices {
            let text = price.canonicalJSON
            let read = try Price(json: text)
            #expect(read == price, "\(text)")
            #expect(read.canonicalJSON == text)
        }
    }

    @Test("The text is that of the API, its members sorted by name")
    func text() throws {
        let tiers = [Tier(upTo: 10, unitCost: .max), Tier(upTo: nil, unitCost: .zero, flatFee: .max)]
        let table: [(Price, String)] = [
            (Price(.flat(amount: .zero)), #"{"amount":0,"model":"flat"}"#),
            (
                Price(.perUnit(unitCost: try Millicredits(Int64(3)), perUnits: 1_000)),
                #"{"model":"per_unit","per_units":1000,"unit_cost":3}"#
            ),
            (
                Price(.package(size: 100, cost: try Millicredits(Int64(40)))),
                #"{"model":"package","package_cost":40,"package_size":100}"#
            ),
            (
                Price(.graduated(tiers, scope: .period)),
                #"{"model":"graduated","scope":"period","tiers":[{"flat_fee":0,"unit_cost":9007199254740991,"up_to":10},"#
                    + #"{"flat_fee":9007199254740991,"unit_cost":0,"up_to":null}]}"#
            ),
            (
                Price(rows: [
                    Price.Row(
                        match: Attributes(["n": .integer(2), "b": .boolean(false)]),
                        terms: .dimensions(["d": .flat(amount: .zero)])),
                    Price.Row(match: .none, terms: .model(.flat(amount: .zero))),
                ]),
                #"{"price_rows":[{"dimensions":{"d":{"amount":0,"model":"flat"}},"match":{"b":false,"n":2}},"#
                    + #"{"amount":0,"match":{},"model":"flat"}]}"#
            ),
        ]
        for (price, text) in table { #expect(price.canonicalJSON == text) }
    }

    @Test("An optional member that is left out has its default")
    func defaults() throws {
        #expect(
            try Price(json: #"{"model":"per_unit","unit_cost":3}"#)
                == Price(.perUnit(unitCost: Millicredits(Int64(3)), perUnits: 1)))
        let tiers = #"[{"up_to":null,"unit_cost":0}]"#
        let graduated = Price(.graduated([Tier(upTo: nil, unitCost: .zero)], scope: .event))
        #expect(try Price(json: #"{"model":"graduated","tiers":\#(tiers)}"#) == graduated)
        #expect(
            try Price(json: #"{"model":"graduated","tiers":\#(tiers),"scope":null,"dimensions":null}"#) == graduated)
    }

    @Test("A text that is not a price is refused with the place of the error", arguments: refusals)
    func refused(text: String, pointer: String) throws {
        let problems = try #require(throws: JSONProblems.self) { try Price(json: text) }
        #expect(problems.problems.map(\.pointer).contains(pointer), "\(text): \(problems)")
    }

    private static let refusals: [(String, String)] = {
        let tier = #"{"up_to":null,"unit_cost":1}"#
        func tiers(_ list: String...) -> String { #"{"model":"graduated","tiers":[\#(list.joined(separator: ","))]}"# }
        return [
            ("{}", "/model"), (#"{"model":null}"#, "/model"), (#"{"model":"free"}"#, "/model"),
            (#"{"model":7}"#, "/model"),
            // Amounts and counts.
            (#"{"model":"flat"}"#, "/amount"), (#"{"model":"flat","amount":-1}"#, "/amount"),
            (#"{"model":"flat","amount":0.5}"#, "/amount"), (#"{"model":"flat","amount":9007199254740992}"#, "/amount"),
            (#"{"model":"flat","amount":99999999999999999999}"#, "/amount"),
            (#"{"model":"flat","amount":"1"}"#, "/amount"),
            (#"{"model":"flat","amount":1,"tiers":[]}"#, "/tiers"),
            (#"{"model":"per_unit"}"#, "/unit_cost"), (#"{"model":"per_unit","unit_cost":-1}"#, "/unit_cost"),
            (#"{"model":"per_unit","unit_cost":1,"per_units":0}"#, "/per_units"),
            (#"{"model":"per_unit","unit_cost":1,"per_units":9007199254740992}"#, "/per_units"),
            (#"{"model":"package","package_cost":1}"#, "/package_size"),
            (#"{"model":"package","package_size":0,"package_cost":1}"#, "/package_size"),
            (#"{"model":"package","package_size":1.5,"package_cost":1}"#, "/package_size"),
            (#"{"model":"package","package_size":1}"#, "/package_cost"),
            (#"{"model":"package","package_size":1,"package_cost":-1}"#, "/package_cost"),
            // Tiers.
            (#"{"model":"graduated"}"#, "/tiers"), (tiers(), "/tiers"),
            (#"{"model":"volume","tiers":{}}"#, "/tiers"), (#"{"model":"volume","tiers":[1]}"#, "/tiers/0"),
            (tiers(#"{"up_to":5,"unit_cost":1}"#), "/tiers/0/up_to"), (tiers(tier, tier), "/tiers/0/up_to"),
            (tiers(#"{"unit_cost":1}"#), "/tiers/0/up_to"), (tiers(#"{"unit_cost":1}"#, tier), "/tiers/0/up_to"),
            (tiers(#"{"up_to":0,"unit_cost":1}"#, tier), "/tiers/0/up_to"),
            (tiers(#"{"up_to":5,"unit_cost":1}"#, #"{"up_to":5,"unit_cost":1}"#, tier), "/tiers/1/up_to"),
            (tiers(#"{"up_to":5,"unit_cost":1}"#, #"{"up_to":4,"unit_cost":1}"#, tier), "/tiers/1/up_to"),
            (tiers(#"{"up_to":9007199254740992,"unit_cost":1}"#, tier), "/tiers/0/up_to"),
            (tiers(#"{"up_to":null}"#), "/tiers/0/unit_cost"),
            (tiers(#"{"up_to":null,"unit_cost":-1}"#), "/tiers/0/unit_cost"),
            (tiers(#"{"up_to":null,"unit_cost":1,"flat_fee":-1}"#), "/tiers/0/flat_fee"),
            (tiers(#"{"up_to":null,"unit_cost":1,"flat_fee":0.5}"#), "/tiers/0/flat_fee"),
            (tiers(#"{"up_to":null,"unit_cost":1,"fee":1}"#), "/tiers/0/fee"),
            (
                #"{"model":"volume","tiers":["#
                    + (1...32).map { #"{"up_to":\#($0),"unit_cost":1},"# }.joined() + tier + "]}", "/tiers"
            ),
            (#"{"model":"volume","scope":"period","tiers":[\#(tier)]}"#, "/scope"),
            (#"{"model":"volume","scope":"event","tiers":[\#(tier)]}"#, "/scope"),
            (#"{"model":"graduated","scope":"month","tiers":[\#(tier)]}"#, "/scope"),
            (#"{"model":"per_unit","unit_cost":1,"rounding":"up"}"#, "/rounding"),
            (#"{"model":"flat","amount":1,"rounding":"carry"}"#, "/rounding"),
            (#"{"model":"package","package_size":1,"package_cost":1,"rounding":"event"}"#, "/rounding"),
            (
                #"{"dimensions":{"a":{"model":"volume","rounding":"carry","tiers":[\#(tier)]}}}"#,
                "/dimensions/a/rounding"
            ),
            // Dimensions.
            (#"{"dimensions":{}}"#, "/dimensions"), (#"{"dimensions":[]}"#, "/dimensions"),
            (#"{"dimensions":{"a b":{"model":"flat","amount":1}}}"#, "/dimensions/a b"),
            (#"{"dimensions":{"":{"model":"flat","amount":1}}}"#, "/dimensions/"),
            (#"{"dimensions":{"a/b~":{"model":"flat","amount":1}}}"#, "/dimensions/a~1b~0"),
            (#"{"dimensions":{"a":{"model":"flat","amount":-1}}}"#, "/dimensions/a/amount"),
            (#"{"dimensions":{"a":null}}"#, "/dimensions/a"),
            (#"{"dimensions":{"a":{"dimensions":{}}}}"#, "/dimensions/a/model"),
            (#"{"dimensions":{"a":{"model":"flat","amount":1,"unit_cost":1}}}"#, "/dimensions/a/unit_cost"),
            (#"{"dimensions":{"a":{"model":"flat","amount":1}},"model":"flat","amount":1}"#, "/dimensions"),
            (#"{"dimensions":{"a":{"model":"flat","amount":1}},"amount":1}"#, "/amount"),
            (
                #"{"dimensions":{"#
                    + (0...16).map { #""d\#($0)":{"model":"flat","amount":1}"# }.joined(separator: ",") + "}}",
                "/dimensions"
            ),
            // Rows.
            (#"{"price_rows":[]}"#, "/price_rows"), (#"{"price_rows":{}}"#, "/price_rows"),
            (#"{"price_rows":[{"model":"flat","amount":1}]}"#, "/price_rows/0/match"),
            (#"{"price_rows":[{"match":{}}]}"#, "/price_rows/0/model"),
            (#"{"price_rows":[{"match":[],"model":"flat","amount":1}]}"#, "/price_rows/0/match"),
            (#"{"price_rows":[{"match":{"m":1.5},"model":"flat","amount":1}]}"#, "/price_rows/0/match/m"),
            (#"{"price_rows":[{"match":{"m":null},"model":"flat","amount":1}]}"#, "/price_rows/0/match/m"),
            (#"{"price_rows":[{"match":{"m":[]},"model":"flat","amount":1}]}"#, "/price_rows/0/match/m"),
            (
                #"{"price_rows":[{"match":{"m":"\#(String(repeating: "x", count: 257))"},"model":"flat","amount":1}]}"#,
                "/price_rows/0/match/m"
            ),
            (#"{"price_rows":[{"match":{"a b":1},"model":"flat","amount":1}]}"#, "/price_rows/0/match/a b"),
            (
                #"{"price_rows":[{"match":{\#((0...32).map { "\"a\($0)\":1" }.joined(separator: ","))},"model":"flat","amount":1}]}"#,
                "/price_rows/0/match"
            ),
            (#"{"price_rows":[{"match":{},"model":"flat"}]}"#, "/price_rows/0/amount"),
            (#"{"price_rows":[{"match":{},"price_rows":[]}]}"#, "/price_rows/0/price_rows"),
            (#"{"price_rows":[{"match":{},"model":"flat","amount":1}],"model":"flat","amount":1}"#, "/price_rows"),
            (
                #"{"price_rows":["#
                    + (0...1_000).map { _ in #"{"match":{},"model":"flat","amount":1}"# }.joined(separator: ",") + "]}",
                "/price_rows"
            ),
        ]
    }()

    private static var prices: [Price] {
        get throws {
            let tiers = [
                Tier(upTo: 1, unitCost: .max, flatFee: .max), Tier(upTo: Millicredits.limit, unitCost: .zero),
                Tier(upTo: nil, unitCost: try Millicredits(Int64(3))),
            ]
            let models: [PricingModel] = [
                .flat(amount: .max), .perUnit(unitCost: .max, perUnits: Millicredits.limit),
                .perUnit(unitCost: .max, perUnits: 7, rounding: .carry),
                .package(size: Millicredits.limit, cost: .zero), .graduated(tiers, scope: .event),
                .graduated(tiers, scope: .period), .volume(tiers),
            ]
            // Volume pricing does not allow tiers over a period.
            let (dimensions, others) = (named(models.dropLast()), named(models.filter { !$0.isPeriodScoped }))
            let match = Attributes(["m": .string("\"é😀\u{1}"), "n": .integer(.min), "b": .boolean(true)])
            return models.map { Price($0) } + [
                Price(dimensions: dimensions), Price(dimensions: others),
                Price(
                    rows: models.map { Price.Row(match: match, terms: .model($0)) }
                        + [Price.Row(match: .none, terms: .dimensions(dimensions))]),
            ]
        }
    }

    private static func named(_ models: [PricingModel]) -> [String: PricingModel] {
        Dictionary(uniqueKeysWithValues: models.enumerated().map { ("d\($0)", $1) })
    }
}
