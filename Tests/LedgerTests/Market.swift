import Credits
import LedgerModel

/// The catalogue of random runs: every kind of price, of feature and of window.
enum Market {
    /// The offsets of Berlin from 2026 to 2030.
    static let berlin: ModelZone = {
        let days = [
            "2026-03-29", "2026-10-25", "2027-03-28", "2027-10-31", "2028-03-26", "2028-10-29", "2029-03-25",
            "2029-10-28", "2030-03-31", "2030-10-27",
        ]
        let changes = days.enumerated().compactMap { index, day in
            Instant(rfc3339: day + "T01:00:00Z").map {
                ModelZone.Change(at: $0.microseconds / 1_000_000, offset: index % 2 == 0 ? 7_200 : 3_600)
            }
        }
        return ModelZone(first: 3_600, changes: changes)
    }()

    /// - Parameter start: The instant around which prices change.
    static func catalogue(around start: Instant) -> ModelCatalogue {
        func prices(_ rows: [(hours: Int64, price: ModelPrice)]) -> [(from: Instant, price: ModelPrice)] {
            rows.map { (start.adding(seconds: $0.hours * 3_600), $0.price) }
        }
        func tiers(_ rows: [(Int64?, Int64, Int64)]) -> [ModelTier] {
            rows.map { ModelTier(upTo: $0.0, cost: $0.1, fee: $0.2) }
        }
        func metered(_ rows: [(hours: Int64, price: ModelPrice)], _ quota: ModelLedger.Quota? = nil)
            -> ModelLedger.Feature
        {
            ModelLedger.Feature(quota: quota, prices: prices(rows))
        }
        let unit = ModelPrice.perUnit(1, per: 1)
        let steps = tiers([(10, 10, 0), (20, 5, 7), (nil, 1, 3)])
        let model = ModelPrice.rows([
            ModelRow(
                match: ["model": "large"],
                price: .dimensions(["in": .perUnit(3, per: 10, carries: true), "out": .perUnit(5, per: 3)])),
            ModelRow(match: ["model": "small", "tier": "a"], price: .perUnit(2, per: 7, carries: true)),
            ModelRow(match: ["model": "small"], price: .volume(steps)),
        ])
        var catalogue = ModelCatalogue(features: [
            "unit": metered([(-10_000, unit)]),
            "tokens": metered([
                (-10_000, .perUnit(3, per: 1_000)), (-100, .perUnit(7, per: 1_000)), (50, .perUnit(11, per: 3)),
                (50, .perUnit(5, per: 7)), (400, .perUnit(13, per: 1_000_000)),
            ]),
            "bits": metered([
                (-10_000, .perUnit(3, per: 1_000, carries: true)), (60, .perUnit(7, per: 9, carries: true)),
                (
                    300,
                    .rows([
                        ModelRow(match: ["model": "small"], price: .perUnit(5, per: 7, carries: true)),
                        ModelRow(match: ["model": "large"], price: .graduated(steps, perPeriod: true)),
                        ModelRow(match: [:], price: .volume(steps)),
                    ])
                ),
            ]),
            "report": metered([(-10_000, .flat(25)), (200, .flat(40)), (600, .perUnit(2, per: 1))]),
            "free": metered([(-10_000, .perUnit(0, per: 1)), (300, .flat(0))]),
            "late": metered([(100, .perUnit(2, per: 1))]),
            "dear": metered([
                (-10_000, .perUnit(ModelLedger.largestAmount, per: 1)),
                (10, .perUnit(ModelLedger.largestAmount, per: .max)),
            ]),
            "packs": metered([(-10_000, .package(size: 10, cost: 30)), (300, .package(size: 7, cost: 20))]),
            "steps": metered([(-10_000, .graduated(steps, perPeriod: false))]),
            "month": metered([
                (-10_000, .graduated(steps, perPeriod: true)),
                (500, .graduated(tiers([(5, 3, 1), (nil, 2, 0)]), perPeriod: true)),
            ]),
            "bulk": metered([(-10_000, .volume(tiers([(10, 9, 0), (100, 2, 5), (nil, 1, 0)])))]),
            "chat": metered([
                (
                    -10_000,
                    .dimensions([
                        "in": .perUnit(3, per: 10), "out": .package(size: 4, cost: 9),
                        "steps": .graduated(steps, perPeriod: true),
                    ])
                )
            ]),
            "model": metered([(-10_000, model)]),
            "mails": metered([(-10_000, unit)], ModelLedger.Quota(limit: 60, window: .day, opensWithUse: false)),
            "calls": metered(
                [], ModelLedger.Quota(limit: 40, window: .duration(months: 0, seconds: 18_000), opensWithUse: true)),
            "jobs": metered(
                [(-10_000, .perUnit(2, per: 1))], ModelLedger.Quota(limit: 300, window: .month, opensWithUse: true)),
            "plain": metered([]),
            "sso": ModelLedger.Feature(kind: .boolean),
            "seats": ModelLedger.Feature(kind: .limit),
        ])
        catalogue.features["old"] = ModelLedger.Feature(isArchived: true, prices: prices([(-10_000, unit)]))
        catalogue.packages = [
            "small": ModelCatalogue.Package(credits: 100, price: 500, expiry: .never, priority: nil, isArchived: false),
            "gift": ModelCatalogue.Package(
                credits: 70, price: 0, expiry: .after(months: 1, seconds: 0), priority: 20, isArchived: false),
            "gone": ModelCatalogue.Package(credits: 5, price: 1, expiry: .never, priority: nil, isArchived: true),
        ]
        catalogue.clocks = [1: start, 2: start.adding(seconds: 86_400)]
        catalogue.zone = berlin
        return catalogue
    }
}
