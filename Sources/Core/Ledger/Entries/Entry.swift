package import Credits
package import JSON
package import Metering

/// The types of ledger entries.
package enum EntryType: String, Sendable, CaseIterable {
    case grant, use, reserve, commit, release, expire, refund, revoke, adjust, transfer, settle, rollover
}

/// The change of one block by an entry: positive for a gain, negative for a loss.
package struct Allocation: Hashable, Sendable {
    package let block: Int32
    package let amount: Int64

    package init(block: Int32, amount: Int64) {
        self.block = block
        self.amount = amount
    }
}

/// The cause of an entry.
package struct EntryCause: Hashable, Sendable {
    package var featureKey: FeatureKey?
    package var units: Int64?
    /// The rule version that priced the entry.
    package var ruleID: PublicID?
    /// The number of the entry's reservation.
    package var reservation: Int32?
    /// The sequence of the charge that a refund reverses.
    package var refunds: Int64?
    package var idempotencyKey: String?
    package var reason: String?
    package var metadata: Metadata?
    package var details: EntryDetails

    package init(
        featureKey: FeatureKey? = nil, units: Int64? = nil, ruleID: PublicID? = nil, reservation: Int32? = nil,
        refunds: Int64? = nil, idempotencyKey: String? = nil, reason: String? = nil, metadata: Metadata? = nil,
        details: EntryDetails = .none
    ) {
        self.featureKey = featureKey
        self.units = units
        self.ruleID = ruleID
        self.reservation = reservation
        self.refunds = refunds
        self.idempotencyKey = idempotencyKey
        self.reason = reason
        self.metadata = metadata
        self.details = details
    }
}

/// Fields that only some entries have.
package struct EntryDetails: Hashable, Sendable {
    /// The attributes by which the price was chosen.
    package var attributes: Attributes
    /// The quantities of an event with dimensions; empty for an event of units.
    package var quantities: [String: Int64]
    /// The payment provider's id.
    package var externalPaymentID: String?
    /// The other end user of a transfer. A stored entry of `EntryVersion.salted` does not have it: the other account, which
    /// `counterpartyEntry` names, knows it.
    package var counterparty: EndUserID?
    /// The entry on the other side of a transfer; nil in entries of `EntryVersion.clear`.
    package var counterpartyEntry: PublicID?
    /// The millicredits that a refund could not give back because the block was revoked.
    package var forfeited: Int64
    /// The features of a reservation over several, in an entry that holds credits for it.
    package var featureKeys: [FeatureKey]
    /// The units that a commit of a reservation over several features adds to the feature's earlier ones; nil in every other
    /// entry.
    package var addedUnits: Int64?
    /// The subscription that gave or took the credits.
    package var subscription: SubscriptionOrigin?
    /// True if a deadline, not a request, caused the entry.
    package var isDeadline: Bool
    /// True if the refund is part of the price of a job whose larger total costs less.
    package var isSettlement: Bool

    package init(
        attributes: Attributes = .none, quantities: [String: Int64] = [:], externalPaymentID: String? = nil,
        counterparty: EndUserID? = nil, counterpartyEntry: PublicID? = nil, forfeited: Int64 = 0,
        featureKeys: [FeatureKey] = [], addedUnits: Int64? = nil, subscription: SubscriptionOrigin? = nil,
        isDeadline: Bool = false, isSettlement: Bool = false
    ) {
        self.attributes = attributes
        self.quantities = quantities
        self.externalPaymentID = externalPaymentID
        self.counterparty = counterparty
        self.counterpartyEntry = counterpartyEntry
        self.forfeited = forfeited
        self.featureKeys = featureKeys
        self.addedUnits = addedUnits
        self.subscription = subscription
        self.isDeadline = isDeadline
        self.isSettlement = isSettlement
    }

    package static let none = EntryDetails()

    /// The name of the cause, if it is not a request of its own.
    package var trigger: String? { isDeadline ? "deadline" : isSettlement ? "settlement" : nil }
}

