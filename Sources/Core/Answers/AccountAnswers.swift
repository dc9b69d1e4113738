import Catalogue
package import Credits
package import JSON
package import Ledger
import Metering

extension JSONWriter {
    /// Writes an instant, or null.
    package mutating func member(_ name: StaticString, _ instant: Instant?) {
        key(name)
        if let instant { self.instant(instant) } else { null() }
    }

    package mutating func member(_ name: StaticString, _ id: PublicID) {
        key(name)
        self.id(id)
    }

    /// Writes the tenant's metadata, or an empty object when there is none.
    package mutating func member(_ name: StaticString, _ metadata: Metadata?) {
        key(name)
        raw(Array((metadata?.canonicalJSON ?? "{}").utf8))
    }

    /// Writes the attributes by which price rows are chosen; an empty object when there are none.
    mutating func member(_ name: StaticString, _ attributes: Attributes) {
        key(name)
        raw(Array(attributes.canonicalJSON.utf8))
    }

    /// Writes quantities by dimension, sorted by name; null when there are none.
    mutating func member(_ name: StaticString, _ quantities: [String: Int64]) {
        key(name)
        guard !quantities.isEmpty else { return null() }
        beginObject()
        for (dimension, quantity) in quantities.sorted(by: { $0.key < $1.key }) {
            key(dimension)
            value(quantity)
        }
        endObject()
    }

    /// Writes an entry in the form that the ledger API shows.
    mutating func member(_ name: StaticString, _ entry: Entry, of account: AccountName) {
        key(name)
        raw(entry.json(account: account.id, endUserID: account.endUserID))
    }

    /// Writes `balance`, `reserved_balance`, `frozen_balance` and `effective_balance`.
    package mutating func members(_ balances: Balances) {
        member("balance", balances.balance)
        member("reserved_balance", balances.reserved)
        member("frozen_balance", balances.frozen)
        member("effective_balance", balances.effective)
    }

    /// Writes an end user with its settings.
    package mutating func endUser(_ profile: EndUserProfile, _ settings: AccountSettings, id: EndUserID) {
        beginObject()
        member("end_user_id", id.rawValue)
        member("name", profile.name)
        member("overage_policy", settings.overagePolicy?.rawValue)
        member("overage_limit", settings.overageLimit?.rawValue)
        array("feature_overrides", settings.overrides.sorted { $0.key < $1.key }) { json, override in
            let grant = override.value.member
            json.beginObject()
            json.member("feature_key", override.key.rawValue)
            json.key(grant.key)
            json.value(grant.value)
            json.endObject()
        }
        if let thresholds = settings.balanceLowThresholds {
            array("balance_low_thresholds", thresholds) { $0.value($1.json) }
        } else {
            member("balance_low_thresholds", nil as String?)
        }
        member("test_clock_id", settings.testClock?.description)
        member("metadata", profile.metadata)
        member("created_at", profile.createdAt as Instant?)
        member("updated_at", profile.updatedAt as Instant?)
        if let erasedAt = profile.erasedAt { member("erased_at", erasedAt as Instant?) }
        endObject()
    }

    /// Writes the answer to the erasure of an end user (200).
    ///
    /// - Parameter account: The account with its opaque id.
    package mutating func erasure(at instant: Instant, of account: AccountName) {
        beginObject()
        member("end_user_id", account.endUserID.rawValue)
        member("erased_at", instant as Instant?)
        endObject()
    }

    /// Writes a spend cap.
    ///
    /// - Parameter state: The credits spent and left in the current window; nil leaves these members out.
    package mutating func spendCap(_ cap: SpendCap, state: LimitState? = nil, of account: AccountName) {
        beginObject()
        members(cap, of: account)
        member("end_user_id", account.endUserID.rawValue)
        if let state { spent(state) }
        member("created_at", cap.createdAt as Instant?)
        endObject()
    }

    mutating func members(_ cap: SpendCap, of account: AccountName) {
        member("id", account.id(.spendCap, cap.number))
        member("feature_key", cap.featureKey?.rawValue)
        member("credits", cap.credits.rawValue)
        member("window", cap.window.text)
    }

    /// Writes `spent`, `remaining` and `resets_at` of a spend cap.
    mutating func spent(_ state: LimitState) {
        member("spent", state.used)
        member("remaining", state.remaining)
        member("resets_at", state.resetsAt)
    }
}
