package import Credits
package import JSON

/// What an entry of the ledger records.
package enum EntryType: String, Sendable, CaseIterable {
    case grant, use, expire
}

/// One block's share of an entry: what it gained (positive) or lost (negative).
package struct Allocation: Hashable, Sendable {
    package let block: Int32
    package let amount: Int64

    package init(block: Int32, amount: Int64) {
        self.block = block
        self.amount = amount
    }
}

/// What led to an entry.
package struct EntryCause: Hashable, Sendable {
    package var featureKey: FeatureKey?
    package var units: Int64?
    /// The rule version that priced it.
    package var ruleID: PublicID?
    package var idempotencyKey: String?
    package var reason: String?
    package var metadata: Metadata?

    package init(
        featureKey: FeatureKey? = nil, units: Int64? = nil, ruleID: PublicID? = nil, idempotencyKey: String? = nil,
        reason: String? = nil, metadata: Metadata? = nil
    ) {
        self.featureKey = featureKey
        self.units = units
        self.ruleID = ruleID
        self.idempotencyKey = idempotencyKey
        self.reason = reason
        self.metadata = metadata
    }
}

/// One line of an account's ledger. Entries are numbered 1, 2, 3, … without gaps and never change.
package struct Entry: Hashable, Sendable {
    package let sequence: Int64
    package let type: EntryType
    /// The signed effect on `balance`.
    package let amount: Int64
    package let reservedDelta: Int64
    package let overageDelta: Int64
    package let balanceAfter: Int64
    package let reservedAfter: Int64
    /// In burn order for a debit.
    package let allocations: [Allocation]
    package let cause: EntryCause
    /// When it counts: an event's `occurred_at`, an expiry's due instant.
    package let effectiveAt: Instant
    /// When the ledger wrote it; never decreases along an account.
    package let recordedAt: Instant
    package let hash: EntryHash

    package init(
        sequence: Int64, type: EntryType, amount: Int64, reservedDelta: Int64, overageDelta: Int64,
        balanceAfter: Int64, reservedAfter: Int64, allocations: [Allocation], cause: EntryCause,
        effectiveAt: Instant, recordedAt: Instant, hash: EntryHash
    ) {
        self.sequence = sequence
        self.type = type
        self.amount = amount
        self.reservedDelta = reservedDelta
        self.overageDelta = overageDelta
        self.balanceAfter = balanceAfter
        self.reservedAfter = reservedAfter
        self.allocations = allocations
        self.cause = cause
        self.effectiveAt = effectiveAt
        self.recordedAt = recordedAt
        self.hash = hash
    }
}

extension Entry {
    /// The entry's canonical JSON: members sorted by name, absent ones left out, no white space, integers plain.
    ///
    /// These bytes, after the previous entry's hash, are what `hash` covers; the same text with a last member `hash` is
    /// what the API shows and exports.
    func canonicalBytes(account: AccountID, endUserID: EndUserID) -> [UInt8] {
        var json = JSONWriter()
        json.beginObject()
        json.key("allocation")
        json.beginArray()
        for allocation in allocations {
            json.beginObject()
            json.member("amount", allocation.amount)
            json.key("block_id")
            json.id(PublicID(.block, account: account, number: Int64(allocation.block)))
            json.endObject()
        }
        json.endArray()
        json.member("amount", amount)
        json.member("balance_after", balanceAfter)
        json.key("effective_at")
        json.instant(effectiveAt)
        json.member("end_user_id", endUserID.rawValue)
        if let featureKey = cause.featureKey { json.member("feature_key", featureKey.rawValue) }
        json.key("id")
        json.id(PublicID(.entry, account: account, number: sequence))
        if let idempotencyKey = cause.idempotencyKey { json.member("idempotency_key", idempotencyKey) }
        if let metadata = cause.metadata {
            json.key("metadata")
            json.raw(Array(metadata.canonicalJSON.utf8))
        }
        json.member("overage_delta", overageDelta)
        if let reason = cause.reason { json.member("reason", reason) }
        json.key("recorded_at")
        json.instant(recordedAt)
        json.member("reserved_after", reservedAfter)
        json.member("reserved_delta", reservedDelta)
        if let ruleID = cause.ruleID {
            json.key("rule_id")
            json.id(ruleID)
        }
        json.member("sequence", sequence)
        json.member("type", type.rawValue)
        if let units = cause.units { json.member("units", units) }
        json.endObject()
        return json.bytes
    }

    /// The hash that the entry must carry after `previous`.
    package func expectedHash(after previous: EntryHash, account: AccountID, endUserID: EndUserID) -> EntryHash {
        EntryHash(previous: previous, canonicalBytes: canonicalBytes(account: account, endUserID: endUserID))
    }

    /// The entry as the API shows it: its canonical JSON with a last member `hash`.
    package func json(account: AccountID, endUserID: EndUserID) -> [UInt8] {
        var bytes = canonicalBytes(account: account, endUserID: endUserID)
        bytes.removeLast()
        bytes.append(contentsOf: #","hash":""#.utf8)
        bytes.append(contentsOf: hash.hexadecimal)
        bytes.append(contentsOf: #""}"#.utf8)
        return bytes
    }
}

extension JSONWriter {
    /// An id as a string value; ids need no escaping.
    package mutating func id(_ id: PublicID) {
        raw([UInt8(ascii: "\"")] + id.utf8 + [UInt8(ascii: "\"")])
    }

    /// An instant as a string value; RFC 3339 needs no escaping.
    package mutating func instant(_ instant: Instant) {
        raw([UInt8(ascii: "\"")] + instant.rfc3339 + [UInt8(ascii: "\"")])
    }
}

extension Entry {
    /// The sums that an answer to this entry shows.
    package var balancesAfter: Balances {
        Balances(
            balance: balanceAfter, reserved: reservedAfter, frozen: 0, effective: balanceAfter - reservedAfter)
    }
}
