import Credits
import JSON
import LedgerModel

/// The catalogue of an environment under torture, with every pricing model and every kind of quota.
enum Market {
    /// The types of events that the environments record: those that the replay compares. An announcement of another type
    /// would make time change an account without anything that the replay sees.
    private static let eventTypes: Set<String> = [
        "subscription.created", "subscription.trial_ending", "subscription.activated", "subscription.renewal_due",
        "subscription.renewed", "subscription.past_due", "subscription.paused", "subscription.resumed",
        "subscription.changed", "subscription.canceled", "subscription.expired", "subscription.fallback_started",
        "contract.ending_soon", "contract.ended",
    ]

    /// - Parameters:
    /// - unitCost: The base of most prices; different in every environment.
    /// - number: The number of the environment. Number 3 allows its end users overage.
    static func catalogue(unitCost: Int64, number: Int) -> ModelCatalogue {
        let minute = ModelWindow.duration(months: 0, seconds: 60)
        var catalogue = ModelCatalogue(features: [
            "calls": feature(.perUnit(unitCost, per: 1)),
            "tokens": feature(.perUnit(unitCost, per: 1_000, carries: true)),
            "flat": feature(.flat(20 + unitCost)),
            "images": feature(
                .package(size: 4, cost: 3 * unitCost),
                ModelLedger.Quota(limit: 300, window: minute, opensWithUse: false)),
            "seats": ModelLedger.Feature(
                quota: ModelLedger.Quota(
                    limit: 250, window: .duration(months: 0, seconds: 90), opensWithUse: true)),
            "chat": feature(
                .graduated(
                    [
                        ModelTier(upTo: 500, cost: 3 * unitCost), ModelTier(upTo: 5_000, cost: unitCost, fee: 7),
                        ModelTier(upTo: nil, cost: 1),
                    ], perPeriod: true)),
            "jobs": feature(
                .volume([ModelTier(upTo: 10, cost: 4 * unitCost, fee: 5), ModelTier(upTo: nil, cost: 2 * unitCost)])),
            "voice": feature(
                .rows([
                    ModelRow(match: ["quality": "studio"], price: voice(unitCost, per: 20)),
                    ModelRow(match: [:], price: voice(unitCost, per: 100)),
                ])),
        ])
        catalogue.packages = [
            "small": ModelCatalogue.Package(
                credits: 300 + unitCost, price: 100, expiry: .after(months: 0, seconds: 15), priority: 40,
                isArchived: false),
            "large": ModelCatalogue.Package(
                credits: 3_000 + unitCost, price: 900, expiry: .never, priority: nil, isArchived: false),
        ]
        if number == 3 {
            catalogue.policy = .notify
            catalogue.overageLimit = 2_000
        }
        addPlans(to: &catalogue, unitCost: unitCost, number: number)
        catalogue.eventTypes = eventTypes
        return catalogue
    }

    private static func feature(_ price: ModelPrice, _ quota: ModelLedger.Quota? = nil) -> ModelLedger.Feature {
        ModelLedger.Feature(quota: quota, prices: [(from: Instant(microseconds: 0), price: price)])
    }

    private static func voice(_ unitCost: Int64, per units: Int64) -> ModelPrice {
        .dimensions(["seconds": .perUnit(unitCost, per: units), "words": .perUnit(1, per: units, carries: true)])
    }
}

extension ModelPrice {
    /// The members of a metering rule, as the API expects them.
    var members: [(String, JSONValue?)] {
        switch self {
        case .flat(let amount): [("model", .string("flat")), ("amount", .integer(amount))]
        case .perUnit(let cost, let per, let carries):
            [
                ("model", .string("per_unit")), ("unit_cost", .integer(cost)), ("per_units", .integer(per)),
                ("rounding", carries ? .string("carry") : nil),
            ]
        case .package(let size, let cost):
            [("model", .string("package")), ("package_size", .integer(size)), ("package_cost", .integer(cost))]
        case .graduated(let tiers, let perPeriod):
            [
                ("model", .string("graduated")), ("tiers", Self.json(tiers)),
                ("scope", .string(perPeriod ? "period" : "event")),
            ]
        case .volume(let tiers): [("model", .string("volume")), ("tiers", Self.json(tiers))]
        case .dimensions(let prices):
            [("dimensions", .members(prices.sorted { $0.key < $1.key }.map { ($0.key, .members($0.value.members)) }))]
        case .rows(let rows):
            [
                (
                    "price_rows",
                    .array(
                        rows.map { row in
                            .members(
                                [("match", .members(row.match.map { ($0.key, .string($0.value)) }))] + row.price.members
                            )
                        })
                )
            ]
        }
    }

    private static func json(_ tiers: [ModelTier]) -> JSONValue {
        .array(
            tiers.map { tier in
                .members([
                    ("up_to", tier.upTo.map { .integer($0) } ?? .null), ("unit_cost", .integer(tier.cost)),
                    ("flat_fee", .integer(tier.fee)),
                ])
            })
    }
}
