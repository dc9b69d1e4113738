import Credits
package import JSON

/// Reads prices from JSON, in requests and in storage. Each problem is reported with its pointer.
extension JSONReader {
    /// Reads a price: the members of one model, `dimensions` or `price_rows`.
    package mutating func price() -> Price? {
        let ways = ["model", "dimensions", "price_rows"].filter { value($0) != nil }
        guard let way = ways.first else {
            report("model", "is required, or dimensions or price_rows instead")
            return nil
        }
        guard ways.last == "price_rows" else { return terms().map { Price(.always($0)) } }
        if way != "price_rows" { report("price_rows", "cannot be used with \(way): send only one of them") }
        let rows = objects("price_rows", count: 1...PriceLimit.rows) { row -> Price.Row? in
            let match = row.matchedAttributes()
            let terms = row.terms()
            guard let match, let terms else { return nil }
            return Price.Row(match: match, terms: terms)
        }
        return rows.map { Price(rows: $0) }
    }

    private mutating func terms() -> Price.Terms? {
        guard value("dimensions") != nil else { return pricingModel().map { .model($0) } }
        if value("model") != nil { report("dimensions", "cannot be used with model: send only one of them") }
        var models: [String: PricingModel] = [:]
        return named("dimensions", count: 1...PriceLimit.dimensions) { dimensions in
            for name in dimensions.names { models[name] = dimensions.object(name) { $0.pricingModel() } }
            if models.values.contains(where: \.isPeriodScoped), models.values.contains(where: \.isVolume) {
                // With volume pricing more units may cost less, so interim charges of a job could not be reconciled
                // with period tiers.
                dimensions.reportObject("cannot combine the model volume with tiers of scope period")
            }
            return .dimensions(models)
        }
    }

    /// Reads `model` and the members that belong to it.
    private mutating func pricingModel() -> PricingModel? {
        let model = choice("model", of: ModelName.self)
        if let model, model != .perUnit, value("rounding") != nil {
            report("rounding", "is only for the model per_unit")
        }
        switch model {
        case .flat: return price("amount").map { .flat(amount: $0) }
        case .perUnit:
            let unitCost = price("unit_cost")
            let perUnits = int64("per_units", default: 1, .plain, in: 1...Millicredits.limit)
            let rounding = optionalChoice("rounding", of: Rounding.self) ?? .event
            guard let unitCost, let perUnits else { return nil }
            return .perUnit(unitCost: unitCost, perUnits: perUnits, rounding: rounding)
        case .package:
            let size = int64("package_size", .plain, in: 1...Millicredits.limit)
            let cost = price("package_cost")
            guard let size, let cost else { return nil }
            return .package(size: size, cost: cost)
        case .graduated:
            let tiers = tiers()
            let scope = optionalChoice("scope", of: TierScope.self) ?? .event
            return tiers.map { .graduated($0, scope: scope) }
        case .volume:
            if value("scope") != nil { report("scope", "is only for the model graduated") }
            return tiers().map { .volume($0) }
        case nil: return nil
        }
    }

    /// Reads `tiers`. Each tier ends above the previous one, and only the last tier has no end.
    private mutating func tiers() -> [Tier]? {
        let tiers = objects("tiers", count: 1...PriceLimit.tiers) { tier -> Tier? in
            if tier.presence(of: "up_to") == .absent { tier.report("up_to", "is required, and null for the last tier") }
            let upTo = tier.optionalInt64("up_to", .plain, in: 1...Millicredits.limit)
            let unitCost = tier.price("unit_cost")
            let flatFee = tier.int64("flat_fee", default: 0, .amount, in: 0...Millicredits.limit)
            guard let unitCost, let flatFee = flatFee.flatMap({ try? Millicredits($0) }) else { return nil }
            return Tier(upTo: upTo, unitCost: unitCost, flatFee: flatFee)
        }
        guard let tiers else { return nil }
        var end: Int64 = 0
        for (index, tier) in tiers.enumerated() {
            switch (tier.upTo, index == tiers.count - 1) {
            case (_?, true):
                report("tiers", element: index, "up_to", "must be null, because the last tier has no end")
            case (nil, false):
                report("tiers", element: index, "up_to", "must be a number, because only the last tier has no end")
            default: break
            }
            guard let upTo = tier.upTo else { continue }
            if upTo <= end {
                report("tiers", element: index, "up_to", "must be above \(end), the end of the previous tier")
            }
            end = max(end, upTo)
        }
        return tiers
    }