/// One line of an account's ledger. Entries are numbered 1, 2, 3, … without gaps and never change, except
/// that an erasure removes the text that can name a person.
package struct Entry: Hashable, Sendable {
    package let sequence: Int64
    package let type: EntryType
    /// The signed change of `balance`.
    package let amount: Int64
    package let reservedDelta: Int64
    package let overageDelta: Int64
    package let balanceAfter: Int64
    package let reservedAfter: Int64
    package let overageAfter: Int64
    /// The change of each block's remaining credits; debits are in burn order.
    package let allocations: [Allocation]
    /// The change of each block's held credits, in burn order.
    package let holds: [Allocation]
    package internal(set) var cause: EntryCause
    /// The instant for which the entry counts: an event's `occurred_at` or the due instant of an expiry.
    package let effectiveAt: Instant
    /// The instant at which the ledger wrote the entry; never decreases along an account.
    package let recordedAt: Instant
    package internal(set) var hash: EntryHash
    package let version: EntryVersion
    /// The digest of the text that can name a person. It is stored when an erasure removes the text; until then it is nil
    /// and follows from the text and the account's salt.
    package internal(set) var personalDigest: EntryHash?

    package init(
        sequence: Int64, type: EntryType, amount: Int64, reservedDelta: Int64, overageDelta: Int64,
        balanceAfter: Int64, reservedAfter: Int64, overageAfter: Int64, allocations: [Allocation],
        holds: [Allocation], cause: EntryCause, effectiveAt: Instant, recordedAt: Instant, hash: EntryHash,
        version: EntryVersion = .salted, personalDigest: EntryHash? = nil
    ) {
        self.sequence = sequence
        self.type = type
        self.amount = amount
        self.reservedDelta = reservedDelta
        self.overageDelta = overageDelta
        self.balanceAfter = balanceAfter
        self.reservedAfter = reservedAfter
        self.overageAfter = overageAfter
        self.allocations = allocations
        self.holds = holds
        self.cause = cause
        self.effectiveAt = effectiveAt
        self.recordedAt = recordedAt
        self.hash = hash
        self.version = version
        self.personalDigest = personalDigest
    }
}

extension Entry {
    /// The members of an entry that a JSON form has beside those that all forms have.
    private struct Form {
        var endUserID: EndUserID?
        /// Whether the form has attributes, idempotency key, metadata and reason.
        var hasPersonalText: Bool
        var counterparty: EndUserID?
        /// The members of `EntryVersion.salted`.
        var digest: EntryHash?
    }

    /// The entry as JSON: members sorted by name, absent members left out, no white space, plain integers.
    private func bytes(_ form: Form, account: AccountID) -> [UInt8] {
        var json = JSONWriter()
        json.beginObject()
        if let addedUnits = cause.details.addedUnits { json.member("added_units", addedUnits) }
        json.allocations("allocation", allocations, account: account)
        json.member("amount", amount)
        let details = cause.details
        if form.hasPersonalText { json.attributes(of: self) }
        json.member("balance_after", balanceAfter)
        if let counterparty = form.counterparty { json.member("counterparty", counterparty.rawValue) }
        if let counterpartyEntry = details.counterpartyEntry {
            json.key("counterparty_entry_id")
            json.id(counterpartyEntry)
        }
        json.key("effective_at")
        json.instant(effectiveAt)
        if let endUserID = form.endUserID { json.member("end_user_id", endUserID.rawValue) }
        if let payment = details.externalPaymentID { json.member("external_payment_id", payment) }
        if let featureKey = cause.featureKey { json.member("feature_key", featureKey.rawValue) }
        if !details.featureKeys.isEmpty {
            json.array("feature_keys", details.featureKeys) { json, key in json.value(key.rawValue) }
        }
        if details.forfeited != 0 { json.member("forfeited", details.forfeited) }
        if !holds.isEmpty { json.allocations("hold_allocation", holds, account: account) }
        json.key("id")
        json.id(PublicID(.entry, account: account, number: sequence))
        if form.hasPersonalText { json.idempotencyKeyAndMetadata(of: self) }
        if overageAfter != 0 { json.member("overage_after", overageAfter) }
        json.member("overage_delta", overageDelta)
        if let subscription = details.subscription {
            json.member("period_index", Int64(subscription.periodIndex))
        }
        if let digest = form.digest {
            json.key("personal_digest")
            json.raw([UInt8(ascii: "\"")] + digest.hexadecimal + [UInt8(ascii: "\"")])
        }
        if !details.quantities.isEmpty {
            json.key("quantities")
            json.beginObject()
            for (dimension, quantity) in details.quantities.sorted(by: { $0.key < $1.key }) {
                json.key(dimension)
                json.value(quantity)
            }
            json.endObject()
        }
        if form.hasPersonalText, let reason = cause.reason { json.member("reason", reason) }
        json.key("recorded_at")
        json.instant(recordedAt)
        if let refunds = cause.refunds {
            json.key("refunds")
            json.id(PublicID(.entry, account: account, number: refunds))
        }
        if let reservation = cause.reservation {
            json.key("reservation_id")
            json.id(PublicID(.reservation, account: account, number: Int64(reservation)))
        }
        json.member("reserved_after", reservedAfter)
        json.member("reserved_delta", reservedDelta)
        if let ruleID = cause.ruleID {
            json.key("rule_id")
            json.id(ruleID)
        }
        json.member("sequence", sequence)
        if let origin = details.subscription {
            json.key("subscription_id")
            json.id(PublicID(.subscription, account: account, number: Int64(origin.subscription)))
            if let line = origin.line { json.member("subscription_line", Int64(line)) }
        }
        if let trigger = details.trigger { json.member("trigger", trigger) }
        json.member("type", type.rawValue)
        if let units = cause.units { json.member("units", units) }
        if form.digest != nil { json.member("version", Int64(version.rawValue)) }
        json.endObject()
        return json.bytes
    }

