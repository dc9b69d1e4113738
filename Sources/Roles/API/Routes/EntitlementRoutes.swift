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
        routes.get(CheckLane.route, .read(.entitlements), isFromMemory: true, use: checkByQuery)
        routes.post(CheckLane.route, .read(.entitlements), use: checkByBody)
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
        let isReservation = try query.optional("reservation", expected: "true or false") { Bool($0) } ?? false
        try query.finish()
        return try answer(
            CheckRequest(
                endUserID: endUserID,
                request: EntitlementRequest(
                    feature: feature, demand: .measured(.units(units), .none), isReservation: isReservation)), caller)
    }

    @Sendable private func checkByBody(_ request: Request, _ context: APIContext, _ caller: Caller) async throws
        -> Response
    {
        try answer(try read(try await request.json()) { CheckRequest(&$0) }, caller)
    }

    private func answer(_ check: CheckRequest, _ caller: Caller) throws(Problem) -> Response {
        var checks = try EntitlementChecks([check], admission, caller)
        var json = JSONWriter()
        json.beginObject()
        try checks.write(check, into: &json)
        json.endObject()
        return .json(json.bytes)
    }

    /// Answers each check by itself. A check that is invalid, for example because its rule cannot price it, gets its
    /// problem in its place.
    @Sendable private func checkMany(_ request: Request, _ context: APIContext, _ caller: Caller) async throws
        -> Response
    {
        let requests = try read(try await request.json()) { reader in
            reader.objects("checks", count: 1...Self.maximumChecks) { CheckRequest(&$0) }
        }
        var checks = try EntitlementChecks(requests, admission, caller)
        var pauses = WorkPauses()
        var json = JSONWriter(capacity: 512 * requests.count)
        json.beginObject()
        json.key("results")
        json.beginArray()
        for check in requests {
            await pauses.pauseIfDue()
            json.beginObject()
            do throws(Problem) {
                try checks.write(check, into: &json)
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
        let features = try admission.catalogue(of: caller).features.values
            .filter { feature in !feature.isArchived && after.map { $0 < feature.key } ?? true }
            .sorted { $0.key < $1.key }
            .prefix(page.limit + 1)
        let units = features.map { feature in
            CheckRequest(
                endUserID: endUserID,
                request: EntitlementRequest(feature: feature.key, demand: .measured(.units(1), .none)))
        }
        var checks = try EntitlementChecks(units, admission, caller)
        return .json(
            page.json(Array(features), cursor: { [.string($0.key.rawValue)] }) { json, feature in
                json.raw(Self.entitlement(of: feature, endUserID, &checks))
            })
    }

    /// The answer for one unit of a feature, or the problem that prevents an answer.
    private static func entitlement(
        of feature: Feature, _ endUserID: EndUserID, _ checks: inout EntitlementChecks
    ) -> [UInt8] {
        var refused: Problem?
        for measure in [Measure.units(1), .quantities([:])] {
            let request = EntitlementRequest(feature: feature.key, demand: .measured(measure, .none))
            var item = JSONWriter()
            item.beginObject()
            item.member("type", feature.type.rawValue)
            do throws(Problem) {
                try checks.write(CheckRequest(endUserID: endUserID, request: request), into: &item)
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
}
