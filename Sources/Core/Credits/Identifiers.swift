/// The number of an environment: one tenant's live or test side, and the unit of isolation. It is internal to an
/// installation.
package struct EnvironmentID: Hashable, Comparable, Sendable {
    package let rawValue: Int32

    package init(_ rawValue: Int32) {
        self.rawValue = rawValue
    }

    /// The installation itself: its tenants, and the commands of the root key.
    package static let installation = EnvironmentID(0)

    package static func < (left: EnvironmentID, right: EnvironmentID) -> Bool {
        left.rawValue < right.rawValue
    }
}

/// The two environments of every tenant.
package enum EnvironmentKind: String, Sendable, CaseIterable {
    case live
    case test
}

/// The installation-wide number of an end user's account. It is part of the ids of the account's blocks and entries.
package struct AccountID: Hashable, Comparable, Sendable {
    package let rawValue: Int64

    package init(_ rawValue: Int64) {
        self.rawValue = rawValue
    }

    package static func < (left: AccountID, right: AccountID) -> Bool {
        left.rawValue < right.rawValue
    }
}

/// The tenant's name for an end user: 1 to 256 bytes of UTF-8 without NUL.
///
/// Names are compared as bytes, as in PostgreSQL. Swift's string comparison would treat "é" and "e" with a combining
/// accent as the same end user.
package struct EndUserID: Hashable, Comparable, Sendable {
    package static let maximumBytes = 256
    /// The valid texts, in the form that completes "must be …".
    package static let expectation = "1 to 256 bytes long, without NUL"
    package let rawValue: String

    package init?(_ rawValue: String) {
        guard !rawValue.isEmpty, rawValue.utf8.count <= Self.maximumBytes, !rawValue.utf8.contains(0) else {
            return nil
        }
        self.rawValue = rawValue
    }

    /// The id that takes the place of an erased end user's id. It follows from the account's number alone.
    package init(erased account: AccountID) {
        rawValue = PublicID(.erasedEndUser, account: account, number: 0).description
    }

    /// Whether the id has the form of an erased end user's. No tenant can give such an id to an end user.
    package var isErased: Bool {
        rawValue.hasPrefix("erased_") && PublicID(.erasedEndUser, parsing: rawValue) != nil
    }

    package static func == (left: EndUserID, right: EndUserID) -> Bool {
        left.rawValue.utf8.count == right.rawValue.utf8.count && left.rawValue.utf8.elementsEqual(right.rawValue.utf8)
    }

    package func hash(into hasher: inout Hasher) {
        var text = rawValue
        text.withUTF8 { hasher.combine(bytes: UnsafeRawBufferPointer($0)) }
    }

    /// Byte order, which is also the order of code points.
    package static func < (left: EndUserID, right: EndUserID) -> Bool {
        left.rawValue.utf8.lexicographicallyPrecedes(right.rawValue.utf8)
    }
}

/// A feature's key: 1 to 64 ASCII letters, digits, `_`, `-`, `.` or `:`.
package struct FeatureKey: Hashable, Comparable, Sendable {
    package static let maximumBytes = 64
    /// The valid texts, in the form that completes "must be …".
    package static let expectation = "1 to 64 letters, digits or any of _ - . :"
    package let rawValue: String

    package init?(_ rawValue: String) {
        guard rawValue.isCatalogueName else { return nil }
        self.rawValue = rawValue
    }

    package static func < (left: FeatureKey, right: FeatureKey) -> Bool {
        left.rawValue < right.rawValue
    }
}

/// A top-up package's key, with the same characters and length as a feature's key.
package struct PackageKey: Hashable, Sendable {
    package let rawValue: String

    package init?(_ rawValue: String) {
        guard rawValue.isCatalogueName else { return nil }
        self.rawValue = rawValue
    }
}

extension String {
    /// Whether the text is a valid catalogue key: 1 to 64 ASCII letters, digits, `_`, `-`, `.` or `:`.
    package var isCatalogueName: Bool {
        let allowed = utf8.allSatisfy { byte in
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"), UInt8(ascii: "-"), UInt8(ascii: "."),
                UInt8(ascii: ":"):
                true
            default: false
            }
        }
        return allowed && !isEmpty && utf8.count <= FeatureKey.maximumBytes
    }
}

