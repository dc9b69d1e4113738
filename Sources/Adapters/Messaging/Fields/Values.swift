import Catalogue
import Commands
import Credits
import Ledger
import Metering

// The values that commands consist of. Every reader checks the range that the API guarantees, because another release
// or a person may have written the message.

extension FieldWriter {
    mutating func write(_ number: Int, _ instant: Instant?) {
        if let instant { write(number, fixed: UInt64(bitPattern: instant.microseconds)) }
    }

    /// - Parameter since: The revision that a reader of the instant must have.
    mutating func write(_ number: Int, since: Int, _ instant: Instant?) {
        guard let instant else { return }
        demand(revision: since)
        write(number, instant)
    }

    mutating func write(_ number: Int, _ amount: Millicredits?) {
        write(number, amount?.rawValue)
    }

    mutating func write(_ number: Int, _ metadata: Metadata?) {
        write(number, metadata?.canonicalJSON)
    }

    mutating func write(_ number: Int, _ priority: Int16?) {
        write(number, priority.map { Int64($0) })
    }

    /// Writes nothing when the field is kept. Otherwise writes a nested message, which is empty when the field is
    /// cleared.
    ///
    /// - Parameter since: The revision that a reader of the change must have.
    mutating func write<Value>(
        _ number: Int, since: Int = MessageRevision.first, _ change: FieldChange<Value>,
        _ body: (inout FieldWriter, Int, Value) -> Void
    ) {
        guard case .set(let value) = change else { return }
        write(number, since: since) { writer in
            if let value { body(&writer, 1, value) }
        }
    }
}

extension FieldReader {
    mutating func optionalInstant(_ number: Int) throws(CodingError) -> Instant? {
        try optionalFixed(number).map { Instant(microseconds: Int64(bitPattern: $0)) }
    }

    mutating func instant(_ number: Int, _ name: CodingError.FieldName) throws(CodingError) -> Instant {
        Instant(microseconds: Int64(bitPattern: try fixed(number, name)))
    }

    mutating func optionalAmount(
        _ number: Int, in range: ClosedRange<Int64>, _ name: CodingError.FieldName
    ) throws(CodingError) -> Millicredits? {
        guard let value = try optionalInt64(number) else { return nil }
        guard range.contains(value), let amount = try? Millicredits(value) else { throw .invalid(field: name) }
        return amount
    }

    mutating func amount(
        _ number: Int, in range: ClosedRange<Int64>, _ name: CodingError.FieldName
    ) throws(CodingError) -> Millicredits {
        guard let amount = try optionalAmount(number, in: range, name) else { throw .missing(field: name) }
        return amount
    }

    mutating func optionalPriority(_ number: Int) throws(CodingError) -> Int16? {
        guard let value = try optionalInt64(number) else { return nil }
        guard (0...100).contains(value) else { throw .invalid(field: "priority") }
        return Int16(value)
    }

    mutating func metadata(_ number: Int) throws(CodingError) -> Metadata? {
        try optionalString(number, "metadata").map { Metadata(canonicalJSON: $0) }
    }

    mutating func optionalScopes(_ number: Int) throws(CodingError) -> KeyScopes? {
        guard let value = try optionalInt64(number) else { return nil }
        guard let scopes = UInt32(exactly: value) else { throw .invalid(field: "scopes") }
        return KeyScopes(rawValue: scopes)
    }

    mutating func featureKey(_ number: Int) throws(CodingError) -> FeatureKey {
        try parsed(number, "feature key") { FeatureKey($0) }
    }

    mutating func featureKeys(_ number: Int) throws(CodingError) -> [FeatureKey] {
        var keys: [FeatureKey] = []
        for text in try strings(number, "feature key") {
            guard let key = FeatureKey(text) else { throw .invalid(field: "feature key") }
            keys.append(key)
        }
        return keys
    }

    mutating func change<Value>(
        _ number: Int, _ body: (inout FieldReader) throws(CodingError) -> Value?
    ) throws(CodingError) -> FieldChange<Value> {
        // An empty message clears the field.
        let change = try optionalMessage(number) { (reader) throws(CodingError) in
            FieldChange.set(try body(&reader))
        }
        return change ?? .keep
    }
}

/// The ranges of amounts on the wire.
enum AmountRange {
    static let any = -Millicredits.limit...Millicredits.limit
    static let unsigned = 0...Millicredits.limit
    static let positive = 1...Millicredits.limit
}

extension Bits128: FieldCodable {
    func write(to writer: inout FieldWriter) {
        writer.write(1, fixed: high)
        writer.write(2, fixed: low)
    }

    init(from reader: inout FieldReader) throws(CodingError) {
        self.init(high: try reader.fixed(1, "id"), low: try reader.fixed(2, "id"))
    }
}

extension CalendarDuration: FieldCodable {
    func write(to writer: inout FieldWriter) {
        writer.write(1, Int64(months))
        writer.write(2, seconds)
        if days > 0 { writer.write(3, days) }
    }

