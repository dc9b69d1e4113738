import Credits
import Ledger
import SeededRandom
import Metering

/// A command for the core and for the naive ledger alike.
enum RandomCommand {
    case grant(Int64, priority: Int?, source: BlockSource, expiry: NaiveLedger.Expiry, features: [String])
    case use(String, units: Int64, occurredAt: Int64?)
    case createEndUser
    case updateEndUser
    case advance

    func action(key: String) throws -> AccountAction {
        switch self {
        case .grant(let credits, let priority, let source, let expiry, let features):
            let core: Grant.Expiry =
                switch expiry {
                case .never: .never
                case .at(let time): .at(Instant(microseconds: time))
                case .after(let months, let seconds): .after(try Self.duration(months: months, seconds: seconds))
                }
            return .grant(
                Grant(
                    credits: try Millicredits(credits), source: source, priority: priority.map { Int16($0) },
                    expiry: core, featureKeys: try features.map(Self.key), reason: key))
        case .use(let feature, let units, let occurredAt):
            return .use(
                UsageEvent(
                    featureKey: try Self.key(feature), units: units,
                    occurredAt: occurredAt.map { Instant(microseconds: $0) },
                    metadata: Metadata(canonicalJSON: #"{"n":"\#(key)"}"#)))
        case .createEndUser: return .createEndUser(EndUserChange(name: .set(key)))
        case .updateEndUser: return .updateEndUser(EndUserChange(name: .set(key)))
        case .advance: return .advance
        }
    }

    func result(in model: inout NaiveLedger, clock: Int64) -> NaiveLedger.Result {
        switch self {
        case .grant(let credits, let priority, let source, let expiry, let features):
            return model.grant(
                credits, priority: priority, isPlan: source == .plan, expiry: expiry, features: features, clock: clock)
        case .use(let feature, let units, let occurredAt):
            return model.use(feature, units: units, occurredAt: occurredAt, clock: clock)
        case .createEndUser: return model.changeEndUser(mustExist: false, clock: clock)
        case .updateEndUser: return model.changeEndUser(mustExist: true, clock: clock)
        case .advance:
            model.advance(to: clock)
            return .advanced
        }
    }

    private static func duration(months: Int64, seconds: Int64) throws -> CalendarDuration {
        guard let duration = CalendarDuration(months: months, seconds: seconds) else {
            throw ScriptError("\(months) months and \(seconds) s are no duration")
        }
        return duration
    }

    static func key(_ feature: String) throws -> FeatureKey {
        guard let key = FeatureKey(feature) else { throw ScriptError("\(feature) is no feature") }
        return key
    }
}

// MARK: - Drawing commands where the rules have their edges

extension RandomCommand {
    static func draw(model: NaiveLedger, clock: Int64, using random: inout SeededGenerator) -> RandomCommand {
        switch Int.random(in: 0..<20, using: &random) {
        case 0..<7: drawGrant(model: model, clock: clock, using: &random)
        case 7..<17: drawUse(model: model, clock: clock, using: &random)
        case 17: .createEndUser
        case 18: .updateEndUser
        default: .advance
        }
    }

    private static func drawGrant(
        model: NaiveLedger, clock: Int64, using random: inout SeededGenerator
    ) -> RandomCommand {
        let now = max(clock, model.now)
        let room = min(NaiveLedger.limit - model.balance, NaiveLedger.limit - model.lifetimeGranted)
        let credits: Int64 =
            switch Int.random(in: 0..<60, using: &random) {
            case 0: min(room + 1, NaiveLedger.limit)
            case 1: max(1, room)
            case 2: NaiveLedger.limit
            case 3..<10: Int64.random(in: 1...1_000_000_000, using: &random)
            default: Int64.random(in: 1...300, using: &random)
            }
        let expiry: NaiveLedger.Expiry =
            switch Int.random(in: 0..<12, using: &random) {
            case 0: .at(now)
            case 1: .at(now + 1)
            case 2: .at(now - Int64.random(in: 1...1_000, using: &random))
            case 3, 4: model.blocks.randomElement(using: &random)?.expiresAt.map { .at($0) } ?? .never
            case 5: .after(months: Int64.random(in: 1...14, using: &random), seconds: 0)
            case 6: .after(months: 1, seconds: Int64.random(in: 0...86_400, using: &random))
            case 7: .after(months: 0, seconds: Int64.random(in: 1...3_600, using: &random))
            case 8, 9: .after(months: 0, seconds: 3_600 * Int64.random(in: 1...100, using: &random))
            default: .never
            }
        let features: [String] =
            switch Int.random(in: 0..<10, using: &random) {
            case 0, 1: [Self.features.randomElement(using: &random) ?? "unit"]
            case 2: ["unit", "tokens"]
            case 3: ["tokens", "report", "free"]
            default: []
            }
        let source = BlockSource.allCases.randomElement(using: &random) ?? .topup
        let priority = Bool.random(using: &random) ? nil : [0, 9, 10, 11, 50, 51, 100].randomElement(using: &random)
        return .grant(credits, priority: priority, source: source, expiry: expiry, features: features)
    }

    private static func drawUse(
        model: NaiveLedger, clock: Int64, using random: inout SeededGenerator
    ) -> RandomCommand {
        let now = max(clock, model.now)
        let feature = features.randomElement(using: &random) ?? "unit"
        let (oldest, latest) = (now - 35 * 86_400_000_000, now + 300_000_000)
        let occurredAt: Int64? =
            switch Int.random(in: 0..<16, using: &random) {
            case 0: oldest
            case 1: oldest - 1
            case 2: latest
            case 3: latest + 1
            case 4: Int64.random(in: oldest...latest, using: &random)
            case 5: (model.prices[feature]?.randomElement(using: &random)?.effectiveFrom).map { $0 - 1 }
            case 6: model.prices[feature]?.randomElement(using: &random)?.effectiveFrom
            default: nil
            }
        var advanced = model
        advanced.advance(to: clock)
        let affordable = advanced.check(feature, units: 0, at: occurredAt ?? now)?.affordable ?? 0
        let units: Int64 =
            switch Int.random(in: 0..<40, using: &random) {
            case 0: 0
            case 1: .max
            case 2: NaiveLedger.limit
            case 3..<7: min(affordable, NaiveLedger.limit)
            case 7..<10: min(affordable, NaiveLedger.limit) + 1
            case 10..<14: random.magnitude(upTo: .max)
            case 14..<20: Int64.random(in: 0...5_000, using: &random)
            default: Int64.random(in: 0...60, using: &random)
            }
        return .use(feature, units: units, occurredAt: occurredAt)
    }

    /// What can be asked for; `plain` has no price, `old` is archived, `none` does not exist.
    static let features = [
        "unit", "unit", "tokens", "tokens", "report", "free", "late", "dear", "plain", "old", "none",
    ]

    /// A price list of each kind, with versions that take over around `start`.
    static func prices(around start: Int64) -> [String: [NaiveLedger.Price]] {
        func prices(_ rows: [(hours: Int64, cost: Int64, perUnits: Int64?)]) -> [NaiveLedger.Price] {
            rows.enumerated().map { index, row in
                NaiveLedger.Price(
                    version: index + 1, effectiveFrom: start + row.hours * 3_600_000_000, perUnits: row.perUnits,
                    cost: row.cost)
            }
        }
        return [
            "unit": prices([(-10_000, 1, 1)]),
            "tokens": prices([(-10_000, 3, 1_000), (-100, 7, 1_000), (50, 11, 3), (50, 5, 7), (400, 13, 1_000_000)]),
            "report": prices([(-10_000, 25, nil), (200, 40, nil), (600, 2, 1)]),
            "free": prices([(-10_000, 0, 1), (300, 0, nil)]),
            "late": prices([(100, 2, 1)]),
            "dear": prices([(-10_000, NaiveLedger.limit, 1), (10, NaiveLedger.limit, .max)]),
            "plain": [],
            "old": prices([(-10_000, 1, 1)]),
        ]
    }

    /// The same prices as the core reads them.
    static func catalogue(of model: NaiveLedger) throws -> Catalogue {
        var catalogue = Catalogue()
        for (feature, prices) in model.prices {
            let key = try key(feature)
            catalogue.features[key] = Feature(key: key, isArchived: model.archived.contains(feature))
            let rules = try prices.map { price in
                let cost = try Millicredits(price.cost)
                return MeteringRule(
                    id: ruleID(version: price.version), featureKey: key, version: Int32(price.version),
                    price: Price(price.perUnits.map { .perUnit(unitCost: cost, perUnits: $0) } ?? .flat(amount: cost)),
                    effectiveFrom: Instant(microseconds: price.effectiveFrom))
            }
            if !rules.isEmpty { catalogue.prices[key] = PriceList(rules) }
        }
        return catalogue
    }

    static func ruleID(version: Int) -> PublicID { PublicID(.rule, Bits128(high: 3, low: UInt64(version))) }
}
