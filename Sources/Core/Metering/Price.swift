package import Credits

/// The price of a feature: one model, one model per dimension of an event, or a choice between such terms by the
/// event's attributes.
package struct Price: Hashable, Sendable {
    /// The pricing of an event's units.
    package enum Terms: Hashable, Sendable {
        case model(PricingModel)
        /// A model for each named quantity; the cost is the sum.
        case dimensions([String: PricingModel])
    }

    /// Terms for events with certain attributes.
    package struct Row: Hashable, Sendable {
        /// The attributes that an event must have, with these values. Empty attributes match every event.
        package let match: Attributes
        package let terms: Terms

        package init(match: Attributes, terms: Terms) {
            self.match = match
            self.terms = terms
        }
    }

    package enum Choice: Hashable, Sendable {
        case always(Terms)
        /// The first row that matches the event applies. Without a matching row there is no price.
        case rows(PriceRows)
    }

    package let choice: Choice

    package init(_ choice: Choice) {
        self.choice = choice
    }

    package init(_ model: PricingModel) {
        choice = .always(.model(model))
    }

    package init(dimensions: [String: PricingModel]) {
        choice = .always(.dimensions(dimensions))
    }

    package init(rows: [Row]) {
        choice = .rows(PriceRows(rows))
    }

    /// The dimensions of an event with these attributes whose cost depends on the period's earlier units. The dimension
    /// of a price without dimensions is "".
    package func periodDimensions(for attributes: Attributes) -> [String] {
        terms(for: attributes)?.dimensions(where: \.isPeriodScoped) ?? []
    }

    /// The dimensions of an event with these attributes that carry fractions.
    package func carriedDimensions(for attributes: Attributes) -> [String] {
        terms(for: attributes)?.dimensions(where: \.carries) ?? []
    }

    /// The place of the row that prices an event with these attributes: 0 for a price without rows, nil when no row
    /// matches.
    package func row(for attributes: Attributes) -> Int? {
        switch choice {
        case .always: 0
        case .rows(let rows): rows.firstIndex(matching: attributes)
        }
    }

    /// The terms for an event with these attributes; nil when no row matches.
    package func terms(for attributes: Attributes) -> Terms? {
        switch choice {
        case .always(let terms): terms
        case .rows(let rows): rows.firstIndex(matching: attributes).map { rows.rows[$0].terms }
        }
    }
}

extension Price.Terms {
    /// The dimensions whose model has a property, in the order of their names. A price without dimensions has "".
    func dimensions(where condition: (PricingModel) -> Bool) -> [String] {
        switch self {
        case .model(let model): condition(model) ? [""] : []
        case .dimensions(let models): models.filter { condition($0.value) }.keys.sorted()
        }
    }

    /// The model of a dimension; "" for a price without dimensions.
    package func model(of dimension: String) -> PricingModel? {
        switch self {
        case .model(let model): dimension.isEmpty ? model : nil
        case .dimensions(let models): models[dimension]
        }
    }

    /// Whether the cost depends on earlier events. The growth of a job is then priced as an event of its own.
    package var isCumulative: Bool { !dimensions(where: \.isCumulative).isEmpty }

    /// Whether more units may cost less.
    package var mayFall: Bool { !dimensions(where: \.isVolume).isEmpty }
}

/// The amount of a feature that an event uses.
package enum Measure: Hashable, Sendable {
    /// A number of units, not negative.
    case units(Int64)
    /// Units by dimension, not negative. A dimension that is missing counts as 0.
    case quantities([String: Int64])

    /// The sum of all units; saturates at the largest `Int64`.
    package var total: Int64 {
        switch self {
        case .units(let units): units
        case .quantities(let quantities):
            quantities.values.reduce(0) { $0.addingSaturated($1) }
        }
    }

    /// The units of a dimension; "" stands for a measure without dimensions.
    package func units(of dimension: String) -> Int64 {
        switch self {
        case .units(let units): dimension.isEmpty ? units : 0
        case .quantities(let quantities): quantities[dimension] ?? 0
        }
    }
}

