import Credits
package import JSON
package import Ledger

extension JSONWriter {
    /// Writes the answer to a use (201). It needs only the entry, so a replay can make it again from the ledger.
    package mutating func usage(_ entry: Entry, of account: AccountName) {
        let details = entry.cause.details
        beginObject()
        member("id", account.id(.usage, entry.sequence))
        member("cost", -entry.amount)
        member("overage", entry.overageDelta)
        members(entry.balancesAfter)
        member("entry", entry, of: account)
        member("end_user_id", account.endUserID.rawValue)
        member("feature_key", entry.cause.featureKey?.rawValue)
        member("units", details.quantities.isEmpty ? entry.cause.units : nil)
        member("quantities", details.quantities)
        member("attributes", details.attributes)
        member("occurred_at", entry.effectiveAt as Instant?)
        member("idempotency_key", entry.cause.idempotencyKey)
        member("metadata", entry.cause.metadata)
        endObject()
    }

    /// Writes the answer to a grant or a top-up (201). The entry of a grant that starts later is null.
    package mutating func grant(
        _ granted: GrantedBlock, _ entry: Entry?, _ balances: Balances, of account: AccountName
    ) {
        beginObject()
        key("block")
        let status: BlockStatus = granted.block.isScheduled ? .scheduled : .active
        block(granted, remaining: granted.block, status: status, of: account)
        if let entry { member("entry", entry, of: account) } else { member("entry", nil as String?) }
        members(balances)
        endObject()
    }

    /// Writes the answer to a refund (201).
    package mutating func refund(_ refund: RefundResult, _ balances: Balances, of account: AccountName) {
        beginObject()
        member("refunded", refund.refunded)
        member("overage_reduced", refund.overageReduced)
        member("forfeited", refund.forfeited)
        array("entries", refund.entries) { json, entry in
            json.raw(entry.json(account: account.id, endUserID: account.endUserID))
        }
        array("compensation", refund.compensation) { json, granted in
            json.block(granted, remaining: granted.block, status: .active, of: account)
        }
        members(balances)
        endObject()
    }

    /// Writes the answer to a revocation (200). Held credits of the block are revoked later, when their hold ends.
    package mutating func revocation(
        _ granted: GrantedBlock, _ revoked: Int64, _ entry: Entry?, _ balances: Balances, of account: AccountName
    ) {
        beginObject()
        member("revoked", revoked)
        key("block")
        block(granted, remaining: granted.block, status: .revoked, of: account)
        if let entry { member("entry", entry, of: account) } else { member("entry", nil as String?) }
        members(balances)
        endObject()
    }

    /// Writes the answer to an adjustment (201).
    package mutating func adjustment(
        _ granted: GrantedBlock?, _ entry: Entry, _ balances: Balances, of account: AccountName
    ) {
        beginObject()
        member("amount", entry.amount)
        key("block")
        if let granted { block(granted, remaining: granted.block, status: .active, of: account) } else { null() }
        member("entry", entry, of: account)
        members(balances)
        endObject()
    }

    /// Writes the answer to a transfer (201). The balances are the sender's.
    package mutating func transfer(_ transfer: TransferResult, _ balances: Balances, of sender: AccountName) {
        let receiver = transfer.sent.cause.details.counterparty.map {
            AccountName(id: transfer.receiver, endUserID: $0)
        }
        beginObject()
        member("from_end_user_id", sender.endUserID.rawValue)
        member("to_end_user_id", receiver?.endUserID.rawValue)
        member("credits", -transfer.sent.amount)
        member("entry", transfer.sent, of: sender)
        if let receiver {
            member("received_entry", transfer.received, of: receiver)
            array("blocks", transfer.blocks) { json, granted in
                json.block(granted, remaining: granted.block, status: .active, of: receiver)
            }
        }
        members(balances)
        endObject()
    }

    /// Writes a block.
    ///
    /// - Parameters:
    ///   - granted: The block as it was granted.
    ///   - remaining: The block in the state to show, which may be later than the grant.
    package mutating func block(
        _ granted: GrantedBlock, remaining: Block, status: BlockStatus, of account: AccountName
    ) {
        beginObject()
        member("id", account.id(.block, granted.block.number))
        member("end_user_id", account.endUserID.rawValue)
        member("status", status.rawValue)
        member("source", granted.source.rawValue)
        member("original", granted.block.original.rawValue)
        member("remaining", remaining.remaining.rawValue)
        member("held", remaining.held.rawValue)
        member("priority", Int64(granted.block.priority))
        member("starts_at", granted.startsAt)
        member("expires_at", granted.block.expiresAt)
        array("feature_keys", granted.block.featureKeys) { json, key in json.value(key.rawValue) }
        member("price_paid", granted.payment?.price)
        member("currency", granted.payment?.currency)
        member("external_payment_id", granted.payment?.externalID)
        origin(of: granted.block, account)
        // While the text of an erased end user is still being removed, nothing shows it.
        let isErased = account.endUserID.isErased
        member("reason", isErased ? nil : granted.reason)
        member("metadata", isErased ? nil : granted.metadata)
        member("created_at", granted.createdAt as Instant?)
        member("revoked_at", remaining.revokedAt)
        endObject()
    }
}

extension JSONWriter {
    /// Writes the subscription, the line and the period that a block comes from.
    mutating func origin(of block: Block, _ account: AccountName) {
        let origin = block.origin
        member("subscription_id", origin.map { account.id(.subscription, $0.subscription).description })
        member("subscription_line", origin?.line.map { Int64($0) })
        member("period_index", origin.map { Int64($0.periodIndex) })
    }
}
