package import Credits
import JSON
import Metering

// The members of an entry that can name a person enter its hash as one salted digest. An erasure removes the text and the
// salt, and leaves the digest and every hash as they were.

/// The random bytes that salt the personal digests of one account. Without them nobody can try a guess against a digest.
package struct Salt: Hashable, Sendable {
    package static let byteCount = 32
    /// For accounts that are not stored.
    package static let zero = Salt(unchecked: [UInt8](repeating: 0, count: byteCount))

    package let bytes: [UInt8]

    /// Nil unless there are exactly 32 bytes.
    package init?(bytes: some Collection<UInt8>) {
        guard bytes.count == Self.byteCount else { return nil }
        self.init(unchecked: Array(bytes))
    }

    private init(unchecked bytes: [UInt8]) {
        self.bytes = bytes
    }
}

extension Salt {
    private static let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)

    /// The bytes in base64 (RFC 4648), as exports show them: 43 digits and `=`.
    package var base64: String {
        var text: [UInt8] = []
        var bits: UInt32 = 0
        var count = 0
        for byte in bytes {
            bits = bits << 8 | UInt32(byte)
            count += 8
            while count >= 6 {
                count -= 6
                text.append(Self.alphabet[Int(bits >> count) & 63])
            }
        }
        // 256 bits are 42 digits and 4 bits.
        text.append(Self.alphabet[Int(bits << 2) & 63])
        text.append(UInt8(ascii: "="))
        return String(decoding: text, as: UTF8.self)
    }

    /// Nil unless the text is the base64 of 32 bytes.
    package init?(base64 text: String) {
        var bytes: [UInt8] = []
        var bits: UInt32 = 0
        var count = 0
        for digit in text.utf8.prefix(43) {
            guard let value = Self.alphabet.firstIndex(of: digit) else { return nil }
            bits = bits << 6 | UInt32(value)
            count += 6
            guard count >= 8 else { continue }
            count -= 8
            bytes.append(UInt8(truncatingIfNeeded: bits >> count))
        }
        self.init(bytes: bytes)
        guard base64 == text else { return nil }
    }
}

/// The account of an entry, with what the entry's hash covers of it.
package struct EntryOwner: Hashable, Sendable {
    package let account: AccountID
    /// The end user's id at the time of the entry.
    package let endUserID: EndUserID
    /// Nil when the end user was erased.
    package let salt: Salt?

    package init(account: AccountID, endUserID: EndUserID, salt: Salt?) {
        self.account = account
        self.endUserID = endUserID
        self.salt = salt
    }
}

/// The forms of what an entry's hash covers.
package enum EntryVersion: Int16, Sendable {
    /// The hash covers all members as clear text. Earlier releases have written such entries.
    case clear = 1
    /// The hash covers the digest of the members that can name a person. An erasure leaves such an entry provable.
    case salted = 2
}

extension Entry {
    /// The members that can name a person and are there, as a JSON object: sorted by name, without white space.
    func personalText(endUserID: EndUserID) -> [UInt8] {
        var json = JSONWriter()
        json.beginObject()
        json.attributes(of: self)
        json.member("end_user_id", endUserID.rawValue)
        json.idempotencyKeyAndMetadata(of: self)
        if let reason = cause.reason { json.member("reason", reason) }
        json.endObject()
        return json.bytes
    }

    /// The digest of the personal text: the stored one after an erasure, and before it SHA-256 over the salt and the text.
    /// Nil when there is neither.
    package func digest(of owner: EntryOwner) -> EntryHash? {
        if let personalDigest { return personalDigest }
        return owner.salt.map { EntryHash(salt: $0, personalText: personalText(endUserID: owner.endUserID)) }
    }

    /// The entry without the text that can name a person, as it stays after an erasure.
    package func erased(_ digest: EntryHash) -> Entry {
        var copy = self
        copy.cause.idempotencyKey = nil
        copy.cause.reason = nil
        copy.cause.metadata = nil
        copy.cause.details.attributes = .none
        copy.personalDigest = digest
        return copy
    }

    /// Whether the entry says anything that can name a person, its account's end user apart.
    var hasPersonalText: Bool {
        cause.idempotencyKey != nil || cause.reason != nil || cause.metadata != nil
            || !cause.details.attributes.values.isEmpty
    }

    /// The same entry with the other end user of a transfer, whose account is known by its entry.
    package func with(counterparty: EndUserID?) -> Entry {
        var copy = self
        copy.cause.details.counterparty = counterparty
        return copy
    }
}

extension JSONWriter {
    mutating func attributes(of entry: Entry) {
        let attributes = entry.cause.details.attributes
        guard !attributes.values.isEmpty else { return }
        key("attributes")
        raw(Array(attributes.canonicalJSON.utf8))
    }

    mutating func idempotencyKeyAndMetadata(of entry: Entry) {
        if let idempotencyKey = entry.cause.idempotencyKey { member("idempotency_key", idempotencyKey) }
        if let metadata = entry.cause.metadata {
            key("metadata")
            raw(Array(metadata.canonicalJSON.utf8))
        }
    }
}
