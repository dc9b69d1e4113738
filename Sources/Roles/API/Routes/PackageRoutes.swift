import Credits
import Hummingbird
import JSON
import Messaging
import Metering
import Answers
import Storage

/// Top-up packages: the numbers of credits that a tenant sells, and for how much.
struct PackageRoutes: Sendable {
    let site: Site

    func add(to routes: inout RouteTable) {
        routes.post("/v1/topup-packages", .write(.catalog), use: create)
        routes.get("/v1/topup-packages", .read(.catalog), use: list)
        routes.get("/v1/topup-packages/{key}", .read(.catalog), use: show)
        routes.patch("/v1/topup-packages/{key}", .write(.catalog), use: update)
    }

    @Sendable private func create(_ request: Request, _ context: APIContext, _ caller: Caller) async throws
        -> Response
    {
        let headers = try MutationHeaders(request, context)
        let body = try await request.json()
        let package = try read(body) { $0.topupPackage() }
        return try await site.changeCatalogue(.createPackage(package), caller: caller, request, body, headers)
    }

    @Sendable private func update(_ request: Request, _ context: APIContext, _ caller: Caller) async throws
        -> Response
    {
        let headers = try MutationHeaders(request, context)
        let key = try packageKey(context)
        let body = try await request.json()
        let change = try read(body) { $0.packageChange() }
        return try await site.changeCatalogue(
            .updatePackage(key: key, change), caller: caller, request, body, headers)
    }

    @Sendable private func show(_ request: Request, _ context: APIContext, _ caller: Caller) async throws -> Response {
        let key = try packageKey(context)
        let found = try await site.reads.read(of: caller.environmentID) { connection in
            try await PackageStore.find(key, environmentID: caller.environmentID, on: connection)
        }
        guard let found else { throw unknownPackage }
        var json = JSONWriter()
        json.topupPackage(found)
        return .json(json.bytes)
    }

    @Sendable private func list(_ request: Request, _ context: APIContext, _ caller: Caller) async throws -> Response {
        var query = try RequestQuery(request)
        let page = try query.page()
        try query.finish()
        let after = try page.cursorParts { parts in CatalogueCursor(parts) { PackageKey($0) } }
        let packages = try await site.reads.read(of: caller.environmentID) { connection in
            try await PackageStore.list(
                environmentID: caller.environmentID, after: after.map { ($0.createdAt, $0.key) },
                limit: page.limit + 1, on: connection)
        }
        return .json(
            page.json(packages, cursor: { CatalogueCursor.parts($0.createdAt, $0.package.key.rawValue) }) {
                $0.topupPackage($1)
            })
    }

    private func packageKey(_ context: APIContext) throws(Problem) -> PackageKey {
        guard let key = PackageKey(try context.pathParameter("key")) else { throw unknownPackage }
        return key
    }

    private var unknownPackage: Problem {
        Problem(.notFound, "There is no top-up package with that key in this environment.")
    }
}

extension JSONReader {
    fileprivate mutating func topupPackage() -> TopupPackage? {
        let key = string("key", expected: FeatureKey.expectation) { PackageKey($0) }
        let name = string("name", length: 1...200)
        let credits = int64("credits", .amount, in: Self.packageCredits)
        let price = int64("price", .plain, in: Self.packagePrices)
        let currency = string("currency", expected: Self.currencyExpectation, Self.currency)
        let expiresAfter = expiresAfter()
        let priority = priority()
        guard let key, let name, let credits = credits.flatMap({ try? Millicredits($0) }), let price, let currency
        else { return nil }
        return TopupPackage(
            key: key, name: name, credits: credits, price: price, currency: currency, expiresAfter: expiresAfter,
            priority: priority, isArchived: false)
    }

    /// Every member but the key; null clears the expiry or the priority.
    fileprivate mutating func packageChange() -> PackageChange? {
        let setsExpiry = presence(of: "expires_after") != .absent
        let setsPriority = presence(of: "priority") != .absent
        let (expiresAfter, priority) = (expiresAfter(), priority())
        return PackageChange(
            name: optionalString("name", length: 1...200),
            credits: optionalInt64("credits", .amount, in: Self.packageCredits).flatMap { try? Millicredits($0) },
            price: optionalInt64("price", .plain, in: Self.packagePrices),
            currency: optionalString("currency", expected: Self.currencyExpectation, Self.currency),
            expiresAfter: setsExpiry ? .set(expiresAfter) : .keep, priority: setsPriority ? .set(priority) : .keep,
            isArchived: optionalBool("archived"))
    }

    private mutating func expiresAfter() -> CalendarDuration? {
        optionalString("expires_after", expected: "an ISO 8601 duration, such as P30D or PT5H") {
            CalendarDuration(iso8601: $0)
        }
    }

    private mutating func priority() -> Int16? {
        optionalInt64("priority", .plain, in: 0...100).map { Int16($0) }
    }

    private static let packageCredits: ClosedRange<Int64> = 1...Millicredits.limit
    private static let packagePrices: ClosedRange<Int64> = 0...Millicredits.limit
    private static let currencyExpectation = "3 capital letters, such as EUR"

    private static func currency(_ text: String) -> String? {
        text.utf8.count == 3 && text.utf8.allSatisfy { (UInt8(ascii: "A")...UInt8(ascii: "Z")).contains($0) }
            ? text : nil
    }
}
