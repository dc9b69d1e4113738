import Answers
import Catalogue
import Commands
import Credits
import Hummingbird
import JSON
import Ledger
import Metering
import Replica
import Runtime

/// Entitlement checks, answered from memory by the same function that decides a charge.
struct EntitlementRoutes: Sendable {
    private static let maximumChecks = 1_000

    let admission: Admission

    func add(to routes: inout RouteTable) {
        routes.get("/v1/entitlements/check", .read(.entitlements), use: checkByQuery)
        routes.post("/v1/entitlements/check", .read(.entitlements), use: checkByBody)
        routes.post("/v1/entitlements/check-batch", .read(.entitlements), use: checkMany)
        routes.get("/v1/entitlements", .read(.entitlements), use: list)
    }

    @Sendable private func checkByQuery(_ request: Request, _ context: APIContext, _ caller: Caller) async throws
        -> Response
    {
        var query = try RequestQuery(request)
        let endUserID = try query.endUserID()
        guard let feature = FeatureKey(try query.required("feature_key")) else {
            throw Problem(.invalidRequest, "The query parameter feature_key must be \(FeatureKey.expectation).")
        }
        let units = try query.units()
        try query.finish()
        return try answer(
            CheckRequest(
                endUserID: endUserID,
                request: EntitlementRequest(feature: feature, demand: .measured(.units(units), .none))), caller)
    }

    @Sendable private func checkByBody(_ request: Request, _ context: APIContext, _ caller: Caller) async throws
        -> Response
    {
        try answer(try read(try await request.json()) { CheckRequest(&$0) }, caller)
    }

    private func answer(_ check: CheckRequest, _ caller: Caller) throws(Problem) -> Response {
        try admission.requireFreshMemory(for: caller)
        var json = JSONWriter()
        json.beginObject()
        try write(check, caller, into: &json)
        json.endObject()
        return .json(json.bytes)
    }

    /// Answers each check by itself. A check that is invalid, for example because its rule cannot price it, gets its
    /// problem in its place.
    @Sendable private func checkMany(_ request: Request, _ context: APIContext, _ caller: Caller) async throws
        -> Response
    {
        let checks = try read(try await request.json()) { reader in
            reader.objects("checks", count: 1...Self.maximumChecks) { CheckRequest(&$0) }
        }
        try admission.requireFreshMemory(for: caller)
        var json = JSONWriter(capacity: 512 * checks.count)
        json.beginObject()
        json.key("results")
        json.beginArray()
        for check in checks {
            json.beginObject()
            do throws(Problem) {
                try write(check, caller, into: &json)
            } catch {
                guard error.code.status == 400 else { throw error }
                json.object("error") { error.write(into: &$0) }
            }
            json.endObject()
        }
        json.endArray()
        json.endObject()
        return .json(json.bytes)
    }

    /// Checks one unit of every feature, in the order of the keys. A feature that is priced by dimensions is checked
    /// without quantities.
    @Sendable private func list(_ request: Request, _ context: APIContext, _ caller: Caller) async throws -> Response {
        var query = try RequestQuery(request)
        let endUserID = try query.endUserID()
        let page = try query.page()
        try query.finish()
        let after = try page.cursorParts { parts -> FeatureKey? in
            guard parts.count == 1, case .string(let text) = parts[0] else { return nil }
            return FeatureKey(text)
        }
        try admission.requireFreshMemory(for: caller)
        let features = try admission.catalogue(of: caller).features.values
            .filter { feature in !feature.isArchived && after.map { $0 < feature.key } ?? true }
            .sorted { $0.key < $1.key }
        return .json(
            page.json(Array(features.prefix(page.limit + 1)), cursor: { [.string($0.key.rawValue)] }) { json, feature in
                json.raw(entitlement(of: feature, endUserID, caller))
            })
    }

    /// The answer for one unit of a feature, or the problem that prevents an answer.
    private func entitlement(of feature: Feature, _ endUserID: EndUserID, _ caller: Caller) -> [UInt8] {
        var refused: Problem?
        for measure in [Measure.units(1), .quantities([:])] {
            let request = EntitlementRequest(feature: feature.key, demand: .measured(measure, .none))
            var item = JSONWriter()
            item.beginObject()
            item.member("type", feature.type.rawValue)
            do throws(Problem) {
                try write(CheckRequest(endUserID: endUserID, request: request), caller, into: &item)
                item.endObject()
                return item.bytes
            } catch {
                refused = refused ?? error
            }
        }
        var item = JSONWriter()
        item.beginObject()
        item.member("type", feature.type.rawValue)
        item.member("feature_key", feature.key.rawValue)
        if let refused { item.object("error") { refused.write(into: &$0) } }
        item.endObject()
        return item.bytes
    }

    /// Writes the members of the answer to a check. It writes nothing when it throws.
    private func write(_ check: CheckRequest, _ caller: Caller, into json: inout JSONWriter) throws(Problem) {
        let catalogue = try admission.catalogue(of: caller)
        let key = AccountKey(environmentID: caller.environmentID, endUserID: check.endUserID)
        let known = admission.replica.account(key)
        let stored =
            known ?? Account(id: AccountID(0), environmentID: caller.environmentID, endUserID: check.endUserID)
        let now = stored.currentInstant(clock: Instant.now, catalogue: catalogue)
        let account = stored.advanced(to: now)
        let entitlement: Entitlement
        do throws(EntitlementFailure) {
            entitlement = try Entitlement.decide(
                account: account, catalogue: catalogue, request: check.request, now: now)
        } catch {
            throw Problem(error)
        }
        json.members(
            EntitlementAnswer(
                account: account.name, request: check.request,
                balances: account.balances, entitlement: entitlement))
        json.member(
            "position", PositionToken.text(known.map { .account($0.id, revision: $0.revision) } ?? .none))
        json.member("replica_age_ms", Int64(admission.replica.age.seconds * 1_000))
    }
}
