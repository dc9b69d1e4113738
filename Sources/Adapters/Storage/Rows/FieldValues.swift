import Catalogue
package import Credits
package import Ledger
package import Postgres

// The domain's values as fields of rows and as parameters of statements.

extension RowFields {
    package mutating func environmentID(or old: EnvironmentID? = nil) throws -> EnvironmentID {
        EnvironmentID(try int32(or: old?.rawValue))
    }

    package mutating func accountID(or old: AccountID? = nil) throws -> AccountID {
        AccountID(try int64(or: old?.rawValue))
    }

    package mutating func endUserID(or old: EndUserID? = nil) throws -> EndUserID {
        try parsed("end_user_id", or: old) { EndUserID($0) }
    }

    package mutating func featureKey(or old: FeatureKey? = nil) throws -> FeatureKey {
        try parsed("feature_key", or: old) { FeatureKey($0) }
    }

    package mutating func amount(or old: Millicredits? = nil) throws -> Millicredits {
        try Millicredits(try int64(or: old?.rawValue))
    }

    package mutating func amountOrNil(or old: Millicredits?? = nil) throws -> Millicredits? {
        try int64OrNil(or: old.map { $0?.rawValue }).map { try Millicredits($0) }
    }

    package mutating func instant(or old: Instant? = nil) throws -> Instant {
        Instant(microseconds: try timestamp(or: old?.microseconds))
    }

    package mutating func instantOrNil(or old: Instant?? = nil) throws -> Instant? {
        try timestampOrNil(or: old.map { $0?.microseconds }).map { Instant(microseconds: $0) }
    }

    package mutating func bits(or old: Bits128? = nil) throws -> Bits128 {
        Bits128(try uuid(or: old.map { PostgresUUID($0) }))
    }

    package mutating func bitsOrNil(or old: Bits128?? = nil) throws -> Bits128? {
        try uuidOrNil(or: old.map { $0.map { PostgresUUID($0) } }).map { Bits128($0) }
    }

    package mutating func metadata(or old: Metadata?? = nil) throws -> Metadata? {
        try textOrNil(or: old.map { $0?.canonicalJSON }).map { Metadata(canonicalJSON: $0) }
    }

    /// The salt of an account; nil when its end user was erased.
    package mutating func salt() throws -> Salt? {
        try bytesOrNil().map { bytes in
            guard let salt = Salt(bytes: bytes) else { throw StorageError.unknownValue(column: "salt") }
            return salt
        }
    }

    /// A value that is stored as a text.
    ///
    /// - Parameter old: The value of the previous row, returned when the log does not repeat the text.
    package mutating func parsed<Value>(
        _ column: String, or old: Value? = nil, _ parse: (String) throws -> Value?
    ) throws -> Value {
        guard let value = try parsedOrNil(column, or: old.map { .some($0) }, parse) else {
            throw StorageError.unknownValue(column: column)
        }
        return value
    }

    package mutating func parsedOrNil<Value>(
        _ column: String, or old: Value?? = nil, _ parse: (String) throws -> Value?
    ) throws -> Value? {
        // The text of the previous row is not kept, only its value. A text that cannot occur stands for it.
        let unchanged = "\0"
        guard let text = try textOrNil(or: old == nil ? nil : .some(unchanged)) else { return nil }
        if text == unchanged, let old { return old }
        guard let value = try parse(text) else { throw StorageError.unknownValue(column: column) }
        return value
    }
}

extension PostgresUUID {
    package init(_ bits: Bits128) {
        self.init(high: bits.high, low: bits.low)
    }
}

extension Bits128 {
    package init(_ uuid: PostgresUUID) {
        self.init(high: uuid.high, low: uuid.low)
    }
}

extension PostgresValue {
    static func id(_ environmentID: EnvironmentID) -> PostgresValue { .int32(environmentID.rawValue) }
    static func id(_ accountID: AccountID) -> PostgresValue { .int64(accountID.rawValue) }
    static func bits(_ bits: Bits128) -> PostgresValue { .uuid(high: bits.high, low: bits.low) }
    static func bits(_ bits: Bits128?) -> PostgresValue { bits.map { .uuid(high: $0.high, low: $0.low) } ?? .null }
    /// An id's bits or a key's text.
    static func name(_ name: CatalogueName<some NamedByKey>) -> PostgresValue {
        switch name {
        case .id(let id): .bits(id.bits)
        case .key(let key): .text(key.rawValue)
        }
    }
    static func instant(_ instant: Instant) -> PostgresValue { .timestamp(microseconds: instant.microseconds) }
    static func instant(_ instant: Instant?) -> PostgresValue {
        .optionalTimestamp(microseconds: instant?.microseconds)
    }
}
