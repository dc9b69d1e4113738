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

    @Test("plans, all versions of variants and their rules are loaded as they were written, and found by id and key")
    func plans() async throws {
        try await withDatabase { connection, _ in
            let books = try await TestBooks(connection)
            let environmentID = books.environmentID
            let now = Instant(microseconds: 1_775_995_200_123_456)
            let (planKey, variantKey) = (try #require(PlanKey("pro")), try #require(VariantKey("monthly")))
            let plan = Plan(
                id: PublicID(.plan, Bits128(high: 0, low: 1)), key: planKey, name: "é",
                slot: try #require(PlanSlot("seats")), metadata: Metadata(canonicalJSON: #"{"a":1}"#), createdAt: now)
            let bare = Plan(id: PublicID(.plan, Bits128(high: 0, low: 2)), name: "Bare", createdAt: now)
            for plan in [plan, bare] { try await PlanStore.insert(plan, environmentID: environmentID, on: connection) }
            let first = PlanVariant(
                id: PublicID(.planVariant, Bits128(high: 0, low: 3)), planID: plan.id, key: variantKey, name: "M",
                terms: .defaults, createdAt: now)
            try await VariantStore.insert(first, environmentID: environmentID, on: connection)
            let (version, loaded) = try await CatalogueStore.load(environmentID, on: connection)
            #expect(loaded.plans == [plan.id: plan, bare.id: bare])
            #expect(loaded.planKeys == [planKey: plan.id])
            #expect(loaded.latestVariant(.key(variantKey)) == first)

            let change = VariantChange(
                name: "Monthly", terms: try VariantTermsChange(canonicalJSON: #"{"trial_days":7}"#), isArchived: true)
            let second = try first.applying(change, fallbackID: first.id, at: now.adding(seconds: 1))
            let other = PlanVariant(
                id: PublicID(.planVariant, Bits128(high: 0, low: 4)), planID: plan.id, name: "Y", terms: .defaults,
                createdAt: now)
            for variant in [second, other] {
                try await VariantStore.insert(variant, environmentID: environmentID, on: connection)
            }
            let renamed = plan.applying(
                PlanChange(name: "P", metadata: .set(nil), isArchived: true), at: now.adding(seconds: 2))
            try await PlanStore.update(renamed, environmentID: environmentID, on: connection)
            for name in [PlanName.id(plan.id), .key(planKey)] {
                #expect(try await PlanStore.find(name, environmentID: environmentID, on: connection) == renamed)
            }
            for name in [VariantName.id(first.id), .key(variantKey)] {
                #expect(try await VariantStore.find(name, environmentID: environmentID, on: connection) == second)
            }
            func listed(before: Bits128?, limit: Int) async throws -> [PlanVariant] {
                try await VariantStore.list(
                    ofPlan: plan.id, environmentID: environmentID, before: before, limit: limit, on: connection)
            }
            #expect(try await listed(before: nil, limit: 9) == [other, second])
            #expect(try await listed(before: nil, limit: 1) == [other])
            #expect(try await listed(before: other.id.bits, limit: 9) == [second])
            #expect(try await VariantStore.exist(ofPlan: plan.id, environmentID: environmentID, on: connection))
            #expect(try await !VariantStore.exist(ofPlan: bare.id, environmentID: environmentID, on: connection))
            let bytes = [first, second, other].map { Int64($0.terms.canonicalJSON.utf8.count) }.reduce(0, +)
            #expect(try await VariantStore.bytes(environmentID: environmentID, on: connection) == bytes)

            // A catalogue that was loaded before gets the changed rows only, and then equals one that is loaded as a whole.
            for known in [nil, (version, loaded)] {
                let catalogue = try await CatalogueStore.load(
                    environmentID, changedSince: known, on: connection
                ).catalogue
                #expect(catalogue.plans == [plan.id: renamed, bare.id: bare])
                #expect(catalogue.variant(first.reference) == first)
                #expect(catalogue.variant(second.reference) == second)
                #expect(catalogue.latestVariant(first.id) == second)
                #expect(catalogue.variants.count == 2)
            }
        }
    }

    @Test("versions of rules count for the feature and for each variant, and the configuration names variants")
    func variantRules() async throws {
        try await withDatabase { connection, _ in
            let books = try await TestBooks(connection)
            let environmentID = books.environmentID
            try await connection.script(
                """
                insert into features (environment_id, feature_key, name, type, created_at, updated_at)
                values (\(environmentID.rawValue), 'calls', 'Calls', 'metered', now(), now())
                """)
            let variants: [PublicID?] = [nil, PublicID(.planVariant, Bits128(high: 0, low: 3))]
            let now = Instant(microseconds: 5)
            for version in Int32(1)...2 {
                for (index, variant) in variants.enumerated() {
                    let next = try await RuleStore.nextVersion(
                        books.feature, variant: variant, environmentID: environmentID, on: connection)
                    #expect(next == version)
                    let rule = MeteringRule(
                        id: PublicID(.rule, Bits128(high: UInt64(index), low: UInt64(version))),
                        featureKey: books.feature, variantID: variant, version: next,
                        price: Price(.flat(amount: .zero)), effectiveFrom: now)
                    try await RuleStore.insert(rule, environmentID: environmentID, on: connection)
                    #expect(
                        try await RuleStore.find(rule.id.bits, environmentID: environmentID, on: connection) == rule)
                }
            }
            let config = try #require(
                try await CatalogueStore.updateConfig(
                    ConfigChange(), defaultVariant: .set(variants[1]), fallbackVariant: .set(variants[1]),
                    environmentID: environmentID, on: connection))
            #expect(config.defaultVariantID == variants[1] && config.fallbackVariantID == variants[1])
            let catalogue = try await CatalogueStore.load(environmentID, on: connection).catalogue
            #expect(catalogue.config == config)
            #expect(catalogue.rule(for: books.feature, at: now)?.id.bits == Bits128(high: 0, low: 2))
            #expect(
                catalogue.rule(for: books.feature, at: now, variant: variants[1])?.id.bits == Bits128(high: 1, low: 2))
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
