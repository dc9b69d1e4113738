import Answers
import Catalogue
import Credits
import Hummingbird
import JSON
import Ledger
import Storage

/// Usage events, one at a time or in batches.
struct UsageRoutes: Sendable {
    let services: APIServices

    func add(to routes: inout RouteTable) {
        routes.post(
            "/v1/usage", .write(.usage),
            Operation(
                "recordUsage", "Records a use and charges for it.", body: { UsageRequest(&$0) },
                answers: .created(.usage), problems: ProblemCode.ofUses), use: record)
        routes.get(
            "/v1/usage", .read(.usage),
            Operation(
                "sumUsage", "Sums up the usage of an end user and its cost.", query: Self.totalsQuery,
                answers: .ok(.usageTotals), problems: [.unknownEndUser, .unknownFeature]), use: totals)
        routes.post(
            "/v1/usage/batch", .write(.usage),
            Operation(
                "recordUsageInBatch", "Records many uses. Each event succeeds or fails by itself.",
                body: { CommandBatch.Kind.events.describe(&$0) }, answers: .ok(.batch)
            ).orLines, use: recordBatch)
    }

    @Sendable private static func totalsQuery(
        _ query: inout RequestQuery
    ) throws(Problem) -> (
        endUserID: EndUserID, feature: FeatureKey?, from: Instant?, to: Instant?, grouping: UsageGrouping?
    ) {
        (
            try query.endUserID(), try query.optionalFeatureKey(), try query.instant("from"), try query.instant("to"),
            try query.optional("group_by", expected: UsageGrouping.expectation) { UsageGrouping($0) }
        )
    }

    @Sendable private func record(_ request: Request, _ context: APIContext, _ caller: Caller) async throws -> Response
    {
        let headers = try MutationHeaders(request, context, caller)
        let sent = try read(try await request.json()) { UsageRequest(&$0) }
        if let header = headers.idempotencyKey, let body = sent.idempotencyKey,
            !header.utf8.elementsEqual(body.utf8)
        {
            throw Problem(
                .invalidRequest, "The Idempotency-Key header and idempotency_key in the body differ. Send one of them.",
                errors: [Problem.FieldError(pointer: "/idempotency_key", detail: "differs from the header")])
        }
        return try await services.mutations.account(
            .use(sent.event), of: sent.endUserID, key: headers.idempotencyKey ?? sent.idempotencyKey, headers)
    }

    @Sendable private func recordBatch(_ request: Request, _ context: APIContext, _ caller: Caller) async throws
        -> Response
    {
        let headers = try MutationHeaders(request, context, caller)
        var batch = CommandBatch(.events, services: services, caller: caller, headers: headers)
        try await batch.read(request)
        return try await batch.run()
    }

    /// Sums up an end user's usage and its cost: in total, by local hour, day or month, by feature, or by an attribute that
    /// the feature declares in `report_by`.
    @Sendable private func totals(_ request: Request, _ context: APIContext, _ caller: Caller) async throws -> Response
    {
        let (endUserID, feature, from, to, grouping) = try request.query(Self.totalsQuery)
        if case .attribute(let name) = grouping {
            try services.admission.catalogue(of: caller).requireReport(of: feature, by: name)
        }
        let account = try services.admission.account(endUserID, of: caller)
        let totals = try await services.reads.read(of: caller.environmentID, .large) { connection in
            try await UsageReads.totals(
                environmentID: caller.environmentID, account: account.name, featureKey: feature, from: from, to: to,
                groupBy: grouping, on: connection)
        }
        guard totals.count <= UsageReads.maximumTotals else { throw Problem.tooManyTotals }
        var json = JSONWriter()
        json.beginObject()
        json.array("data", totals) { $0.usageTotal($1) }
        json.endObject()
        return .json(json.bytes)
    }
}

extension ProblemCode {
    /// The refusals of a use, and of a reservation.
    static let ofUses: [ProblemCode] = [
        .unknownEndUser, .unknownFeature, .featureNotPriced, .featureNotInPlan, .subscriptionPaused,
        .subscriptionPastDue, .quotaExceeded, .spendCapReached, .insufficientCredits,
    ]
}

extension Catalogue {
    /// Throws unless a feature, archived or not, declares an attribute in `report_by`.
    fileprivate func requireReport(of feature: FeatureKey?, by attribute: String) throws(Problem) {
        guard let feature else {
            throw Problem(
                .invalidRequest, "Usage is summed by the attributes of one feature. Name it in feature_key.",
                errors: [
                    Problem.FieldError(pointer: "/query/feature_key", detail: "is required to group by an attribute")
                ])
        }
        guard let known = features[feature] else { throw Problem.unknownFeature(feature) }
        guard known.reportBy.names.contains(attribute) else {
            throw Problem(
                .invalidRequest,
                "The feature \(feature.rawValue) does not declare the attribute \(attribute). "
                    + "Add it to the feature's report_by with PATCH /v1/features/\(feature.rawValue).",
                errors: [Problem.FieldError(pointer: "/query/group_by", detail: "names no attribute in report_by")])
        }
    }
}

extension Problem {
    fileprivate static let tooManyTotals = Problem(
        .invalidRequest,
        "There are more than \(UsageReads.maximumTotals) totals. Ask for a shorter period with from and to.",
        errors: [FieldError(pointer: "/query/from", detail: "begins a period with too many totals")])
}
