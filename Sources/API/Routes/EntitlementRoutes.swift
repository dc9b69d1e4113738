import Credits
import Hummingbird
import JSON
import Ledger
import Messaging
import Replica
import Representations
import Runtime
import Storage

/// "May this end user do that?", answered from memory by the function that decides the debit.
struct EntitlementRoutes: Sendable {
    let gate: Gate

    func add(to routes: inout RouteTable) {
        routes.get("/v1/entitlements/check", .read(.entitlements), use: checkByQuery)
        routes.post("/v1/entitlements/check", .read(.entitlements), use: checkByBody)
    }

    @Sendable private func checkByQuery(_ request: Request, _ context: APIContext, _ caller: Caller) async throws
        -> Response
    {
        var query = try RequestQuery(request)
        let endUserID = try query.endUserID()
        guard let featureKey = FeatureKey(try query.required("feature_key")) else {
            throw Problem(.invalidRequest, "The query parameter feature_key must be \(FeatureKey.expectation).")
        }
        let units = try query.optional("units", expected: "a whole number from 0 to \(Int64.max)") { text in
            Int64(text).flatMap { $0 >= 0 ? $0 : nil }
        }
        try query.finish()
        return try check(caller, endUserID: endUserID, featureKey: featureKey, units: units ?? 1)
    }

    @Sendable private func checkByBody(_ request: Request, _ context: APIContext, _ caller: Caller) async throws
        -> Response
    {
        let (endUserID, featureKey, units) = try read(try await request.json()) {
            reader -> (EndUserID, FeatureKey, Int64)? in
            let endUserID = reader.endUserID()
            let featureKey = reader.featureKey()
            let units = reader.int64("units", default: 1, .plain, in: 0...Int64.max)
            guard let endUserID, let featureKey, let units else { return nil }
            return (endUserID, featureKey, units)
        }
        return try check(caller, endUserID: endUserID, featureKey: featureKey, units: units)
    }

    private func check(
        _ caller: Caller, endUserID: EndUserID, featureKey: FeatureKey, units: Int64
    ) throws(Problem) -> Response {
        try gate.requireFreshMemory(for: caller)
        let now = systemNow()
        let key = AccountKey(environmentID: caller.environmentID, endUserID: endUserID)
        guard let catalogue = gate.replica.catalogue(caller.environmentID) else {
            throw Problem(.unavailable, "This node is still loading. Try again in a moment.")
        }
        let known = gate.replica.account(key)
        let account =
            known?.advanced(to: now)
            ?? Account(id: AccountID(0), environmentID: caller.environmentID, endUserID: endUserID)
        let entitlement: Entitlement
        do throws(AmountOutOfRange) {
            entitlement = try Entitlement.decide(
                account: account, catalogue: catalogue, feature: featureKey, units: units, occurredAt: now)
        } catch {
            throw Problem(
                .amountOutOfRange, "The cost of \(units) units is beyond ±9007199254740991 millicredits.",
                errors: [Problem.FieldError(pointer: "/units", detail: "leads to an amount beyond ±9007199254740991")])
        }
        var json = JSONWriter()
        json.beginObject()
        json.member("allowed", entitlement.isAllowed)
        json.member("reason", entitlement.denial?.rawValue)
        json.members(account.balances)
        json.member("spendable_balance", entitlement.spendable)
        json.member("estimated_cost", entitlement.cost?.rawValue)
        let charged = entitlement.isAllowed ? entitlement.cost?.rawValue ?? 0 : 0
        json.member("balance_after", account.balances.balance - charged)
        json.member("affordable_units", entitlement.affordableUnits)
        json.member("feature_key", featureKey.rawValue)
        json.member("end_user_id", endUserID.rawValue)
        json.member("units", units)
        json.key("subscription_status")
        json.null()
        json.member("overage_policy", "block")
        json.key("quota")
        json.null()
        json.member(
            "position",
            PositionToken.text(known.map { .account($0.id, revision: $0.revision) } ?? .none))
        json.member("replica_age_ms", Int64(gate.replica.age.seconds * 1_000))
        json.endObject()
        return .json(json.bytes)
    }
}
