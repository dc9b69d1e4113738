import Credits
import LedgerModel

extension Market {
    /// The variant with windows of one minute. No end user on a test clock may have it: a jump of a month would make
    /// 43,200 landings.
    static let brisk = 1
    static let variants = [1, 2, 3, 4, 5, 6]
    /// The variants for end users on test clocks.
    static let clockVariants = [2, 3, 4, 6]

    /// The key of a variant in the installation.
    static func key(_ variant: Int) -> String { "v\(variant)" }

    /// The number of the variant with a key.
    static func variant(_ key: String) -> Int? { Int(key.dropFirst()) }

    /// Adds plans with every cadence and anchor, both billing modes, trials, fallbacks and limits.
    ///
    /// Every change that time makes shows in an entry or an event, because the replay finds it there: no line of cadence
    /// `every` can be cut to nothing or skipped.
    ///
    /// - Parameters:
    ///   - unitCost: See `catalogue`.
    ///   - number: The number of the environment. Number 1 has a fallback, number 2 a default plan, and number 3 a zone
    ///     with summer time.
    static func addPlans(to catalogue: inout ModelCatalogue, unitCost: Int64, number: Int) {
        let price = [(from: Instant(microseconds: 0), price: ModelPrice.perUnit(unitCost, per: 1))]
        catalogue.features["pro"] = ModelLedger.Feature(prices: price)
        catalogue.features["team"] = ModelLedger.Feature(prices: price)
        catalogue.variants = [
            1: minutely(), 2: large(unitCost), 3: metered(), 4: free(), 5: addOn(), 6: hourlyAddOn(),
        ]
        if number == 1 { catalogue.fallbackVariant = 4 }
        if number == 2 { catalogue.defaultVariant = 4 }
        // Berlin, until 2027.
        if number == 3 {
            catalogue.zone = ModelZone(
                first: 3_600,
                changes: [
                    ModelZone.Change(at: 1_806_195_600, offset: 7_200),
                    ModelZone.Change(at: 1_824_944_400, offset: 3_600),
                ])
        }
    }

    private static func minutely() -> ModelVariant {
        var variant = ModelVariant(.day)
        variant.features["pro"] = .enabled(true)
        variant.fallback = 4
        var credits = ModelLine(500, .period)
        credits.rollover = ModelLine.Rollover(percentage: 50, cap: 200, expiry: .never)
        credits.accumulationCap = 900
        variant.lines = [
            credits, ModelLine(40, .every(ModelDuration(seconds: 60), .subscription), expires: .nextGrant),
            ModelLine(25, .every(ModelDuration(seconds: 60), .calendar), expires: .nextGrant),
        ]
        variant.limits["burst"] = ModelVariantLimit(
            ModelLedger.Limit(unit: "credits", amount: 400, window: .duration(months: 0, seconds: 60)),
            isPerQuantity: true)
        return variant
    }

    private static func large(_ unitCost: Int64) -> ModelVariant {
        var variant = ModelVariant(.month)
        variant.features = ["pro": .enabled(true), "team": .enabled(true)]
        variant.trialDays = 3
        variant.trialCredits = 120
        variant.graceDays = 1
        variant.fallback = 4
        var credits = ModelLine(2_000, .period)
        credits.rollover = ModelLine.Rollover(percentage: 100)
        variant.lines = [
            ModelLine(300, .activation, expires: .never), credits,
            ModelLine(60, .every(ModelDuration(seconds: 18_000), .firstUse), expires: .nextGrant),
            ModelLine(30, .every(ModelDuration(seconds: 43_200), .subscription), expires: .nextGrant),
        ]
        variant.prices["calls"] = [(Instant(microseconds: 0), .perUnit(unitCost + 1, per: 1))]
        return variant
    }

    private static func metered() -> ModelVariant {
        var variant = ModelVariant(.day, count: 2)
        variant.isPostpaid = true
        variant.features["pro"] = .enabled(true)
        variant.policy = .allow
        variant.overageLimit = 3_000
        var daily = ModelLine(30, .every(ModelDuration(days: 1), .calendar), expires: .after(ModelDuration(days: 2)))
        daily.features = ["calls", "pro"]
        variant.lines = [ModelLine(100, .period), daily]
        return variant
    }

    /// The variant to which others fall back.
    private static func free() -> ModelVariant {
        var variant = ModelVariant(.week)
        variant.isPostpaid = true
        variant.features["pro"] = .enabled(false)
        variant.lines = [ModelLine(50, .period)]
        return variant
    }

    private static func addOn() -> ModelVariant {
        var variant = ModelVariant(.week)
        variant.slot = "add-on"
        variant.features["team"] = .quota(
            ModelLedger.Quota(limit: 60, window: .duration(months: 0, seconds: 90), opensWithUse: true))
        variant.trialDays = 1
        variant.lines = [
            ModelLine(400, .period),
            ModelLine(25, .every(ModelDuration(seconds: 3_600), .firstUse), expires: .nextGrant),
        ]
        return variant
    }

    private static func hourlyAddOn() -> ModelVariant {
        var variant = ModelVariant(.hour, count: 6)
        variant.slot = "add-on"
        variant.features = ["team": .enabled(true), "pro": .enabled(true)]
        variant.allowsUsageWhileOverdue = false
        variant.graceDays = 2
        variant.renewalDueDays = 0
        var short = ModelLine(40, .period, expires: .after(ModelDuration(seconds: 7_200)))
        short.priority = 0
        variant.lines = [ModelLine(90, .period), short, ModelLine(10, .activation, expires: .never)]
        return variant
    }
}
