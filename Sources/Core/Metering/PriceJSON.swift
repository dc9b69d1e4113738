import Credits
package import JSON

/// The limits on the size of a price.
package enum PriceLimit {
    package static let tiers = 32
    package static let dimensions = 16
    package static let rows = 1_000
    /// Bytes of JSON of a whole rule, as it is sent and as it is stored. The stored form also has the defaults that the
    /// request left out.
    package static let bytes = 256 << 10
    /// Attributes of an event, and attributes that a row matches.
    package static let attributes = 32
    /// Values of one attribute that a limit matches.
    package static let attributeValues = 32
    /// Bytes of UTF-8 in a string attribute.
    package static let attributeBytes = 256
}

/// A price is stored and sent as one JSON object. The stored form has its members sorted by name.
extension Price {
    /// Reads a price from `canonicalJSON` or from a request.
    ///
    /// - Throws: `JSONError` if the text is not JSON, `JSONProblems` that name each wrong member otherwise.
    package init(json text: String) throws {
        self = try JSONReader.read(try JSONParser.parse(Array(text.utf8))) { $0.price() }
    }

    package var canonicalJSON: String {
        String(decoding: JSONValue.object(json).canonicalBytes, as: UTF8.self)
    }

    /// The members in the order in which they are shown.
    package var json: JSONObject {
        switch choice {
        case .always(let terms): terms.json
        case .rows(let rows): ["price_rows": .array(rows.rows.map { .object($0.json) })]
        }
    }
}

extension Price.Row {
    fileprivate var json: JSONObject {
        JSONObject(members: [(key: "match", value: .object(match.json))] + terms.json.members)
    }
}

extension Price.Terms {
    fileprivate var json: JSONObject {
        switch self {
        case .model(let model): model.json
        case .dimensions(let models):
            [
                "dimensions": .object(
                    JSONObject(
                        members: models.sorted { $0.key < $1.key }.map { (key: $0.key, value: .object($0.value.json)) })
                )
            ]
        }
    }
}

/// The names of the pricing models in JSON.
enum ModelName: String, CaseIterable {
    case flat
    case perUnit = "per_unit"
    case package
    case graduated
    case volume
}

extension PricingModel {
    fileprivate var json: JSONObject {
        switch self {
        case .flat(let amount): Self.object(.flat, ["amount": .integer(amount.rawValue)])
        case .perUnit(let unitCost, let perUnits, let rounding):
            Self.object(
                .perUnit,
                JSONObject(
                    members: [
                        (key: "unit_cost", value: .integer(unitCost.rawValue)),
                        (key: "per_units", value: .integer(perUnits)),
                    ] + (rounding == .event ? [] : [(key: "rounding", value: .string(rounding.rawValue))])))
        case .package(let size, let cost):
            Self.object(.package, ["package_size": .integer(size), "package_cost": .integer(cost.rawValue)])
        case .graduated(let tiers, let scope):
            Self.object(.graduated, ["tiers": Self.json(tiers), "scope": .string(scope.rawValue)])
        case .volume(let tiers): Self.object(.volume, ["tiers": Self.json(tiers)])
        }
    }

    private static func object(_ name: ModelName, _ members: JSONObject) -> JSONObject {
        JSONObject(members: [(key: "model", value: .string(name.rawValue))] + members.members)
    }

    private static func json(_ tiers: [Tier]) -> JSONValue {
        .array(
            tiers.map { tier in
                .object([
                    "up_to": tier.upTo.map { .integer($0) } ?? .null, "unit_cost": .integer(tier.unitCost.rawValue),
                    "flat_fee": .integer(tier.flatFee.rawValue),
                ])
            })
    }
}
