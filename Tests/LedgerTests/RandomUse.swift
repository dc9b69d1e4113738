import Credits
import LedgerModel
import SeededRandom

// MARK: - Use

extension StepGenerator {
    mutating func feature() -> String {
        pace != nil && random.chance(25) ? random.pick(["pro", "pro", "team"]) : random.pick(Self.features)
    }

    /// The features of the steps; `plain` has no price, `old` is archived, `none` does not exist.
    static let features = [
        "unit", "unit", "unit", "tokens", "tokens", "report", "free", "late", "dear", "packs", "steps", "month",
        "month", "bulk", "chat", "chat", "model", "model", "bits", "bits", "mails", "mails", "calls", "jobs", "plain",
        "sso", "seats",
        "old", "none",
    ]

    mutating func use(_ ledger: ModelLedger, isNow: Bool) -> ModelCommand.Use {
        var use = ModelCommand.Use(feature: feature(), demand: .units(0))
        attributes(&use)
        use.demand = demand(use, ledger)
        guard !isNow else { return use }
        let now = ledger.now
        let prices = ledger.catalogue.features[use.feature]?.prices ?? []
        switch Int.random(in: 0..<20, using: &random) {
        case 0: use.occurredAt = now.adding(seconds: -35 * 86_400)
        case 1: use.occurredAt = Instant(microseconds: now.adding(seconds: -35 * 86_400).microseconds - 1)
        case 2: use.occurredAt = now.adding(seconds: 300)
        case 3: use.occurredAt = Instant(microseconds: now.adding(seconds: 300).microseconds + 1)
        case 4: use.occurredAt = now.adding(seconds: Int64.random(in: -35 * 86_400...300, using: &random))
        case 5: use.occurredAt = prices.randomElement(using: &random)?.from
        case 6:
            use.occurredAt = (prices.randomElement(using: &random)?.from).map {
                Instant(microseconds: $0.microseconds - 1)
            }
        default: break
        }
        return use
    }

    private mutating func attributes(_ use: inout ModelCommand.Use) {
        if use.feature == "model" || use.feature == "bits" || random.chance(3) {
            use.attributes = random.pick(Self.attributes)
        }
    }

    private static let attributes = [
        ["model": "large"], ["model": "small"], ["model": "small", "tier": "a"], ["model": "other"], [:],
        ["model": "large", "extra": "x"],
    ]

    private mutating func demand(_ use: ModelCommand.Use, _ ledger: ModelLedger) -> ModelDemand {
        let isChat = use.feature == "chat" || (use.feature == "model" && use.attributes["model"] == "large")
        if random.chance(isChat ? 93 : 3) {
            var quantities: [String: Int64] = [:]
            for name in ["in", "out", "steps"] where random.chance(60) {
                if name == "steps" && use.feature == "model" && random.chance(95) { continue }
                quantities[name] =
                    random.chance(3)
                    ? random.pick([.max, ModelLedger.largestAmount]) : Int64.random(in: 0...40, using: &random)
            }
            if random.chance(2) { quantities["other"] = 1 }
            return .quantities(quantities)
        }
        func most() -> Int64 {
            let answer = try? ledger.check(use.feature, .units(0), attributes: use.attributes)
            return min(answer?.affordable ?? 0, ModelLedger.largestAmount)
        }
        switch Int.random(in: 0..<44, using: &random) {
        case 0: return .units(0)
        case 1: return .units(random.pick([.max, ModelLedger.largestAmount]))
        case 2..<7: return .units(most())
        case 7..<10: return .units(most() + 1)
        case 10..<13: return .units(random.magnitude(upTo: .max))
        case 13..<17: return .units(Int64.random(in: 0...5_000, using: &random))
        default: return .units(Int64.random(in: 0...60, using: &random))
        }
    }
}

// MARK: - Reservations

