import Credits
package import JSON
package import Metering

extension JSONWriter {
    /// Writes the cost of an event and its breakdown, one line per addend.
    package mutating func members(_ event: PricedEvent) {
        member("cost", event.cost.rawValue)
        key("breakdown")
        beginArray()
        for line in event.lines { self.line(line) }
        endArray()
    }

    /// Writes the members that this kind of line has, under the names that the rule uses.
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
    /// The refusal of a preview whose event has no price.
    package init(_ failure: PricingFailure) {
        switch failure {
        case .noMatchingRow:
            self.init(
                .featureNotPriced,
                "No price row matches the attributes of the event. Check them, or add a row that matches every event.",
                errors: [FieldError(pointer: "/attributes", detail: "match no price row")])
        case .wrongMeasure(let wrong): self.init(wrong)
        case .outOfRange:
            self.init(
                .amountOutOfRange,
                "The cost of the event or the units of its period would exceed 9007199254740991. Send fewer units.")
        }
    }

    /// The refusal of an event or a job whose measure does not fit its price.
    package init(_ wrong: WrongMeasure) {
        switch wrong {
        case .unitsExpected: self.init(at: "/quantities", "is only for prices with dimensions: send units")
        case .quantitiesExpected: self.init(at: "/quantities", "is required, because the price has dimensions")
        case .unknownDimension(let name):
            self.init(at: "/quantities".appendingPointerToken(name), "is not a dimension of the price")
        case .creditsExpected:
            self.init(
                at: "/credits", "is required",
                "Earlier progress of this reservation was reported in credits. Report all further progress in credits.")
        }
    }
}
