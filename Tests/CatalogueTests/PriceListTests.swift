import Catalogue
import Credits
import Metering
import Testing

@Suite("At most one version of a price is in force at an instant")
struct PriceListTests {
    private let key: FeatureKey
    private let noon = Instant(microseconds: 1_775_995_200_000_000)

    init() throws {
        key = try #require(FeatureKey("api_calls"))
    }

    @Test("Without a version nothing is in force")
    func empty() {
        #expect(PriceList().rule(at: noon) == nil)
    }

    @Test("A version is in force from its instant on, the older one until just before")
    func boundaries() throws {
        let prices = PriceList([try rule(1, from: noon), try rule(2, from: noon.adding(seconds: 60))])
        #expect(prices.rule(at: Instant(microseconds: noon.microseconds - 1)) == nil)
        #expect(prices.rule(at: noon)?.version == 1)
        #expect(prices.rule(at: Instant(microseconds: noon.microseconds + 59_999_999))?.version == 1)
        #expect(prices.rule(at: noon.adding(seconds: 60))?.version == 2)
        #expect(prices.rule(at: noon.adding(seconds: 1_000_000))?.version == 2)
    }

    @Test("Of two versions from the same instant the one that was made later is in force")
    func sameInstant() throws {
        #expect(PriceList([try rule(1, from: noon), try rule(2, from: noon)]).rule(at: noon)?.version == 2)
        #expect(PriceList([try rule(2, from: noon), try rule(1, from: noon)]).rule(at: noon)?.version == 2)
        #expect(PriceList([try rule(9, from: noon), try rule(10, from: noon)]).rule(at: noon)?.version == 10)
    }

    @Test("A newer version replaces the older from its own instant on, even where that lies before the older's")
    func newerStartsEarlier() throws {
        let prices = PriceList([try rule(1, from: noon.adding(seconds: 60)), try rule(2, from: noon)])
        #expect(prices.rule(at: noon)?.version == 2)
        #expect(prices.rule(at: noon.adding(seconds: 60))?.version == 2)
    }

    @Test("The order of insertion does not matter, and a version that arrives twice is kept once")
    func insertion() throws {
        let rules = try (1...5).map { try rule(Int32($0), from: noon.adding(seconds: Int64($0) * 10)) }
        let inOrder = PriceList(rules)
        var shuffled = PriceList()
        for index in [2, 0, 4, 2, 1, 3, 0] { shuffled.insert(rules[index]) }
        #expect(shuffled == inOrder)
        #expect(PriceList(rules.reversed()) == inOrder)
    }

    @Test("A catalogue prices known features only, and accepts no use of archived ones")
    func catalogue() throws {
        var catalogue = Catalogue()
        #expect(catalogue.activeFeature(key) == nil)
        #expect(catalogue.rule(for: key, at: noon) == nil)
        catalogue.features[key] = Feature(key: key)
        #expect(catalogue.activeFeature(key)?.key == key)
        catalogue.prices[key] = PriceList([try rule(1, from: noon)])
        #expect(catalogue.rule(for: key, at: noon)?.version == 1)
        catalogue.features[key] = Feature(key: key, archivedAt: .epoch)
        #expect(catalogue.activeFeature(key) == nil)
    }

    private func rule(_ version: Int32, from effectiveFrom: Instant) throws -> MeteringRule {
        MeteringRule(
            id: PublicID(.rule, Bits128(high: 0, low: UInt64(version))), featureKey: key, version: version,
            price: Price(.flat(amount: try Millicredits(Int64(version)))), effectiveFrom: effectiveFrom)
    }
}
