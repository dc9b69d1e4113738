import Credits
import Ledger
import Metering

/// The values that commands are made of.
extension ByteWriter {
    mutating func write(_ bits: Bits128) {
        write(bits.high)
        write(bits.low)
    }

    mutating func write(_ instant: Instant) {
        write(instant.microseconds)
    }

    mutating func write(_ metadata: Metadata?) {
        write(metadata?.canonicalJSON)
    }

    mutating func write(_ duration: CalendarDuration) {
        write(duration.months)
        write(duration.seconds)
    }

    mutating func write<Value>(_ change: FieldChange<Value>, _ body: (inout ByteWriter, Value?) -> Void) {
        switch change {
        case .keep: write(false)
        case .set(let value):
            write(true)
            body(&self, value)
        }
    }

    mutating func write(_ demand: Demand) {
        switch demand {
        case .credits(let credits):
            write(UInt8(0))
            write(credits.rawValue)
        case .measured(let measure, let attributes):
            write(measure)
            write(attributes)
        }
    }

    mutating func write(_ measure: Measure) {
        switch measure {
        case .units(let units):
            write(UInt8(1))
            write(units)
        case .quantities(let quantities):
            write(UInt8(2))
            write(count: quantities.count)
            for (dimension, quantity) in quantities.sorted(by: { $0.key < $1.key }) {
                write(dimension)
                write(quantity)
            }
        }
    }

    mutating func write(_ attributes: Attributes) {
        write(count: attributes.values.count)
        for (name, value) in attributes.values.sorted(by: { $0.key < $1.key }) {
            write(name)
            switch value {
            case .string(let text):
                write(UInt8(0))
                write(text)
            case .integer(let integer):
                write(UInt8(1))
                write(integer)
            case .boolean(let boolean):
                write(UInt8(2))
                write(boolean)
            }
        }
    }
}

extension ByteReader {
    mutating func bits128() throws(CodingError) -> Bits128 {
        Bits128(high: try integer(), low: try integer())
    }

    mutating func instant() throws(CodingError) -> Instant {
        Instant(microseconds: try integer())
    }

    mutating func optionalInstant() throws(CodingError) -> Instant? {
        try optional { (reader) throws(CodingError) in try reader.instant() }
    }

    mutating func metadata() throws(CodingError) -> Metadata? {
        try optionalString().map { Metadata(canonicalJSON: $0) }
    }

    mutating func duration() throws(CodingError) -> CalendarDuration {
        guard let duration = CalendarDuration(months: try integer(), seconds: try integer()) else {
            throw .invalid(field: "duration")
        }
        return duration
    }

    mutating func amount() throws(CodingError) -> Millicredits {
        guard let amount = try? Millicredits(try integer(Int64.self)) else { throw .invalid(field: "amount") }
        return amount
    }

    /// An amount above zero.
    mutating func positiveAmount() throws(CodingError) -> Millicredits {
        let amount = try amount()
        guard amount > .zero else { throw .invalid(field: "amount") }
        return amount
    }

    /// An amount that is not negative.
    mutating func unsignedAmount() throws(CodingError) -> Millicredits {
        let amount = try amount()
        guard amount >= .zero else { throw .invalid(field: "amount") }
        return amount
    }

    mutating func featureKey() throws(CodingError) -> FeatureKey {
        guard let key = FeatureKey(try string()) else { throw .invalid(field: "feature key") }
        return key
    }

    mutating func featureKeys() throws(CodingError) -> [FeatureKey] {
        var keys: [FeatureKey] = []
        for _ in 0..<(try count()) { keys.append(try featureKey()) }
        return keys
    }

    mutating func endUserID() throws(CodingError) -> EndUserID {
        guard let id = EndUserID(try string()) else { throw .invalid(field: "end user id") }
        return id
    }

    mutating func fieldChange<Value>(
        _ body: (inout ByteReader) throws(CodingError) -> Value?
    ) throws(CodingError) -> FieldChange<Value> {
        try boolean() ? .set(try body(&self)) : .keep
    }

    mutating func demand() throws(CodingError) -> Demand {
        switch try integer(UInt8.self) {
        case 0: return .credits(try unsignedAmount())
        case let kind: return .measured(try measure(kind), try attributes())
        }
    }

    mutating func measure() throws(CodingError) -> Measure {
        try measure(try integer())
    }

    private mutating func measure(_ kind: UInt8) throws(CodingError) -> Measure {
        switch kind {
        case 1: return .units(try units())
        case 2:
            var quantities: [String: Int64] = [:]
            for _ in 0..<(try count()) { quantities[try string()] = try units() }
            return .quantities(quantities)
        default: throw .invalid(field: "measure")
        }
    }

    private mutating func units() throws(CodingError) -> Int64 {
        let units: Int64 = try integer()
        guard units >= 0 else { throw .invalid(field: "number of units") }
        return units
    }

    mutating func attributes() throws(CodingError) -> Attributes {
        let count = try count()
        guard count > 0 else { return .none }
        var values: [String: AttributeValue] = [:]
        for _ in 0..<count {
            let name = try string()
            switch try integer(UInt8.self) {
            case 0: values[name] = .string(try string())
            case 1: values[name] = .integer(try integer())
            case 2: values[name] = .boolean(try boolean())
            default: throw .invalid(field: "attribute")
            }
        }
        return Attributes(values)
    }
}
