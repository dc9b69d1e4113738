import Credits
package import JSON
package import Ledger
import Metering

extension JSONWriter {
    /// Writes a reservation in the form that lists show.
    package mutating func reservation(_ reservation: Reservation, of account: AccountName) {
        beginObject()
        members(reservation, of: account)
        endObject()
    }

    /// Writes the answer to a new reservation (201).
    package mutating func reservation(_ reservation: Reservation, _ balances: Balances, of account: AccountName) {
        beginObject()
        members(reservation, of: account)
        members(balances)
        endObject()
    }

    /// Writes the answer to an action on a reservation (200).
    package mutating func reservation(
        _ reservation: Reservation, _ change: ReservationChange, _ balances: Balances, of account: AccountName
    ) {
        beginObject()
        members(reservation, of: account)
        member("charged", change.charged)
        member("refunded", change.refunded)
        member("returned", change.returned)
        member("overage", change.overage)
        if let entry = change.entry { member("entry", entry, of: account) } else { member("entry", nil as String?) }
        members(balances)
        endObject()
    }

    private mutating func members(_ stored: Reservation, of account: AccountName) {
        // While the text of an erased end user is still being removed, nothing shows it.
        let reservation = account.endUserID.isErased ? stored.erased : stored
        member("id", account.id(.reservation, reservation.number))
        member("end_user_id", account.endUserID.rawValue)
        member("feature_key", reservation.featureKey?.rawValue)
        member("status", reservation.status.rawValue)
        members(reservation.estimate)
        member("estimated_cost", reservation.estimatedCost.rawValue)
        member("held", reservation.held)
        member("uncovered", reservation.uncovered.rawValue)
        member("cost", reservation.charged.rawValue)
        let only = reservation.parts.count == 1 ? reservation.parts[0] : nil
        progress(only?.watermark)
        member("rule_id", only?.ruleID?.description)
        // The job by feature. A job of one feature has all of it in the members above.
        if only == nil {
            array("feature_keys", reservation.featureKeys) { json, key in json.value(key.rawValue) }
            array("features", reservation.parts) { json, part in
                json.beginObject()
                json.member("feature_key", part.featureKey.rawValue)
                json.member("cost", part.charged.rawValue)
                json.progress(part.watermark)
                json.member("rule_id", part.ruleID?.description)
                json.endObject()
            }
        }
        member("expires_at", reservation.expiresAt as Instant?)
        member("created_at", reservation.createdAt as Instant?)
        member("finished_at", reservation.finishedAt)
        member("metadata", reservation.metadata)
    }

    private mutating func progress(_ watermark: Demand?) {
        key("progress")
        guard let watermark else { return null() }
        beginObject()
        members(watermark)
        endObject()
    }

    /// Writes `units`, `quantities`, `attributes` and `credits`. Only the measure that the client used has a value.
    private mutating func members(_ demand: Demand) {
        switch demand {
        case .measured(.units(let units), let attributes):
            member("units", units as Int64?)
            member("quantities", [:])
            member("attributes", attributes)
            member("credits", nil as Int64?)
        case .measured(.quantities(let quantities), let attributes):
            member("units", nil as Int64?)
            member("quantities", quantities)
            member("attributes", attributes)
            member("credits", nil as Int64?)
        case .credits(let credits, let attributes):
            member("units", nil as Int64?)
            member("quantities", [:])
            member("attributes", attributes)
            member("credits", credits.rawValue)
        }
    }
}
