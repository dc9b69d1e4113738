import Catalogue
import Credits
import Metering
import Testing

@Suite("The catalogue keeps all versions of variants and their prices")
struct PlanCatalogueTests {
    private let plan = Plan(id: PublicID(.plan, Bits128(high: 0, low: 1)), key: PlanKey("pro"), name: "Pro")
    private let start = Instant(microseconds: 1_000_000)

    @Test("A plan is found by its key, and replaced by its next row")
    func plans() throws {
        var catalogue = Catalogue()
        catalogue.insert(plan)
        let changed = plan.applying(PlanChange(name: "Professional", slot: PlanSlot("seats")), at: start)
        catalogue.insert(changed)
        #expect(catalogue.plans == [plan.id: changed])
        #expect(catalogue.planKeys == [try #require(PlanKey("pro")): plan.id])
    }

    @Test("Every version is found, whatever the order in which the versions came", arguments: [false, true])
    func versions(isReversed: Bool) throws {
        let versions = (1...3).map { variant(1, version: $0, features: []) }
        var catalogue = Catalogue()
        catalogue.insert(plan)
        for version in isReversed ? versions.reversed() : versions { catalogue.insert(version) }
        let id = versions[0].id
        for version in versions { #expect(catalogue.variant(version.reference) == version) }
        #expect(catalogue.variant(VariantReference(id: id, version: 4)) == nil)
        #expect(catalogue.latestVariant(id) == versions[2])
        #expect(catalogue.latestVariant(.id(id)) == versions[2])
        #expect(catalogue.latestVariant(.key(try #require(VariantKey("v1")))) == versions[2])
        #expect(catalogue.latestVariant(.key(try #require(VariantKey("v2")))) == nil)
        #expect(catalogue.plan(of: versions[0]) == plan)
    }

    @Test("A feature is listed as long as the latest version of some variant names it", arguments: [false, true])
    func listed(isReversed: Bool) throws {
        let (calls, seats) = (try #require(FeatureKey("calls")), try #require(FeatureKey("seats")))
        let versions = [
            variant(1, version: 1, features: [calls, seats]), variant(1, version: 2, features: [calls]),
            variant(2, version: 1, features: [calls]), variant(2, version: 2, features: []),
        ]
        var catalogue = Catalogue()
        for version in isReversed ? versions.reversed() : versions { catalogue.insert(version) }
        #expect(catalogue.listedFeatures == [calls])
        catalogue.insert(variant(2, version: 2, features: []))
        #expect(catalogue.listedFeatures == [calls])
        catalogue.insert(variant(1, version: 3, features: [seats]))
        #expect(catalogue.listedFeatures == [seats])
        // A row that comes twice counts once.
        catalogue.insert(variant(1, version: 3, features: [seats]))
        catalogue.insert(variant(1, version: 4, features: []))
        #expect(catalogue.listedFeatures.isEmpty)
    }

    @Test("A variant's own price takes the place of the feature's while it is in force")
    func prices() throws {
        let calls = try #require(FeatureKey("calls"))
        let id = VariantTermsFixture.id(1)
        let common = rule(1, calls, nil, from: start)
        let own = rule(2, calls, id, from: start.adding(seconds: 60))
        var catalogue = Catalogue()
        for rule in [common, own] { catalogue.insert(rule) }
        let later = start.adding(seconds: 60)
        #expect(catalogue.rule(for: calls, at: later) == common)
        #expect(catalogue.rule(for: calls, at: later, variant: id) == own)
        #expect(catalogue.rule(for: calls, at: start, variant: id) == common)
        #expect(catalogue.rule(for: calls, at: later, variant: VariantTermsFixture.id(2)) == common)
        #expect(catalogue.variantPrices == [id: [calls: PriceList([own])]])
        #expect(catalogue.rule(id: own.id, of: calls) == own)
        #expect(catalogue.rule(id: common.id, of: calls) == common)
        #expect(catalogue.rule(id: own.id, of: try #require(FeatureKey("seats"))) == nil)
    }

    @Test(
        "A key of a plan or a variant is not like an id",
        arguments: [
            ("pro", true), ("0", true), ("a_b.c-d", true), (String(repeating: "a", count: 64), true), ("", false),
            ("Pro", false), ("-a", false), (".a", false), ("_a", false), ("é", false), ("a b", false),
            (String(repeating: "a", count: 65), false), ("plan_a", false), ("var_a", false), ("plan", true),
        ])
    func keys(text: String, isValid: Bool) {
        #expect((PlanKey(text) != nil) == isValid)
        #expect((VariantKey(text) != nil) == isValid)
    }

    @Test("A name is an id or a key, and nothing else")
    func names() throws {
        #expect(PlanName(plan.id.description) == .id(plan.id))
        #expect(PlanName("pro") == .key(try #require(PlanKey("pro"))))
        #expect(PlanName(VariantTermsFixture.id(1).description) == nil)
        #expect(VariantName(VariantTermsFixture.id(1).description) == .id(VariantTermsFixture.id(1)))
        #expect(VariantName("var_x") == nil)
        #expect(VariantName(plan.id.description) == nil)
        for name in [PlanName.id(plan.id), .key(try #require(PlanKey("pro")))] {
            #expect(PlanName(name.text) == name)
        }
    }

    // MARK: - Parts

    private func variant(_ number: UInt64, version: Int32, features: [FeatureKey]) -> PlanVariant {
        var terms = VariantTerms.defaults
        for feature in features { terms.features[feature] = .enabled(true) }
        return PlanVariant(
            id: VariantTermsFixture.id(number), planID: plan.id, key: VariantKey("v\(number)"), version: version,
            name: "V", terms: terms)
    }

    private func rule(_ number: UInt64, _ feature: FeatureKey, _ variant: PublicID?, from: Instant) -> MeteringRule {
        MeteringRule(
            id: PublicID(.rule, Bits128(high: 0, low: number)), featureKey: feature, variantID: variant, version: 1,
            price: Price(.flat(amount: .zero)), effectiveFrom: from)
    }
}
