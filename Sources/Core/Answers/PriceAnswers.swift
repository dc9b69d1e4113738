import Credits
package import JSON
package import Metering

extension JSONWriter {
    /// What an event costs, line by line.
    package mutating func members(_ event: PricedEvent) {
        member("cost", event.cost.rawValue)
        key("breakdown")
        beginArray()
        for line in event.lines { self.line(line) }
        endArray()
    }

    /// The members that a line of its kind has; the names are those of the rule.
    private mutating func line(_ line: PriceLine) {
        beginObject()
        member("kind", line.kind.rawValue)
        if let dimension = line.dimension { member("dimension", dimension) }
        if let tier = line.tier { member("tier", tier) }
        switch line.kind {
        case .flat: member("units", line.units)
        case .perUnit:
            member("units", line.units)
            member("unit_cost", line.unitCost?.rawValue)
            member("per_units", line.perUnits)
        case .package:
            member("units", line.units)
            member("package_size", line.perUnits)
            member("package_cost", line.unitCost?.rawValue)
        case .tier:
            member("units", line.units)
            member("unit_cost", line.unitCost?.rawValue)
        case .flatFee: break
        }
        member("amount", line.amount.rawValue)
        endObject()
    }
}

extension Problem {
    /// An event that a request describes and that has no cost.
    package init(_ failure: PricingFailure) {
        switch failure {
        case .noMatchingRow:
            self.init(
                .featureNotPriced, "No price row matches the attributes of the event.",
                errors: [FieldError(pointer: "/attributes", detail: "match no price row")])
        case .wrongMeasure(let wrong): self.init(wrong)
        case .outOfRange:
            self.init(
                .amountOutOfRange, "The cost of the event, or its period's units, would be beyond 9007199254740991.")
        }
    }

    /// An event or a job that is measured otherwise than its price.
    package init(_ wrong: WrongMeasure) {
        switch wrong {
        case .unitsExpected: self.init(at: "/quantities", "is for a price with dimensions: send units")
        case .quantitiesExpected: self.init(at: "/quantities", "is required: the price has dimensions")
        case .unknownDimension(let name):
            self.init(at: "/quantities".appendingPointerToken(name), "is not a dimension of the price")
        case .creditsExpected:
            self.init(
                at: "/credits", "is required",
                "The reservation was made in credits. Say in credits what the job took or has come to.")
        }
    }
}