extension StepGenerator {
    mutating func reservation(_ ledger: ModelLedger) -> ModelCommand.Use {
        if random.chance(25) { return reservationOverSeveral(ledger) }
        var use = use(ledger, isNow: true)
        if random.chance(60) {
            use = ModelCommand.Use(
                feature: random.pick([
                    "mails", "calls", "jobs", "month", "chat", "bits", "bits", "model", "bulk", "bulk",
                ]),
                demand: use.demand)
            attributes(&use)
            use.demand = demand(use, ledger)
            // Around the edges of its tiers more units cost less.
            if use.feature == "bulk" { use.demand = .units(Int64.random(in: 1...20, using: &random)) }
        }
        if random.chance(10) { use.demand = .units(0) }
        if random.chance(15) {
            if random.chance(50) { use.attributes = random.pick(Self.attributes) }
            use.demand = estimate(ledger, use.features)
        }
        return use
    }

    /// An estimate in credits, often at the edge of what can be held.
    private mutating func estimate(_ ledger: ModelLedger, _ features: [String]) -> ModelDemand {
        let spendable = min(ledger.spendable(features), ModelLedger.largestAmount - 1)
        return .credits(max(1, random.pick([spendable, spendable + 1, Int64.random(in: 1...200, using: &random)])))
    }

    private mutating func reservationOverSeveral(_ ledger: ModelLedger) -> ModelCommand.Use {
        // Features with prices, quotas, dimensions, rows and period tiers, some of which share blocks and limits.
        var features = ["unit", "tokens", "mails", "calls", "jobs", "month", "chat", "bits", "model", "bulk", "report"]
        features.shuffle(using: &random)
        // The only price that falls is needed more often.
        if random.chance(30) { features = ["bulk"] + features.filter { $0 != "bulk" } }
        features = Array(features.prefix(Int.random(in: 2...4, using: &random)))
        for wrong in ["none", "old", "plain", "sso", "late", "dear"] where random.chance(2) {
            features[Int.random(in: 0..<features.count, using: &random)] = wrong
            break
        }
        var use = ModelCommand.Use(feature: features[0], demand: .credits(1))
        use.others = Array(features.dropFirst())
        if random.chance(50) { use.attributes = random.pick(Self.attributes) }
        use.demand = random.chance(5) ? .credits(0) : estimate(ledger, features)
        // A job whose estimate is small grows soon.
        if random.chance(50) { use.demand = .credits(Int64.random(in: 1...40, using: &random)) }
        return use
    }

    mutating func reservationAction(_ ledger: ModelLedger) -> ModelCommand {
        let active = ledger.reservations.filter { $0.status == "active" }
        // Several actions on one reservation are more likely than one on each.
        let recent = random.chance(60) ? active.last : active.randomElement(using: &random)
        let found = random.chance(85) ? recent : ledger.reservations.randomElement(using: &random)
        guard let reservation = found else { return .release(ledger.reservations.count + 1) }
        let number = random.chance(98) ? reservation.number : ledger.reservations.count + 1
        let reported = reservation.parts.filter { $0.watermark != nil }
        let part = random.pick(reported.isEmpty || random.chance(50) ? reservation.parts : reported)
        let feature = named(part, of: reservation)
        // A commit ends a reservation over several features, so that progress of each takes more actions before.
        switch Int.random(in: 0..<(reservation.isOfSeveral ? 35 : 20), using: &random) {
        case 0..<7:
            let isOther = random.chance(
                reservation.isOfSeveral ? 40 : ["model", "bits"].contains(reservation.feature) ? 60 : 10)
            return .commit(
                number, report(part, of: reservation, ledger), of: feature,
                attributes: isOther ? random.pick(Self.attributes) : [:],
                shortfall: random.pick([nil, nil, "reject", "cap", "overage"]))
        case 7..<9: return .release(number)
        case 9..<11: return .extend(number, ttl: random.pick([1, 300, 3_600, 604_800]))
        default: return .progress(number, report(part, of: reservation, ledger), of: feature)
        }
    }

