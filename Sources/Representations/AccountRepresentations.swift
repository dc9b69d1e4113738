package import Credits
package import JSON
package import Ledger

/// Whose account a representation is about.
package struct AccountName: Hashable, Sendable {
    package let id: AccountID
    package let endUserID: EndUserID

    package init(id: AccountID, endUserID: EndUserID) {
        self.id = id
        self.endUserID = endUserID
    }
}

extension JSONWriter {
    /// An instant, or null.
    package mutating func member(_ name: StaticString, _ instant: Instant?) {
        key(name)
        if let instant { self.instant(instant) } else { null() }
    }

    package mutating func member(_ name: StaticString, _ id: PublicID) {
        key(name)
        self.id(id)
    }

    /// What a tenant attached, or an empty object.
    package mutating func member(_ name: StaticString, _ metadata: Metadata?) {
        key(name)
        raw(Array((metadata?.canonicalJSON ?? "{}").utf8))
    }

    /// `balance`, `reserved_balance`, `frozen_balance` and `effective_balance`.
    package mutating func members(_ balances: Balances) {
        member("balance", balances.balance)
        member("reserved_balance", balances.reserved)
        member("frozen_balance", balances.frozen)
        member("effective_balance", balances.effective)
    }

    /// The answer to a use: 201. It is made from the entry alone, so that it can be made again from the ledger.
    package mutating func usage(_ entry: Entry, of account: AccountName) {
        beginObject()
        member("id", PublicID(.usage, account: account.id, number: entry.sequence))
        member("cost", -entry.amount)
        members(entry.balancesAfter)
        key("entry")
        raw(entry.json(account: account.id, endUserID: account.endUserID))
        member("end_user_id", account.endUserID.rawValue)
        member("feature_key", entry.cause.featureKey?.rawValue)
        member("units", entry.cause.units)
        member("occurred_at", entry.effectiveAt as Instant?)
        member("idempotency_key", entry.cause.idempotencyKey)
        member("metadata", entry.cause.metadata)
        endObject()
    }

    /// The answer to a grant: 201.
    package mutating func grant(_ granted: GrantedBlock, _ entry: Entry, _ balances: Balances, of account: AccountName)
    {
        beginObject()
        key("block")
        block(granted, remaining: granted.block, status: .active, of: account)
        key("entry")
        raw(entry.json(account: account.id, endUserID: account.endUserID))
        members(balances)
        endObject()
    }

    /// A block in a state that may be later than its grant.
    package mutating func block(
        _ granted: GrantedBlock, remaining: Block, status: BlockStatus, of account: AccountName
    ) {
        beginObject()
        member("id", PublicID(.block, account: account.id, number: Int64(granted.block.number)))
        member("end_user_id", account.endUserID.rawValue)
        member("status", status.rawValue)
        member("source", granted.source.rawValue)
        member("original", granted.block.original.rawValue)
        member("remaining", remaining.remaining.rawValue)
        member("held", remaining.held.rawValue)
        member("priority", Int64(granted.block.priority))
        member("expires_at", granted.block.expiresAt)
        array("feature_keys", granted.block.featureKeys) { json, key in json.value(key.rawValue) }
        member("reason", granted.reason)
        member("metadata", granted.metadata)
        member("created_at", granted.createdAt as Instant?)
        endObject()
    }

    /// An end user.
    package mutating func endUser(_ profile: EndUserProfile, id: EndUserID) {
        beginObject()
        member("end_user_id", id.rawValue)
        member("name", profile.name)
        member("metadata", profile.metadata)
        member("created_at", profile.createdAt as Instant?)
        member("updated_at", profile.updatedAt as Instant?)
        endObject()
    }
}

/// What has become of a block.
package enum BlockStatus: String, Sendable, CaseIterable {
    /// Something remains and may be spent.
    case active
    /// Nothing remains because all was used.
    case spent
    /// Its expiry took what remained.
    case expired
}
