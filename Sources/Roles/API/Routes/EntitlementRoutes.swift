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
        routes.get(
            CheckLane.route, .read(.entitlements),
            Operation(
                "check", "Says whether an end user may use a feature now, and what it costs.", query: Self.checkQuery,
                answers: .ok(.check), problems: [.amountOutOfRange]), isFromMemory: true, use: checkByQuery)
        routes.post(
            CheckLane.route, .read(.entitlements),
            Operation(
                "checkWithBody", "Checks a use that has quantities or attributes.", body: { CheckRequest(&$0) },
                answers: .ok(.check)), use: checkByBody)
        routes.post(
            "/v1/entitlements/check-batch", .read(.entitlements),
            Operation(
                "checkInBatch", "Makes many checks, all of the same state.", body: Self.checks, answers: .ok(.checks)),
            use: checkMany)
        routes.get(
            "/v1/entitlements", .read(.entitlements),
            Operation(
                "listEntitlements", "Checks one unit of every feature.", query: Self.listQuery,
                answers: .ok(.entitlementPage)), use: list)
    }

    @Sendable private static func checkQuery(_ query: inout RequestQuery) throws(Problem) -> CheckRequest {
        let endUserID = try query.endUserID()
        let feature = try query.featureKey()
        let units = try query.units()
        let isReservation = try query.flag("reservation")
        return CheckRequest(
            endUserID: endUserID,
            request: EntitlementRequest(
                feature: feature, demand: .measured(.units(units), .none), isReservation: isReservation))
    }

    @Sendable private static func checks(_ reader: inout JSONReader) -> [CheckRequest]? {
        reader.objects("checks", count: 1...maximumChecks) { CheckRequest(&$0) }
    }

    @Sendable private static func listQuery(_ query: inout RequestQuery) throws(Problem) -> (EndUserID, PageRequest) {
        (try query.endUserID(), try query.page())
    }

    @Sendable private func checkByQuery(_ request: Request, _ context: APIContext, _ caller: Caller) async throws
        -> Response
    {
        try answer(try request.query(Self.checkQuery), caller)
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
        let requests = try read(try await request.json(), Self.checks)
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
        let (endUserID, page) = try request.query(Self.listQuery)
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