/// A 128-bit value: the payload of public ids, and the type of command ids.
package struct Bits128: Hashable, Comparable, Sendable {
    package let high: UInt64
    package let low: UInt64

    package init(high: UInt64, low: UInt64) {
        self.high = high
        self.low = low
    }

    package static func < (left: Bits128, right: Bits128) -> Bool {
        (left.high, left.low) < (right.high, right.low)
    }

    /// Puts the milliseconds of `now` into the first 48 bits, so that ids sort by creation, and takes the rest from
    /// `random`.
    package init(at now: Instant, random: (UInt64, UInt64)) {
        let milliseconds = UInt64(bitPattern: now.microseconds / 1_000) & 0xFFFF_FFFF_FFFF
        self.init(high: milliseconds << 16 | random.0 & 0xFFFF, low: random.1)
    }
}

/// The kinds of object that public ids name. The raw value is the id's prefix.
package enum PublicIDKind: String, Sendable {
    case block = "blk"
    case entry = "ent"
    case usage = "use"
    case rule = "rule"
    case tenant = "ten"
    case key = "key"
    case erasedEndUser = "erased"
    case operation = "op"
    case reservation = "res"
    case spendCap = "cap"
    case testClock = "clk"
    case topUpRequest = "atr"
    case event = "evt"
    case webhookEndpoint = "whe"
    case webhookDelivery = "dlv"
    case plan = "plan"
    case planVariant = "var"
    case subscription = "sub"
    case variantMigration = "mig"
}

/// A prefixed, sortable public id: `<prefix>_` and 26 characters that carry 128 bits.
///
/// The alphabet is Crockford's base 32 in lower case, most significant digit first, so ids of one kind sort like their
/// values. Blocks, entries, usage, reservations, spend caps, requests for top-ups, events, subscriptions and webhook deliveries
/// have ids that carry the number of their account and their own. All other ids carry the creation time and random bits.
package struct PublicID: Hashable, Sendable, CustomStringConvertible {
    package let kind: PublicIDKind
    package let bits: Bits128

    package init(_ kind: PublicIDKind, _ bits: Bits128) {
        self.kind = kind
        self.bits = bits
    }

    /// The id of an object that is numbered inside its account.
    package init(_ kind: PublicIDKind, account: AccountID, number: Int64) {
        self.init(
            kind, Bits128(high: UInt64(bitPattern: account.rawValue), low: UInt64(bitPattern: number)))
    }

    /// The account of an id made by `init(_:account:number:)`; `number` is the object's number inside it.
    package var account: AccountID { AccountID(Int64(bitPattern: bits.high)) }
    package var number: Int64 { Int64(bitPattern: bits.low) }

    /// Parses an id; nil unless the text is exactly an id of that kind.
    package init?(_ kind: PublicIDKind, parsing text: String) {
        let utf8 = Array(text.utf8)
        let prefix = Array(kind.rawValue.utf8) + [UInt8(ascii: "_")]
        guard utf8.count == prefix.count + 26, utf8.starts(with: prefix) else { return nil }
        var value: UInt128 = 0
        for (index, byte) in utf8[prefix.count...].enumerated() {
            guard let digit = Self.alphabet.firstIndex(of: byte), index > 0 || digit < 8 else { return nil }
            value = value << 5 | UInt128(digit)
        }
        self.init(kind, Bits128(high: UInt64(value >> 64), low: UInt64(truncatingIfNeeded: value)))
    }

    package var description: String {
        String(decoding: utf8, as: UTF8.self)
    }

    /// The bytes of `description`.
    package var utf8: [UInt8] {
        var bytes = Array(kind.rawValue.utf8)
        bytes.reserveCapacity(bytes.count + 27)
        bytes.append(UInt8(ascii: "_"))
        let value = UInt128(bits.high) << 64 | UInt128(bits.low)
        for digit in stride(from: 125, through: 0, by: -5) {
            bytes.append(Self.alphabet[Int(truncatingIfNeeded: value >> UInt128(digit)) & 31])
        }
        return bytes
    }

    private static let alphabet = Array("0123456789abcdefghjkmnpqrstvwxyz".utf8)
}
