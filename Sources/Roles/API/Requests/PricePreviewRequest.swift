import Answers
import Credits
import JSON
import Metering

/// A request for the price of an event, by a stored metering rule or by a rule in the body.
struct PricePreviewRequest {
    enum Subject {
        case price(Price)
        case rule(id: String)
    }

    /// The usage of the period before the event.
    private enum UsedBefore {
        case units(Int64)
        case quantities([String: Int64])
    }

    let subject: Subject
    private let measure: Measure
    private let attributes: Attributes
    private let usedBefore: UsedBefore?

    init?(_ reader: inout JSONReader) {
        let subject = reader.previewSubject()
        let measure = reader.measure()
        let attributes = reader.attributes()
        let usedBefore: UsedBefore? =
            switch reader.value("used_before", as: .usedBefore) {
            case nil: nil
            case .object?:
                reader.quantities("used_before", upTo: Millicredits.limit).map { .quantities($0) }
            default: reader.int64("used_before", .plain, in: 0...Millicredits.limit).map { .units($0) }
            }
        guard let subject, let measure, let attributes else { return nil }
        self.subject = subject
        self.measure = measure
        self.attributes = attributes
        self.usedBefore = usedBefore
    }

    func priced(by price: Price) throws(Problem) -> PricedEvent {
        let used = try used(by: price)
        do throws(PricingFailure) {
            return try price.priced(measure, attributes: attributes, used: used)
        } catch {
            throw Problem(error)
        }
    }

    private func used(by price: Price) throws(Problem) -> PriorUsage {
        switch (usedBefore, price.terms(for: attributes)) {
        case (nil, _), (_, nil): return PriorUsage()
        case (.units(let units)?, .model?): return PriorUsage(used: ["": units])
        case (.quantities(let quantities)?, .dimensions(let models)?):
            if let unknown = quantities.keys.sorted().first(where: { models[$0] == nil }) {
                throw Self.refused("/used_before".appendingPointerToken(unknown), "is not a dimension of the price")
            }
            return PriorUsage(used: quantities)
        case (.units?, .dimensions?):
            throw Self.refused("/used_before", "must be an object of units by dimension: the price has dimensions")
        case (.quantities?, .model?):
            throw Self.refused("/used_before", "must be an integer: the price has no dimensions")
        }
    }

    private static func refused(_ pointer: String, _ detail: String) -> Problem {
        Problem(
            .invalidRequest, "\(pointer) \(detail).",
            errors: [Problem.FieldError(pointer: pointer, detail: detail)])
    }
}

extension JSONSchema {
    /// Units, or units by dimension.
    fileprivate static let usedBefore: JSONSchema = {
        let units = JSONSchema(.integer(0...Millicredits.limit))
        let byDimension = JSONSchema(.map(units, count: 0...PriceLimit.dimensions))
        return JSONSchema(.anyOf([units, byDimension]), example: .integer(0))
    }()
}

extension JSONReader {
    /// `rule`, which is the body of `POST /v1/metering-rules`, or `rule_id`.
    fileprivate mutating func previewSubject() -> PricePreviewRequest.Subject? {
        guard value("rule") != nil else {
            guard value("rule_id") != nil else {
                report("rule", "is required, or rule_id in its place")
                return nil
            }
            return string("rule_id").map { .rule(id: $0) }
        }
        if value("rule_id") != nil { report("rule_id", "excludes rule: give one of them") }
        return object("rule") { rule in
            // The body of a rule is accepted unchanged. These two members do not affect the price of an event.
            if rule.value("feature_key") != nil { _ = rule.featureKey() }
            _ = rule.optionalInstant("effective_from")
            return rule.price().map { .price($0) }
        }
    }
}