    /// The bytes that the hash covers after the previous entry's hash; nil when they cannot be made any more, because an
    /// erasure has removed text that they contain (`EntryVersion.clear`) or the digest is missing.
    private func canonicalBytes(of owner: EntryOwner) -> [UInt8]? {
        switch version {
        case .clear:
            guard personalDigest == nil, !owner.endUserID.isErased, cause.details.counterparty?.isErased != true else {
                return nil
            }
            return bytes(clearForm(endUserID: owner.endUserID), account: owner.account)
        case .salted:
            guard let digest = digest(of: owner) else { return nil }
            return bytes(Form(hasPersonalText: false, digest: digest), account: owner.account)
        }
    }

    private func clearForm(endUserID: EndUserID) -> Form {
        Form(endUserID: endUserID, hasPersonalText: true, counterparty: cause.details.counterparty)
    }

    /// The hash of the entry if it follows an entry with hash `previous`; nil for an entry of `EntryVersion.clear` whose
    /// text was removed, and for a salted one with neither a salt nor a digest.
    package func expectedHash(after previous: EntryHash, of owner: EntryOwner) -> EntryHash? {
        canonicalBytes(of: owner).map { EntryHash(previous: previous, canonicalBytes: $0) }
    }

    /// The entry in the form of the API, with `hash` as the last member. Of an erased end user it shows no text, also
    /// while the text is still being removed.
    package func json(account: AccountID, endUserID: EndUserID) -> [UInt8] {
        var form = clearForm(endUserID: endUserID)
        form.hasPersonalText = !endUserID.isErased
        return bytes(form, account: account).adding(hash)
    }

    /// The entry as a line of an export.
    ///
    /// A salted entry has the members that its hash covers, `hash`, and then the personal members, once as members and
    /// once as the text `personal`, with the salt. Of an erased end user the personal part is left out.
    ///
    /// - Parameter isErased: Whether the end user was erased. The owner is then as it was before, as long as the text is
    ///   still being removed.
    package func exportLine(of owner: EntryOwner, isErased: Bool) -> [UInt8] {
        switch version {
        case .clear:
            var form = clearForm(endUserID: owner.endUserID)
            if isErased {
                form.endUserID = nil
                form.hasPersonalText = false
            }
            return bytes(form, account: owner.account).adding(hash)
        case .salted:
            let line = bytes(Form(hasPersonalText: false, digest: digest(of: owner)), account: owner.account)
                .adding(hash)
            guard !isErased, let salt = owner.salt else { return line }
            let personal = personalText(endUserID: owner.endUserID)
            var proof = JSONWriter()
            proof.beginObject()
            proof.member("personal", String(decoding: personal, as: UTF8.self))
            proof.member("salt", salt.base64)
            proof.endObject()
            return line.joining(personal).joining(proof.bytes)
        }
    }
}

extension [UInt8] {
    /// A JSON object with the members of another one behind its own. Neither is empty.
    fileprivate func joining(_ other: [UInt8]) -> [UInt8] {
        var joined = self
        joined[joined.count - 1] = UInt8(ascii: ",")
        joined.append(contentsOf: other.dropFirst())
        return joined
    }

    /// A JSON object with `hash` as its last member.
    fileprivate func adding(_ hash: EntryHash) -> [UInt8] {
        joining(Array(#"{"hash":""#.utf8) + hash.hexadecimal + Array(#""}"#.utf8))
    }
}

extension JSONWriter {
    fileprivate mutating func allocations(_ name: StaticString, _ allocations: [Allocation], account: AccountID) {
        key(name)
        beginArray()
        for allocation in allocations {
            beginObject()
            member("amount", allocation.amount)
            key("block_id")
            id(PublicID(.block, account: account, number: Int64(allocation.block)))
            endObject()
        }
        endArray()
    }

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
    /// The sums that an answer with this entry shows.
    package var balancesAfter: Balances {
        Balances(
            balance: balanceAfter, reserved: reservedAfter, frozen: 0, effective: balanceAfter - reservedAfter)
    }
}
