package import Credits

/// What a feature costs: one model, a model for each dimension of an event, or a choice between such terms by the
/// event's attributes.
package struct Price: Hashable, Sendable {
    /// How the units of an event are priced.
    package enum Terms: Hashable, Sendable {
        case model(PricingModel)
        /// A model for each named quantity; the cost is the sum.
        case dimensions([String: PricingModel])
    }

    /// Terms that hold for events with certain attributes.
    package struct Row: Hashable, Sendable {
        /// The attributes that an event must have, with these very values; none matches every event.
        package let match: Attributes
        package let terms: Terms

        package init(match: Attributes, terms: Terms) {
            self.match = match
            self.terms = terms
        }
    }

    package enum Choice: Hashable, Sendable {
        case always(Terms)
        /// The first row that matches the event; no matching row means no price.
        case rows([Row])
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
        choice = .rows(rows)
    }

    /// Whether the cost of an event with these attributes depends on the units of the period before it.
    package func isPeriodScoped(for attributes: Attributes) -> Bool {
        terms(for: attributes)?.isPeriodScoped ?? false
    }

    /// The terms for an event with these attributes; nil when no row matches.
    package func terms(for attributes: Attributes) -> Terms? {
        switch choice {
        case .always(let terms): terms
        case .rows(let rows): rows.first { $0.match.isSubset(of: attributes) }?.terms
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

/// How much of a feature an event uses.
package enum Measure: Hashable, Sendable {
    /// Not negative.
    case units(Int64)
    /// Units by dimension, none negative. A dimension that is not named is 0.
    case quantities([String: Int64])

    /// All units together; the largest `Int64` where they are more.
    package var total: Int64 {
        switch self {
        case .units(let units): units
        case .quantities(let quantities):
            quantities.values.reduce(0) { sum, units in
                let (next, overflow) = sum.addingReportingOverflow(units)
                return overflow ? .max : next
            }
        }
    }
}

/// The units that a period has seen so far, for prices whose tiers fill over a period.
package struct PeriodUsage: Hashable, Sendable {
    /// The dimension's name, and "" for a price without dimensions. What is missing is 0.
    package var used: [String: Int64]

    package init(used: [String: Int64] = [:]) {
        self.used = used
    }
}

/// What an event costs and why.
package struct PricedEvent: Hashable, Sendable {
    package let cost: Millicredits
    /// What the event adds to the period's usage; only of models whose tiers fill over the period.
    package let periodUnits: [String: Int64]
    /// The addends of the cost: dimensions in the order of their names, tiers from the first. None for no units.
    package let lines: [PriceLine]
}

/// An event that has no cost.
package enum PricingFailure: Error, Hashable, Sendable {
    /// No price row matches the event's attributes.
    case noMatchingRow
    case wrongMeasure(WrongMeasure)
    /// The cost, or the units of the period, would leave ±(2^53 − 1).
    case outOfRange
}

/// An event or a job that is measured otherwise than its price asks for.
package enum WrongMeasure: Hashable, Sendable {
    /// The price has no dimensions, but the event has quantities.
    case unitsExpected
    /// The price has dimensions, but the event has units.
    case quantitiesExpected
    case unknownDimension(String)
    /// Progress that began in credits goes on in credits.
    case creditsExpected
}

extension Price {
    /// The cost of one event: each dimension is rounded up to a whole millicredit, once.
    ///
    /// - Parameter used: The units of the period before the event.
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

    /// The most units of one event, not above `ceiling`, whose cost is at most `funds`; 0 when no row matches.
    ///
    /// - Parameter funds: mc, not negative. A cost beyond 2^53 − 1 does not exist, so funds beyond it buy nothing more.
    /// - Returns: Nil for a price with dimensions, which no single number answers.
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
    /// What an event costs more when it has grown: `to` priced, less `from` priced, each dimension on its own. Tiers that fill
    /// over the period take the growth alone, after `used`, which holds what was counted of `from`.
    ///
    /// - Returns: The cost may be negative: by volume more units may cost less.
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
    /// - Parameter dimension: "" for units.
    fileprivate func isPeriodScoped(_ dimension: String) -> Bool {
        switch self {
        case .model(let model): model.isPeriodScoped
        case .dimensions(let models): models[dimension]?.isPeriodScoped ?? false
        }
    }
}

extension Measure {
    /// The larger of two measures, dimension by dimension. Of units and quantities, which have no common measure, the other's.
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

    /// The measure, less what it was before in those dimensions that count their growth alone.
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

/// The sum while it is made.
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
