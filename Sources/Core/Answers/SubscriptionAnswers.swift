import Catalogue
import Credits
package import JSON
package import Ledger

extension JSONWriter {
    /// Writes a subscription, as all its answers and lists show it.
    package mutating func subscription(_ stored: Subscription, of account: AccountName) {
        // While the text of an erased end user is still being removed, nothing shows it.
        let subscription = account.endUserID.isErased ? stored.erased : stored
        beginObject()
        member("id", account.id(.subscription, subscription.number))
        member("end_user_id", account.endUserID.rawValue)
        member("plan_id", subscription.planID.description)
        member("plan_variant_id", subscription.variant.id.description)
        member("variant_version", Int64(subscription.variant.version))
        member("slot", subscription.slot.rawValue)
        member("quantity", Int64(subscription.quantity))
        member("status", subscription.status.rawValue)
        member("period_index", Int64(subscription.periodIndex))
        member("current_period_start", subscription.period.start as Instant?)
        member("current_period_end", subscription.period.end as Instant?)
        member("anchor_at", subscription.anchor as Instant?)
        member("trial_ends_at", subscription.trialEndsAt)
        member("grace_ends_at", subscription.graceEndsAt)
        member("renewed_ahead", subscription.isRenewedAhead)
        member("cancel_at_period_end", subscription.cancelsAtPeriodEnd)
        key("pending_change")
        if let change = subscription.pendingChange {
            beginObject()
            member("plan_variant_id", change.variant.id.description)
            member("variant_version", Int64(change.variant.version))
            member("quantity", Int64(change.quantity))
            member("effective_at", subscription.period.end as Instant?)
            endObject()
        } else {
            null()
        }
        member("paused_at", subscription.pause?.at)
        member("resume_at", subscription.pause?.until)
        key("contract")
        if let contract = subscription.contract {
            beginObject()
            member("periods", Int64(contract.periods))
            member("on_end", contract.onEnd.rawValue)
            member("notice_days", Int64(contract.noticeDays))
            member("first_period", Int64(contract.firstPeriod))
            endObject()
        } else {
            null()
        }
        member("start_at", subscription.startsAt as Instant?)
        member("created_at", subscription.createdAt as Instant?)
        member("ended_at", subscription.endedAt)
        member("metadata", subscription.metadata)
        endObject()
    }
}

extension JSONWriter {
    /// Writes what a change would do, or what time will do: the subscription afterwards, the entries and the events.
    package mutating func forecast(_ forecast: SubscriptionForecast, of account: AccountName) {
        beginObject()
        key("subscription")
        if let subscription = forecast.subscription {
            self.subscription(subscription, of: account)
        } else {
            null()
        }
        array("entries", forecast.entries) { json, entry in
            let origin = entry.cause.details.subscription
            json.beginObject()
            json.member("type", entry.type.rawValue)
            json.member("amount", entry.amount)
            json.member("effective_at", entry.effectiveAt as Instant?)
            json.member("subscription_line", origin?.line.map { Int64($0) })
            json.member("period_index", origin.map { Int64($0.periodIndex) })
            json.endObject()
        }
        array("events", forecast.events) { json, event in
            json.beginObject()
            json.member("type", event.content.type.rawValue)
            json.member("timestamp", event.at as Instant?)
            json.key("data")
            json.raw(Array(event.content.storedJSON(of: account.id).utf8))
            json.endObject()
        }
        members(forecast.balances)
        member("as_of", forecast.at as Instant?)
        endObject()
    }
}

extension Problem {
    package static let unknownSubscription = Problem(
        .notFound, "No subscription has that id in this environment. Check the id.")

    /// - Parameter account: It is part of the public id of the subscription.
    init(_ transition: Refusal.InvalidTransition, account: AccountID) {
        let id = PublicID(.subscription, account: account, number: Int64(transition.subscription))
        let reason =
            transition.obstacle.map(\.rawValue) ?? transition.status.map { "its status is \($0.rawValue)" }
            ?? "it has ended"
        self.init(
            .invalidTransition,
            "The subscription \(id) does not allow \"\(transition.trigger.rawValue)\": \(reason). Nothing was changed.",
            texts: transition.status.map { ["subscription_status": $0.rawValue] } ?? [:])
    }

    /// - Parameter account: It is part of the public id of the subscription.
    init(alreadySubscribed number: Int32, in slot: PlanSlot, account: AccountID) {
        let id = PublicID(.subscription, account: account, number: Int64(number))
        self.init(
            .alreadySubscribed,
            "The end user has a live subscription in the slot \(slot.rawValue): \(id). Change it, or cancel it first.",
            texts: ["subscription_id": id.description])
    }
}