/// The state in which an account's earlier events leave a price, by dimension. "" stands for a price without dimensions,
/// and a missing dimension counts as 0.
package struct PriorUsage: Hashable, Sendable {
    /// The units so far in the period, for tiers that fill over it.
    package var used: [String: Int64]
    /// The part of the charges that exceeds the exact sum, in parts of `perUnits` of a millicredit, for models that carry
    /// fractions.
    package var remainders: [String: Int64]

    package init(used: [String: Int64] = [:], remainders: [String: Int64] = [:]) {
        self.used = used
        self.remainders = remainders
    }
}

/// The cost of an event and its derivation.
package struct PricedEvent: Hashable, Sendable {
    package let cost: Millicredits
    /// The units that the event adds to the period's usage. Only period-scoped models have an entry.
    package let periodUnits: [String: Int64]
    /// The remainders after the event. Only models that carry fractions have an entry.
    package let remainders: [String: Int64]
    /// The addends of the cost: dimensions in order of name, tiers from the first on. Empty if there are no units.
    package let lines: [PriceLine]

    /// The part of the cost that each model which carries fractions has charged.
    package var carriedCosts: [String: Int64] {
        var costs: [String: Int64] = [:]
        for line in lines {
            let name = line.dimension ?? ""
            if remainders[name] != nil { costs[name, default: 0] += line.amount.rawValue }
        }
        return costs
    }
}

/// The reasons why an event has no cost.
package enum PricingFailure: Error, Hashable, Sendable {
    /// No price row matches the event's attributes.
    case noMatchingRow
    case wrongMeasure(WrongMeasure)
    /// The cost or the units of the period would be outside ±(2^53 − 1).
    case outOfRange
}

/// The ways in which the measure of an event or a job does not fit its price.
package enum WrongMeasure: Hashable, Sendable {
    /// Units are expected: the price has no dimensions, there is no price, or earlier progress was in units.
    case unitsExpected
    /// Quantities are expected: the price has dimensions, or earlier progress was in quantities.
    case quantitiesExpected
    case unknownDimension(String)
    /// Credits are expected: earlier progress was in credits.
    case creditsExpected
}

extension Price {
    /// The cost of one event. Each dimension is rounded up to a whole millicredit once.
    ///
    /// - Parameter used: The state in which earlier events leave the price.
    package func priced(
        _ measure: Measure, attributes: Attributes, used: PriorUsage
    ) throws(PricingFailure) -> PricedEvent {
        guard let terms = terms(for: attributes) else { throw .noMatchingRow }
        var event = EventPricing(used: used)
        switch (terms, measure) {
        case (.model(let model), .units(let units)):
            try event.add(units, of: model, dimension: nil)
        case (.dimensions(let models), .quantities(let quantities)):
            let names = quantities.keys.sorted()
            if let unknown = names.first(where: { models[$0] == nil }) {
                throw .wrongMeasure(.unknownDimension(unknown))
            }
            for name in names {
                guard let units = quantities[name], let model = models[name] else { continue }
                try event.add(units, of: model, dimension: name)
            }
        case (.model, .quantities): throw .wrongMeasure(.unitsExpected)
        case (.dimensions, .units): throw .wrongMeasure(.quantitiesExpected)
        }
        return PricedEvent(
            cost: try inRange(event.cost), periodUnits: event.periodUnits, remainders: event.remainders,
            lines: event.lines)
    }

    /// The largest number of units of one event, at most `ceiling`, whose cost is at most `funds`; 0 when no row
    /// matches.
    ///
    /// - Parameter funds: Millicredits, not negative. No cost exceeds 2^53 − 1, so larger funds buy nothing more.
    /// - Returns: Nil for a price with dimensions, because no single number is the answer.
    package func affordableUnits(
        funds: Int64, ceiling: Int64 = Millicredits.limit, attributes: Attributes, used: PriorUsage
    ) -> Int64? {
        switch terms(for: attributes) {
        case .model(let model):
            model.affordableUnits(
                funds: min(funds, Millicredits.limit), ceiling: ceiling, used: used.used[""] ?? 0,
                remainder: used.remainders[""] ?? 0)
        case .dimensions: nil
        case nil: 0
        }
    }
}

