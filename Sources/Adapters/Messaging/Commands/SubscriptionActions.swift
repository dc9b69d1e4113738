import Catalogue
import Credits
import Ledger

extension NewSubscription: FieldCodable {
    func write(to writer: inout FieldWriter) {
        writer.write(1, variant.text)
        writer.write(2, Int64(quantity))
        writer.write(3, startsAt)
        writer.write(4, trialDays.map { Int64($0) })
        writer.write(5, contract)
        writer.write(6, metadata)
    }

    init(from reader: inout FieldReader) throws(CodingError) {
        self.init(
            variant: try reader.parsed(1, "variant") { VariantName($0) }, quantity: try reader.int32(2, "quantity"),
            startsAt: try reader.optionalInstant(3), trialDays: try reader.optionalInt32(4, "trial days"),
            contract: try reader.optional(5), metadata: try reader.metadata(6))
    }
}

extension Contract: FieldCodable {
    func write(to writer: inout FieldWriter) {
        writer.write(1, Int64(periods))
        writer.write(2, onEnd.rawValue)
        writer.write(3, Int64(noticeDays))
    }

    init(from reader: inout FieldReader) throws(CodingError) {
        self.init(
            periods: try reader.int32(1, "periods"), onEnd: try reader.parsed(2, "end") { End(rawValue: $0) },
            noticeDays: try reader.int32(3, "notice days"))
    }
}

extension SubscriptionChange: FieldCodable {
    func write(to writer: inout FieldWriter) {
        writer.write(1, variant?.text)
        writer.write(2, quantity.map { Int64($0) })
        writer.write(3, timing?.rawValue)
        writer.write(4, proration.rawValue)
        writer.write(5, version.map { Int64($0) })
        writer.write(6, source?.bits)
    }

    init(from reader: inout FieldReader) throws(CodingError) {
        self.init(
            variant: try reader.optional(1, "variant") { VariantName($0) },
            quantity: try reader.optionalInt32(2, "quantity"),
            timing: try reader.optional(3, "time") { Timing(rawValue: $0) },
            proration: try reader.parsed(4, "proration") { Proration(rawValue: $0) })
        version = try reader.optionalInt32(5, "version")
        let source: Bits128? = try reader.optional(6)
        self.source = source.map { PublicID(.planVariant, $0) }
    }
}

extension SubscriptionAction: FieldCodable {
    func write(to writer: inout FieldWriter) {
        switch self {
        case .renew: writer.write(1) { _ in }
        case .change(let change): writer.write(2, change)
        case .withdrawChange: writer.write(3) { _ in }
        case .pause(let until): writer.write(4) { $0.write(1, until) }
        case .resume: writer.write(5) { _ in }
        case .cancel(let timing, let revokesCredits):
            writer.write(6) { writer in
                writer.write(1, timing.rawValue)
                writer.write(2, revokesCredits)
            }
        case .uncancel: writer.write(7) { _ in }
        }
    }

    init(from reader: inout FieldReader) throws(CodingError) {
        switch try reader.nextNumber() {
        case 1: self = .renew
        case 2: self = .change(try reader.value(2, "action on a subscription"))
        case 3: self = .withdrawChange
        case 4:
            self = try reader.message(4, "action on a subscription") { (reader) throws(CodingError) in
                .pause(until: try reader.optionalInstant(1))
            }
        case 5: self = .resume
        case 6:
            self = try reader.message(6, "action on a subscription") { (reader) throws(CodingError) in
                .cancel(
                    try reader.parsed(1, "time") { SubscriptionChange.Timing(rawValue: $0) },
                    revokesCredits: try reader.bool(2, "revocation"))
            }
        case 7: self = .uncancel
        default: throw .missing(field: "action on a subscription")
        }
    }
}