    /// The feature that a report names: mostly that of the part, else none or a wrong one.
    private mutating func named(_ part: ModelLedger.Part, of reservation: ModelLedger.Reservation) -> String? {
        if random.chance(2) { return random.pick(Self.features) }
        if random.chance(reservation.isOfSeveral ? 3 : 80) { return nil }
        return part.feature
    }

    /// A demand around the last report or the estimate, now and then in another measure.
    mutating func report(
        _ part: ModelLedger.Part, of reservation: ModelLedger.Reservation, _ ledger: ModelLedger
    ) -> ModelDemand {
        if random.chance(8) { return random.pick([.units(5), .credits(5), .quantities(["in": 5])]) }
        // Around the edges of its tiers more units cost less.
        if reservation.isOfSeveral, part.feature == "bulk", random.chance(80) {
            return .units(Int64.random(in: 3...15, using: &random))
        }
        if reservation.isOfSeveral, part.watermark == nil, random.chance(80) {
            var use = ModelCommand.Use(feature: part.feature, demand: .units(0))
            use.attributes = reservation.attributes
            return demand(use, ledger)
        }
        let last = part.watermark ?? reservation.estimate
        func around(_ number: Int64, _ random: inout SeededGenerator) -> Int64 {
            let step = max(1, number / 3)
            switch Int.random(in: 0..<10, using: &random) {
            case 0: return 0
            case 1: return number
            case 2: return min(number, Int64.max - 1) + 1
            case 3: return max(0, number - 1)
            case 4, 6: return min(number, Int64.max / 3) * 2
            case 5: return Int64.random(in: 0...max(1, number), using: &random)
            default: return min(number, Int64.max / 3) + Int64.random(in: 0...step, using: &random)
            }
        }
        switch last {
        case .units(let units): return .units(around(units, &random))
        case .credits(let credits): return .credits(min(around(credits, &random), ModelLedger.largestAmount))
        case .quantities(let quantities):
            var reported: [String: Int64] = [:]
            for (name, units) in quantities.sorted(by: { $0.key < $1.key }) where random.chance(90) {
                reported[name] = around(units, &random)
            }
            return .quantities(reported)
        }
    }

    mutating func settings(_ ledger: ModelLedger) -> ModelCommand.Settings {
        var settings = ModelCommand.Settings()
        if random.chance(40) { settings.policy = .some(random.pick([nil, .block, .allow, .notify])) }
        if random.chance(30) {
            let more = min(ledger.overage + 20, ModelLedger.largestAmount)
            settings.limit = .some(random.pick([nil, 0, ledger.overage, more, 100, ModelLedger.largestAmount]))
        }
        if random.chance(40) && ledger.endUser != "alice" { settings.clock = random.pick([1, 1, 1, 1, 2, 3]) }
        if random.chance(25) { settings.thresholds = .some(random.chance(25) ? nil : thresholds()) }
        if random.chance(25) {
            var overrides: [String: ModelLedger.Override] = [:]
            if random.chance(50) { overrides["seats"] = .limit(Int64.random(in: 0...60, using: &random)) }
            if random.chance(30) { overrides["sso"] = .enabled(random.chance(50)) }
            if random.chance(20) { overrides[random.pick(["unit", "mails"])] = .enabled(random.chance(50)) }
            for name in ["mails", "calls", "jobs"] where random.chance(20) && overrides[name] == nil {
                guard let quota = ledger.catalogue.features[name]?.quota else { continue }
                overrides[name] = .quota(
                    ModelLedger.Quota(
                        limit: Int64.random(in: 0...100, using: &random), window: quota.window,
                        opensWithUse: quota.opensWithUse))
            }
            if random.chance(5) { overrides["none"] = .enabled(true) }
            if random.chance(5) { overrides["unit"] = .limit(3) }
            settings.overrides = overrides
        }
        return settings
    }
}