    private mutating func price(_ key: String) -> Millicredits? {
        int64(key, .amount, in: 0...Millicredits.limit).flatMap { try? Millicredits($0) }
    }

    // MARK: - Objects by name

    /// Reads an object of units by dimension.
    package mutating func quantities(_ key: String, upTo limit: Int64 = .max) -> [String: Int64]? {
        named(key, count: 0...PriceLimit.dimensions) { quantities in
            var units: [String: Int64] = [:]
            for name in quantities.names { units[name] = quantities.int64(name, .plain, in: 0...limit) }
            return units
        }
    }

    private mutating func matchedAttributes() -> Attributes? {
        attributes("match")
    }

    /// Reads an object of strings, integers and booleans by name.
    package mutating func attributes(_ key: String) -> Attributes? {
        named(key, count: 0...PriceLimit.attributes) { attributes in
            var values: [String: AttributeValue] = [:]
            for name in attributes.names { values[name] = attributes.attributeValue(name) }
            return Attributes(values)
        }
    }

    /// Reads an object of attributes, each with one value or an array of values; nil if it is absent or has a problem.
    package mutating func optionalAttributeMatch(_ key: String, atMost count: Int) -> [String: Set<AttributeValue>]? {
        guard presence(of: key) == .present else {
            _ = value(key)
            return nil
        }
        return named(key, count: 0...count) { reader in
            var match: [String: Set<AttributeValue>] = [:]
            for name in reader.names {
                guard case .array(let elements)? = reader.value(name, as: .matchedValues) else {
                    match[name] = reader.attributeValue(name).map { [$0] }
                    continue
                }
                guard 1...PriceLimit.attributeValues ~= elements.count else {
                    reader.report(name, "must have 1 to \(PriceLimit.attributeValues) values")
                    continue
                }
                match[name] = Set(elements.compactMap { reader.attributeValue($0, of: name) })
            }
            return match
        }
    }

    private mutating func attributeValue(_ key: String) -> AttributeValue? {
        attributeValue(value(key, as: .attributeValue), of: key)
    }

    private mutating func attributeValue(_ value: JSONValue?, of key: String) -> AttributeValue? {
        if let integer = value?.integer { return .integer(integer) }
        switch value {
        case .string(let text)? where text.utf8.count <= PriceLimit.attributeBytes: return .string(text)
        case .bool(let boolean)?: return .boolean(boolean)
        default:
            report(key, "must be a string of at most \(PriceLimit.attributeBytes) bytes, an integer, true or false")
            return nil
        }
    }

    /// Reads an object whose member names are chosen by the client.
    private mutating func named<Output>(
        _ key: String, count: ClosedRange<Int>, _ body: (inout JSONReader) -> Output?
    ) -> Output? {
        object(key, count: count) { reader in
            for name in reader.names where !name.isCatalogueName {
                reader.report(name, "must have a name of 1 to 64 characters: letters, digits, _ - . or :")
            }
            return body(&reader)
        }
    }
}

extension JSONSchema {
    fileprivate static let attributeValue = JSONSchema(
        .anyOf([
            JSONSchema(.string(Text(bytes: 0...PriceLimit.attributeBytes))), JSONSchema(.integer(.min ... .max)),
            JSONSchema(.boolean),
        ]), example: .string("large"))

    /// One value of an attribute, or several.
    fileprivate static let matchedValues = JSONSchema(
        .anyOf([attributeValue, JSONSchema(.array(attributeValue, count: 1...PriceLimit.attributeValues))]),
        example: .string("large"))
}