    init(from reader: inout FieldReader) throws(CodingError) {
        let (months, seconds) = (try reader.int64(1, "duration"), try reader.int64(2, "duration"))
        let days = try reader.optionalInt64(3) ?? 0
        guard let duration = CalendarDuration(months: months, days: days, seconds: seconds) else {
            throw .invalid(field: "duration")
        }
        self = duration
    }
}

extension Measure: FieldCodable {
    func write(to writer: inout FieldWriter) {
        switch self {
        case .units(let units): writer.write(1, units)
        case .quantities(let quantities):
            for (dimension, quantity) in quantities.sorted(by: { $0.key < $1.key }) {
                writer.write(2) { entry in
                    entry.write(1, dimension)
                    entry.write(2, quantity)
                }
            }
        }
    }

    init(from reader: inout FieldReader) throws(CodingError) {
        if let units = try reader.optionalInt64(1) {
            guard units >= 0 else { throw .invalid(field: "number of units") }
            self = .units(units)
        } else {
            let pairs = try reader.messages(2) { (entry) throws(CodingError) in
                (try entry.string(1, "dimension"), try entry.int64(2, "quantity"))
            }
            guard pairs.allSatisfy({ $0.1 >= 0 }) else { throw .invalid(field: "quantity") }
            self = .quantities(Dictionary(pairs) { first, _ in first })
        }
    }
}

extension Attributes: FieldCodable {
    func write(to writer: inout FieldWriter) {
        for (name, value) in values.sorted(by: { $0.key < $1.key }) {
            writer.write(1) { entry in
                entry.write(1, name)
                switch value {
                case .string(let text): entry.write(2, text)
                case .integer(let integer): entry.write(3, integer)
                case .boolean(let boolean): entry.write(4, boolean)
                }
            }
        }
    }

    init(from reader: inout FieldReader) throws(CodingError) {
        let pairs = try reader.messages(1) { (entry) throws(CodingError) in
            let name = try entry.string(1, "attribute")
            if let text = try entry.optionalString(2, "attribute") { return (name, AttributeValue.string(text)) }
            if let integer = try entry.optionalInt64(3) { return (name, .integer(integer)) }
            return (name, .boolean(try entry.bool(4, "attribute")))
        }
        self.init(Dictionary(pairs) { first, _ in first })
    }
}

extension Demand: FieldCodable {
    func write(to writer: inout FieldWriter) {
        switch self {
        case .credits(let credits, _):
            writer.write(1, credits)
            // An older worker would count the credits without the attributes.
            if !attributes.values.isEmpty { writer.demand(revision: 4) }
        case .measured(let measure, _): writer.write(2, measure)
        }
        if !attributes.values.isEmpty { writer.write(3, attributes) }
    }

    init(from reader: inout FieldReader) throws(CodingError) {
        if let credits = try reader.optionalAmount(1, in: AmountRange.unsigned, "amount") {
            self = .credits(credits, try reader.optional(3) ?? .none)
        } else {
            self = .measured(try reader.value(2, "measure"), try reader.optional(3) ?? .none)
        }
    }
}

extension Grant.Expiry: FieldCodable {
    func write(to writer: inout FieldWriter) {
        switch self {
        case .never: break
        case .at(let instant): writer.write(1, instant)
        case .after(let duration): writer.write(2, duration)
        }
    }

    init(from reader: inout FieldReader) throws(CodingError) {
        if let instant = try reader.optionalInstant(1) {
            self = .at(instant)
        } else {
            let duration: CalendarDuration? = try reader.optional(2)
            self = duration.map { .after($0) } ?? .never
        }
    }
}

extension Payment: FieldCodable {
    func write(to writer: inout FieldWriter) {
        writer.write(1, price)
        writer.write(2, currency)
        writer.write(3, externalID)
    }

    init(from reader: inout FieldReader) throws(CodingError) {
        self.init(
            price: try reader.optionalInt64(1), currency: try reader.optionalString(2, "currency"),
            externalID: try reader.optionalString(3, "payment id"))
        guard price.map({ AmountRange.unsigned.contains($0) }) ?? true, externalID != "" else {
            throw .invalid(field: "payment")
        }
    }
}

extension KeyRights: FieldCodable {
    func write(to writer: inout FieldWriter) {
        writer.write(1, Int64(scopes.rawValue))
        writer.write(2, expiresAt)
    }

    init(from reader: inout FieldReader) throws(CodingError) {
        guard let scopes = try reader.optionalScopes(1) else { throw .missing(field: "scopes") }
        self.init(scopes: scopes, expiresAt: try reader.optionalInstant(2))
    }
}

extension NewKey: FieldCodable {
    func write(to writer: inout FieldWriter) {
        writer.write(1, hash)
        writer.write(2, hint)
    }

    init(from reader: inout FieldReader) throws(CodingError) {
        self.init(hash: try reader.byteArray(1, "key hash"), hint: try reader.string(2, "key hint"))
    }
}
