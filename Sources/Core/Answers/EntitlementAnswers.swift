import Credits
package import JSON
package import Ledger
import Metering

/// The inputs of the answer to an entitlement check.
package struct EntitlementAnswer: Sendable {
    package let account: AccountName
    package let request: EntitlementRequest
    package let balances: Balances
    /// Nil without a live subscription.
    package let subscriptionStatus: SubscriptionStatus?
    package let entitlement: Entitlement

    package init(
        account: AccountName, request: EntitlementRequest, balances: Balances,
        subscriptionStatus: SubscriptionStatus? = nil, entitlement: Entitlement
    ) {
        self.account = account
        self.subscriptionStatus = subscriptionStatus
        self.request = request
        self.balances = balances
        self.entitlement = entitlement
    }
}

extension JSONWriter {
    /// Writes the members of the answer to an entitlement check.
    package mutating func members(_ answer: EntitlementAnswer) {
        let entitlement = answer.entitlement
        let charged = entitlement.isAllowed ? entitlement.cost?.rawValue ?? 0 : 0
        member("allowed", entitlement.isAllowed)
        member("reason", entitlement.denial?.rawValue)
        member("limit_key", entitlement.denyingLimit?.applied.key.rawValue)
        members(answer.balances)
        member("spendable_balance", entitlement.spendable)
        member("estimated_cost", entitlement.cost?.rawValue)
        member("balance_after", answer.balances.balance - charged)
        member("affordable_units", entitlement.affordableUnits)
        member("feature_key", answer.request.feature.rawValue)
        member("end_user_id", answer.account.endUserID.rawValue)
        switch answer.request.demand {
        case .measured(.units(let units), let attributes):
            member("units", units as Int64?)
            member("quantities", [:])
            member("attributes", attributes)
        case .measured(.quantities(let quantities), let attributes):
            member("units", nil as Int64?)
            member("quantities", quantities)
            member("attributes", attributes)
        case .credits: break
        }
        member("rule_id", entitlement.ruleID?.description)
        member("subscription_status", answer.subscriptionStatus?.rawValue)
        member("overage_policy", entitlement.overage.policy.rawValue)
        member("overage_limit", entitlement.overage.limit?.rawValue)
        member("limit", entitlement.limit)
        limits(entitlement.quota, entitlement.caps, of: answer.account)
        array("limits", entitlement.limits) { json, state in json.limitState(state) }
    }

    /// Writes `quota` and `spend_caps`, which are views of the limits.
    mutating func limits(_ quota: LimitState?, _ caps: [(cap: SpendCap, state: LimitState)], of account: AccountName) {
        key("quota")
        if let quota {
            beginObject()
            member("limit", quota.limit.amount)
            member("used", quota.used)
            member("remaining", quota.remaining)
            member("resets_at", quota.resetsAt)
            member("window", quota.limit.window?.text)
            member("anchor", quota.limit.anchor.rawValue)
            endObject()
        } else {
            null()
        }
        array("spend_caps", caps) { json, cap in
            json.beginObject()
            json.members(cap.cap, of: account)
            json.spent(cap.state)
            json.endObject()
        }
    }
}
