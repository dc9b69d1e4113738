import Credits
import Ledger
import Metering
import Postgres
import Storage
import Testing

/// A tenant with one environment and the feature `calls` at 10 mc, to write books in.
struct Books {
    let connection: PostgresConnection
    let environmentID: EnvironmentID
    let catalogue: Catalogue
    let feature: FeatureKey

    init(_ connection: PostgresConnection) async throws {
        self.connection = connection
        try await connection.script(
            "insert into tenants values ('00000000-0000-0000-0000-000000000001', 'Acme', now());"
                + "insert into environments (tenant_id, kind) values ('00000000-0000-0000-0000-000000000001', 'live')")
        let row = try #require(
            try await connection.run(PostgresQuery("select environment_id from environments")).first)
        environmentID = EnvironmentID(try row.int32(0))
        feature = try #require(FeatureKey("calls"))
        var catalogue = Catalogue()
        catalogue.features[feature] = Feature(key: feature, isArchived: false)
        catalogue.prices[feature] = PriceList([
            MeteringRule(
                id: PublicID(.rule, Bits128(high: 1, low: 1)), featureKey: feature, version: 1,
                price: Price(.flat(amount: try Millicredits(Int64(10)))), effectiveFrom: Instant(microseconds: 0))
        ])
        self.catalogue = catalogue
    }

    func key(_ name: String) throws -> AccountKey {
        AccountKey(environmentID: environmentID, endUserID: try #require(EndUserID(name)))
    }

    /// Applies actions to one end user as the worker does: load, decide, write.
    @discardableResult
    func apply(_ actions: [AccountAction], to name: String) async throws -> [Outcome] {
        var loaded = try await LedgerStore.load([try key(name)], on: connection)
        let outcomes = actions.map { action in
            loaded.accounts[0].apply(action, idempotencyKey: nil, catalogue: catalogue, now: loaded.now)
        }
        try await LedgerStore.write(loaded.accounts, decided: [], on: connection)
        return outcomes
    }

    func grant(_ amount: Int64) throws -> AccountAction {
        .grant(Grant(credits: try Millicredits(amount)))
    }

    var use: AccountAction { .use(UsageEvent(featureKey: feature, units: 1)) }
}