extension Price {
    /// The additional cost of an event that has grown: the price of `to` minus the price of `from`, per dimension.
    /// Models that depend on earlier events price only the growth, after `used`, which includes `from`.
    ///
    /// - Returns: The cost may be negative, because with volume pricing more units may cost less.
    package func growth(
        from: Measure?, to: Measure, attributes: Attributes, used: PriorUsage
    ) throws(PricingFailure) -> PricedEvent {
        guard let from else { return try priced(to, attributes: attributes, used: used) }
        guard let terms = terms(for: attributes) else { throw .noMatchingRow }
        func isCumulative(_ dimension: String) -> Bool { terms.model(of: dimension)?.isCumulative ?? false }
        let before = try priced(from.keeping { !isCumulative($0) }, attributes: attributes, used: used)
        let after = try priced(to.growing(from: from, where: isCumulative), attributes: attributes, used: used)
        let cost = try inRange(Int128(after.cost.rawValue) - Int128(before.cost.rawValue))
        return PricedEvent(
            cost: cost, periodUnits: after.periodUnits, remainders: after.remainders, lines: after.lines)
    }
}

extension Measure {
    /// The larger of two measures, per dimension. If one is in units and the other in quantities, the result is
    /// `other`.
    package func larger(_ other: Measure) -> Measure {
        switch (self, other) {
        case (.units(let left), .units(let right)): .units(max(left, right))
        case (.quantities(let left), .quantities(let right)): .quantities(left.merging(right, uniquingKeysWith: max))
        default: other
        }
    }

    /// The measure without the dimensions for which the closure is false; "" stands for a measure without dimensions.
    package func keeping(_ isKept: (String) -> Bool) -> Measure {
        switch self {
        case .units(let units): .units(isKept("") ? units : 0)
        case .quantities(let quantities): .quantities(quantities.filter { isKept($0.key) })
        }
    }

    /// The measure minus the earlier one in the dimensions that price only their growth; unchanged in all others.
    fileprivate func growing(from before: Measure, where countsGrowth: (String) -> Bool) -> Measure {
        switch (self, before) {
        case (.units(let units), .units(let earlier)):
            .units(countsGrowth("") ? max(0, units - earlier) : units)
        case (.quantities(let quantities), .quantities(let earlier)):
            .quantities(
                Dictionary(
                    uniqueKeysWithValues: quantities.map { name, units in
                        (name, countsGrowth(name) ? max(0, units - (earlier[name] ?? 0)) : units)
                    }))
        default: self
        }
    }
}

/// The sum of an event's cost while it is computed.
private struct EventPricing {
    let used: PriorUsage
    var cost: Int128 = 0
    var periodUnits: [String: Int64] = [:]
    var remainders: [String: Int64] = [:]
    var lines: [PriceLine] = []

    init(used: PriorUsage) {
        self.used = used
    }

    mutating func add(_ units: Int64, of model: PricingModel, dimension: String?) throws(PricingFailure) {
        guard units > 0 else { return }
        let name = dimension ?? ""
        let before = used.used[name] ?? 0
        if model.isPeriodScoped {
            guard Int128(before) + Int128(units) <= Int128(Millicredits.limit) else { throw .outOfRange }
            periodUnits[name] = units
        }
        let remainder = used.remainders[name] ?? 0
        let added = try model.lines(units: units, dimension: dimension, used: before, remainder: remainder)
        let amount = added.reduce(Int128(0)) { $0 + Int128($1.amount.rawValue) }
        if model.carries, let charged = Int64(exactly: amount) {
            guard let after = model.remainder(after: units, costing: charged, before: remainder) else {
                throw .outOfRange
            }
            remainders[name] = after
        }
        cost += amount
        lines += added
    }
}
