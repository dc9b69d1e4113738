import Credits
package import JSON

/// Reads prices from JSON, from requests and from storage alike; what is wrong is reported with the pointer to it.
extension JSONReader {
    /// The members of a price: those of one model, `dimensions` or `price_rows`.
    package mutating func price() -> Price? {
        let ways = ["model", "dimensions", "price_rows"].filter { value($0) != nil }
        guard let way = ways.first else {
            report("model", "is required, or dimensions or price_rows in its place")
            return nil
        }
        guard ways.last == "price_rows" else { return terms().map { Price(.always($0)) } }
        if way != "price_rows" { report("price_rows", "excludes \(way): give one of them") }
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
        if value("model") != nil { report("dimensions", "excludes model: give one of them") }
        var models: [String: PricingModel] = [:]
        return named("dimensions", count: 1...PriceLimit.dimensions) { dimensions in
            for name in dimensions.names { models[name] = dimensions.object(name) { $0.pricingModel() } }
            if models.values.contains(where: \.isPeriodScoped), models.values.contains(where: \.isVolume) {
                // What a job was charged on the way could not be told from what it owes.
                dimensions.reportObject("cannot have volume beside tiers of scope period")
            }
            return .dimensions(models)
        }
    }

    /// `model` and the members that belong to it.
    private mutating func pricingModel() -> PricingModel? {
        switch choice("model", of: ModelName.self) {
        case .flat: return price("amount").map { .flat(amount: $0) }
        case .perUnit:
            let unitCost = price("unit_cost")
            let perUnits = int64("per_units", default: 1, .plain, in: 1...Millicredits.limit)
            guard let unitCost, let perUnits else { return nil }
            return .perUnit(unitCost: unitCost, perUnits: perUnits)
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
            if value("scope") != nil { report("scope", "is for the model graduated only") }
            return tiers().map { .volume($0) }
        case nil: return nil
        }
    }

    /// `tiers`: each ends above the one before, and the last alone has no end.
    private mutating func tiers() -> [Tier]? {
        var last = 0
        if case .array(let elements)? = value("tiers") { last = elements.count - 1 }
        var index = 0
        var end: Int64 = 0
        return objects("tiers", count: 1...PriceLimit.tiers) { tier -> Tier? in
            defer { index += 1 }
            let upTo = tier.optionalInt64("up_to", .plain, in: 1...Millicredits.limit)
            switch (tier.presence(of: "up_to"), index == last) {
            case (.absent, true): tier.report("up_to", "is required: null, since the last tier has no end")
            case (.absent, false): tier.report("up_to", "is required")
            case (.null, false): tier.report("up_to", "must be a number: only the last tier has no end")
            case (.present, true): tier.report("up_to", "must be null: the last tier has no end")
            default: break
            }
            if let upTo {
                if upTo <= end { tier.report("up_to", "must be above \(end), where the tier before ends") }
                end = max(end, upTo)
            }
            let unitCost = tier.price("unit_cost")
            let flatFee = tier.value("flat_fee") == nil ? .zero : tier.price("flat_fee")
            guard let unitCost, let flatFee else { return nil }
            return Tier(upTo: upTo, unitCost: unitCost, flatFee: flatFee)
        }
    }

    private mutating func price(_ key: String) -> Millicredits? {
        int64(key, .amount, in: 0...Millicredits.limit).flatMap { try? Millicredits($0) }
    }

    // MARK: - Objects by name

    /// An object of units by dimension.
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

    /// Strings, integers and booleans by name.
    package mutating func attributes(_ key: String) -> Attributes? {
        named(key, count: 0...PriceLimit.attributes) { attributes in
            var values: [String: AttributeValue] = [:]
            for name in attributes.names { values[name] = attributes.attributeValue(name) }
            return Attributes(values)
        }
    }

    private mutating func attributeValue(_ key: String) -> AttributeValue? {
        switch value(key) {
        case .string(let text)? where text.utf8.count <= PriceLimit.attributeBytes: return .string(text)
        case .integer(let integer)?: return .integer(integer)
        case .bool(let boolean)?: return .boolean(boolean)
        default:
            report(key, "must be a string of at most \(PriceLimit.attributeBytes) bytes, an integer or true or false")
            return nil
        }
    }

    /// An object whose members have names of the client's own. One that has too many is not read: every member is
    /// looked for among all.
    private mutating func named<Output>(
        _ key: String, count: ClosedRange<Int>, _ body: (inout JSONReader) -> Output?
    ) -> Output? {
        if case .object(let object)? = value(key), !count.contains(object.members.count) {
            report(key, "must have \(count.lowerBound) to \(count.upperBound) members")
            return nil
        }
        return object(key) { reader in
            for name in reader.names where !name.isCatalogueName {
                reader.report(name, "must be named by 1 to 64 letters, digits or any of _ - . :")
            }
            return body(&reader)
        }
    }
}
