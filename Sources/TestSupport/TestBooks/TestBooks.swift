package import Catalogue
package import Commands
package import Credits
package import Ledger
import Metering
package import Postgres
import Storage

/// A tenant with one environment and the feature `calls` at 10 mc, for tests that write ledger entries.
package struct TestBooks {
    package let connection: PostgresConnection
    package let environmentID: EnvironmentID
    package let catalogue: Catalogue
    package let feature: FeatureKey

    package init(_ connection: PostgresConnection) async throws {
        self.connection = connection
        try await connection.script(
            "insert into tenants values ('00000000-0000-0000-0000-000000000001', 'Acme', now());"
                + "insert into environments (tenant_id, kind) values ('00000000-0000-0000-0000-000000000001', 'live')")
        let environments = try await connection.run(PostgresQuery("select environment_id from environments"))
        environmentID = EnvironmentID(try environments.first?.int32(0) ?? 0)
        feature = try required(FeatureKey("calls"), "a feature key")
        var catalogue = Catalogue()
        catalogue.features[feature] = Feature(key: feature)
        catalogue.prices[feature] = PriceList([
            MeteringRule(
                id: PublicID(.rule, Bits128(high: 1, low: 1)), featureKey: feature, version: 1,
                price: Price(.flat(amount: try Millicredits(Int64(10)))), effectiveFrom: Instant(microseconds: 0))
        ])
        self.catalogue = catalogue
    }

    package func key(_ name: String) throws -> AccountKey {
        AccountKey(environmentID: environmentID, endUserID: try required(EndUserID(name), "an end user id"))
    }

    /// Applies actions to one end user in the worker's steps: load, decide, write.
    @discardableResult
    package func apply(_ actions: [AccountAction], to name: String) async throws -> [Outcome] {
        var loaded = try await LedgerStore.load([try key(name)], on: connection)
        var outcomes: [Outcome] = []
        for action in actions {
            let needs = loaded.accounts[0].needs(of: action, catalogue: catalogue, now: loaded.now)
            try await CounterStore.load([0: needs], into: &loaded.accounts, now: loaded.now, on: connection)
            outcomes.append(
                loaded.accounts[0].apply(action, idempotencyKey: nil, catalogue: catalogue, now: loaded.now))
        }
        try await LedgerStore.write(BatchPlan(accounts: loaded.accounts), on: connection)
        return outcomes
    }

    package func grant(_ amount: Int64) throws -> AccountAction {
        .grant(Grant(credits: try Millicredits(amount)))
    }

    package var use: AccountAction { .use(UsageEvent(featureKey: feature, units: 1)) }
}

/// Unwraps a value that the test needs; throws if it is nil.
func required<Value>(_ value: Value?, _ what: String) throws -> Value {
    guard let value else { throw TestBooksError("\(what) is missing") }
    return value
}

/// An error in the test books.
package struct TestBooksError: Error, CustomStringConvertible {
    package let description: String

    init(_ description: String) {
        self.description = description
    }
}
