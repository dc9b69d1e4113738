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

    /// Whether the cost of an event with these attributes depends on the period's earlier units.
    package func isPeriodScoped(for attributes: Attributes) -> Bool {
        terms(for: attributes)?.isPeriodScoped ?? false
    }

    /// The dimensions of an event with these attributes whose cost depends on the period's earlier units. The dimension
    /// of a price without dimensions is "".
    package func periodDimensions(for attributes: Attributes) -> [String] {
        switch terms(for: attributes) {
        case .model(let model)?: model.isPeriodScoped ? [""] : []
        case .dimensions(let models)?: models.filter(\.value.isPeriodScoped).keys.sorted()
        case nil: []
        }
    }

    /// The terms for an event with these attributes; nil when no row matches.
    package func terms(for attributes: Attributes) -> Terms? {
        switch choice {
        case .always(let terms): terms
        case .rows(let rows): rows.first(matching: attributes)?.terms
        }
    }
}

extension Price.Terms {
    fileprivate var isPeriodScoped: Bool {
        switch self {
        case .model(let model): model.isPeriodScoped
        case .dimensions(let models): models.values.contains(where: \.isPeriodScoped)
        }
    }
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
}

/// The units used so far in a period, for prices whose tiers fill over the period.
package struct PeriodUsage: Hashable, Sendable {
    /// Units by dimension; "" stands for a price without dimensions. A missing dimension counts as 0.
    package var used: [String: Int64]

    package init(used: [String: Int64] = [:]) {
        self.used = used
    }
}

/// The cost of an event and its derivation.
package struct PricedEvent: Hashable, Sendable {
    package let cost: Millicredits
    /// The units that the event adds to the period's usage. Only period-scoped models have an entry.
    package let periodUnits: [String: Int64]
    /// The addends of the cost: dimensions in order of name, tiers from the first on. Empty if there are no units.
    package let lines: [PriceLine]
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
    /// - Parameter used: The period's units before the event.
    package func priced(
        _ measure: Measure, attributes: Attributes, used: PeriodUsage
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
        return PricedEvent(cost: try inRange(event.cost), periodUnits: event.periodUnits, lines: event.lines)
    }

    /// The largest number of units of one event, at most `ceiling`, whose cost is at most `funds`; 0 when no row
    /// matches.
    ///
    /// - Parameter funds: Millicredits, not negative. No cost exceeds 2^53 − 1, so larger funds buy nothing more.
    /// - Returns: Nil for a price with dimensions, because no single number is the answer.
    package func affordableUnits(
        funds: Int64, ceiling: Int64 = Millicredits.limit, attributes: Attributes, used: PeriodUsage
    ) -> Int64? {
        switch terms(for: attributes) {
        case .model(let model):
            model.affordableUnits(
                funds: min(funds, Millicredits.limit), ceiling: ceiling, used: used.used[""] ?? 0)
        case .dimensions: nil
        case nil: 0
        }
    }
}

extension Price {
    /// The additional cost of an event that has grown: the price of `to` minus the price of `from`, per dimension.
    /// Tiers that fill over the period price only the growth, after `used`, which includes the counted units of `from`.
    ///
    /// - Returns: The cost may be negative, because with volume pricing more units may cost less.
    package func growth(
        from: Measure?, to: Measure, attributes: Attributes, used: PeriodUsage
    ) throws(PricingFailure) -> PricedEvent {
        guard let from else { return try priced(to, attributes: attributes, used: used) }
        guard let terms = terms(for: attributes) else { throw .noMatchingRow }
        let before = try priced(from.keeping { !terms.isPeriodScoped($0) }, attributes: attributes, used: used)
        let after = try priced(
            to.growing(from: from) { terms.isPeriodScoped($0) }, attributes: attributes, used: used)
        let cost = try inRange(Int128(after.cost.rawValue) - Int128(before.cost.rawValue))
        return PricedEvent(cost: cost, periodUnits: after.periodUnits, lines: after.lines)
    }
}

extension Price.Terms {
    /// - Parameter dimension: "" for a price without dimensions.
    fileprivate func isPeriodScoped(_ dimension: String) -> Bool {
        switch self {
        case .model(let model): model.isPeriodScoped
        case .dimensions(let models): models[dimension]?.isPeriodScoped ?? false
        }
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

    fileprivate func keeping(_ isKept: (String) -> Bool) -> Measure {
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
    let used: PeriodUsage
    var cost: Int128 = 0
    var periodUnits: [String: Int64] = [:]
    var lines: [PriceLine] = []

    init(used: PeriodUsage) {
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
        let added = try model.lines(units: units, dimension: dimension, used: before)
        for line in added { cost += Int128(line.amount.rawValue) }
        lines += added
    }
}
