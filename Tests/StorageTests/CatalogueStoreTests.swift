import Answers
import Catalogue
import Credits
import Metering
import Postgres
import Storage
import TestBooks
import TestDatabases
import Testing

@Suite("Catalogue store")
struct CatalogueStoreTests {
    @Test("prices and packages of an environment are loaded as they were written")
    func load() async throws {
        try await withDatabase { connection, _ in
            let books = try await TestBooks(connection)
            let environmentID = books.environmentID
            try await connection.script(
                """
                insert into features (environment_id, feature_key, name, type, created_at, updated_at)
                values (\(environmentID.rawValue), 'calls', 'Calls', 'metered', now(), now())
                """)
            let now = Instant(microseconds: 1_775_995_200_123_456)
            let prices = [
                Price(.graduated([Tier(upTo: 5, unitCost: .max), Tier(upTo: nil, unitCost: .zero)], scope: .period)),
                Price(rows: [
                    Price.Row(
                        match: Attributes(["city": .string("Zürich \"1\"")]),
                        terms: .dimensions(["in": .flat(amount: .max)]))
                ]),
            ]
            let rules = prices.enumerated().map { index, price in
                MeteringRule(
                    id: PublicID(.rule, Bits128(high: 0, low: UInt64(index))), featureKey: books.feature,
                    version: Int32(index + 1), price: price, effectiveFrom: now.adding(seconds: Int64(index)),
                    createdAt: now)
            }
            for rule in rules {
                try await RuleStore.insert(rule, environmentID: environmentID, on: connection)
            }
            let month = try #require(CalendarDuration(iso8601: "P1MT36H"))
            let small = try package("small", expiresAfter: month, priority: 7, createdAt: now)
            let bare = try package("bare", expiresAfter: nil, priority: nil, createdAt: now)
            for package in [small, bare] {
                try await PackageStore.insert(package, environmentID: environmentID, on: connection)
            }
            var catalogue = try await CatalogueStore.load(environmentID, on: connection).catalogue
            #expect(catalogue.prices == [books.feature: PriceList(rules)])
            #expect(catalogue.packages == [small.key: small, bare.key: bare])

            let change = PackageChange(price: 8, expiresAfter: .set(nil), isArchived: true)
            let changed = small.applying(change, at: now.adding(seconds: 60))
            try await PackageStore.update(changed, environmentID: environmentID, on: connection)
            #expect(try await PackageStore.find(small.key, environmentID: environmentID, on: connection) == changed)
            catalogue = try await CatalogueStore.load(environmentID, on: connection).catalogue
            #expect(catalogue.packages == [small.key: changed, bare.key: bare])
        }
    }

    private func package(
        _ key: String, expiresAfter: CalendarDuration?, priority: Int16?, createdAt: Instant
    ) throws -> TopupPackage {
        TopupPackage(
            key: try #require(PackageKey(key)),
            terms: PackageTerms(
                name: "é", credits: .max, price: Millicredits.limit, currency: "EUR", expiresAfter: expiresAfter,
                priority: priority), createdAt: createdAt)
    }
}
