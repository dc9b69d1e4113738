import Catalogue
import Credits
import Ledger
import LedgerModel
import Metering

/// Translates the model's values to the core's.
enum Translation {
    static func millicredits(_ amount: Int64) throws -> Millicredits { try Millicredits(amount) }

    static func feature(_ text: String) throws -> FeatureKey {
        guard let key = FeatureKey(text) else { throw ScriptError("\(text) is no feature") }
        return key
    }

    static func endUser(_ text: String) throws -> EndUserID {
        guard let endUser = EndUserID(text) else { throw ScriptError("\(text) is no end user") }
        return endUser
    }

    static func package(_ text: String) throws -> PackageKey {
        guard let key = PackageKey(text) else { throw ScriptError("\(text) is no package") }
        return key
    }

    /// - Parameter feature: The feature; nil for the rules of features, whose versions are told apart by the feature.
    static func ruleID(version: Int, of feature: String? = nil) -> PublicID {
        let high = feature.map { $0.utf8.reduce(UInt64(7)) { ($0 &* 31 &+ UInt64($1)) % 1_000_003 } } ?? 3
        return PublicID(.rule, Bits128(high: high, low: UInt64(version)))
    }

    static func clockID(_ number: Int) -> PublicID { PublicID(.testClock, Bits128(high: 5, low: UInt64(number))) }

    static func duration(months: Int64, seconds: Int64) throws -> CalendarDuration {
        guard let duration = CalendarDuration(months: months, seconds: seconds) else {
            throw ScriptError("\(months) months and \(seconds) s are no duration")
        }
        return duration
    }

    static func expiry(_ expiry: ModelLedger.Expiry) throws -> Grant.Expiry {
        switch expiry {
        case .never: .never
        case .at(let instant): .at(instant)
        case .after(let months, let seconds): .after(try duration(months: months, seconds: seconds))
        }
    }

    static func attributes(_ attributes: [String: String]) -> Attributes {
        Attributes(attributes.mapValues { .string($0) })
    }

    static func demand(_ demand: ModelDemand, _ attributes: [String: String]) throws -> Demand {
        switch demand {
        case .units(let units): .measured(.units(units), self.attributes(attributes))
        case .quantities(let quantities): .measured(.quantities(quantities), self.attributes(attributes))
        case .credits(let credits): .credits(try Millicredits(credits), self.attributes(attributes))
        }
    }

    static func measure(_ demand: ModelDemand) throws -> Measure {
        switch demand {
        case .units(let units): .units(units)
        case .quantities(let quantities): .quantities(quantities)
        case .credits: throw ScriptError("an event is not measured in credits")
        }
    }

    static func window(_ window: ModelWindow) throws -> WindowLength {
        switch window {
        case .day: .day
        case .week: .week
        case .month: .month
        case .duration(let months, let seconds): .duration(try duration(months: months, seconds: seconds))
        }
    }

    static func quota(_ quota: ModelLedger.Quota) throws -> Quota {
        Quota(
            limit: quota.limit, window: try window(quota.window),
            anchor: quota.opensWithUse ? .firstUse : quota.countsFromStart ? .subscription : .calendar)
    }
}

// MARK: - The catalogue

extension Translation {
    static func tiers(_ tiers: [ModelTier]) throws -> [Tier] {
        try tiers.map { tier in
            Tier(upTo: tier.upTo, unitCost: try Millicredits(tier.cost), flatFee: try Millicredits(tier.fee))
        }
    }

    static func model(_ price: ModelPrice) throws -> PricingModel {
        switch price {
        case .flat(let amount): .flat(amount: try Millicredits(amount))
        case .perUnit(let cost, let per, let carries):
            .perUnit(unitCost: try Millicredits(cost), perUnits: per, rounding: carries ? .carry : .event)
        case .package(let size, let cost): .package(size: size, cost: try Millicredits(cost))
        case .graduated(let tiers, let perPeriod):
            .graduated(try self.tiers(tiers), scope: perPeriod ? .period : .event)
        case .volume(let tiers): .volume(try self.tiers(tiers))
        case .dimensions, .rows: throw ScriptError("\(price) is no single model")
        }
    }

    static func terms(_ price: ModelPrice) throws -> Price.Terms {
        if case .dimensions(let prices) = price { return .dimensions(try prices.mapValues(model)) }
        return .model(try model(price))
    }

    static func price(_ price: ModelPrice) throws -> Price {
        if case .rows(let rows) = price {
            return Price(
                rows: try rows.map { Price.Row(match: attributes($0.match), terms: try terms($0.price)) })
        }
        return Price(.always(try terms(price)))
    }

    static func catalogue(_ model: ModelCatalogue) throws -> Catalogue {
        var catalogue = Catalogue()
        for (name, feature) in model.features {
            let key = try self.feature(name)
            let type: FeatureType =
                switch feature.kind {
                case .metered: .metered
                case .boolean: .boolean
                case .limit: .limit
                }
            catalogue.features[key] = Feature(
                key: key, type: type, quota: try feature.quota.map(quota),
                archivedAt: feature.isArchived ? .epoch : nil)
            let rules = try feature.prices.enumerated().map { index, version in
                MeteringRule(
                    id: ruleID(version: index + 1), featureKey: key, version: Int32(index + 1),
                    price: try price(version.price), effectiveFrom: version.from)
            }
            if !rules.isEmpty { catalogue.prices[key] = PriceList(rules) }
        }
        for (name, package) in model.packages {
            let key = try self.package(name)
            var duration: CalendarDuration?
            if case .after(let months, let seconds) = package.expiry {
                duration = try self.duration(months: months, seconds: seconds)
            }
            catalogue.packages[key] = TopupPackage(
                key: key,
                terms: PackageTerms(
                    name: name, credits: try Millicredits(package.credits), price: package.price, currency: "EUR",
                    expiresAfter: duration, priority: package.priority.map { Int16($0) }),
                archivedAt: package.isArchived ? .epoch : nil)
        }
        catalogue.config.overagePolicy = model.policy.flatMap { OveragePolicy(rawValue: $0.rawValue) }
        catalogue.config.overageLimit = try model.overageLimit.map(millicredits)
        catalogue.config.balanceLowThresholds = try model.thresholds.map(threshold)
        catalogue.config.expiringSoonHours = model.expiringSoonHours.map { Int32($0) }
        catalogue.config.recordedEventTypes = model.eventTypes.map {
            EventTypes($0.compactMap { EventType(rawValue: $0) })
        }
        catalogue.config.createEndUsers = model.createsEndUsers ? nil : .explicit
        catalogue.config.zone = ZoneRules(
            transitions: model.zone.changes.map {
                (at: Instant(microseconds: $0.at * 1_000_000), offsetSeconds: Int32($0.offset))
            }, initialOffsetSeconds: Int32(model.zone.first))
        try insertPlans(of: model, into: &catalogue)
        for (number, instant) in model.clocks { catalogue.testClocks[clockID(number)] = instant }
        return catalogue
    }
}

extension Translation {
    static func limitKey(_ key: String) throws -> LimitKey {
        guard let key = LimitKey(key) else { throw ScriptError("\(key) is no key of a limit") }
        return key
    }

    static func threshold(_ threshold: ModelLedger.Threshold) throws -> BalanceThreshold {
        switch threshold {
        case .credits(let credits): .credits(try Millicredits(credits))
        case .percent(let percent): .percent(Int(percent))
        }
    }

    static func limit(_ limit: ModelLedger.Limit) throws -> Limit {
        guard let unit = Limit.Unit(rawValue: limit.unit) else { throw ScriptError("\(limit.unit) is no unit") }
        return Limit(
            unit: unit, amount: limit.amount, window: try limit.window.map(window),
            anchor: limit.opensWithUse ? .firstUse : limit.countsFromStart ? .subscription : .calendar,
            features: Set(try limit.features.map(feature)),
            match: limit.match.mapValues { Set($0.map { .string($0) }) }, per: limit.per, dimension: limit.dimension,
            warnAt: limit.warnAt.map { Int($0) })
    }
}

extension Translation {
    static func rule(_ rule: ModelLedger.TopUpRule) throws -> AutoTopUpRule {
        AutoTopUpRule(
            threshold: try Millicredits(rule.threshold),
            amount: rule.package == nil
                ? .amount(try Millicredits(rule.credits ?? 0)) : .package(try package(rule.package ?? "")),
            ceiling: try rule.most.map { AutoTopUpCeiling(count: Int32($0), window: try window(rule.window)) },
            cooldownSeconds: rule.cooldown, stopAfterFailures: Int32(rule.stopAfter))
    }
}

// MARK: - Commands

extension ModelCommand {
    func action(account: AccountID) throws -> AccountAction {
        switch self {
        case .grant(let grant):
            .grant(
                Ledger.Grant(
                    credits: try Millicredits(grant.credits), source: BlockSource(rawValue: grant.source) ?? .topup,
                    priority: grant.priority.map { Int16($0) }, startsAt: grant.startsAt,
                    expiry: try Translation.expiry(grant.expiry),
                    featureKeys: try grant.features.map(Translation.feature),
                    payment: grant.price.map { Payment(price: $0) }))
        case .topUp(let topUp):
            .topUp(
                Ledger.TopUp(
                    credits: try topUp.amount(),
                    request: topUp.request.map { PublicID(.topUpRequest, account: account, number: Int64($0)) },
                    payment: Payment(price: topUp.price, externalID: topUp.payment),
                    priority: topUp.priority.map { Int16($0) }, expiry: try topUp.expiry.map(Translation.expiry),
                    featureKeys: try topUp.features.map(Translation.feature)))
        case .use(let use):
            .use(
                UsageEvent(
                    featureKey: try Translation.feature(use.feature), measure: try Translation.measure(use.demand),
                    attributes: Translation.attributes(use.attributes), occurredAt: use.occurredAt))
        case .refund(let charge, let extent, let expiry):
            .refund(
                Refund(
                    account: account, charge: charge, extent: try Self.extent(extent),
                    compensationExpiry: try expiry.map(Translation.expiry)))
        case .revoke(let block): .revoke(Revocation(block: Int32(block)))
        case .adjust(let amount): .adjust(Adjustment(amount: try Millicredits(amount)))
        case .transfer(let receiver, let credits):
            .transfer(Transfer(receiver: try Translation.endUser(receiver), credits: try Millicredits(credits)))
        case .reserve(let use, let ttl):
            .reserve(try Self.request(use, ttl: ttl))
        case .commit(let number, let demand, let feature, let attributes, let shortfall):
            .reservation(
                Int32(number),
                .commit(
                    try Translation.demand(demand, attributes), of: try feature.map(Translation.feature),
                    shortfall: shortfall.flatMap(Shortfall.init(rawValue:))))
        case .release(let number): .reservation(Int32(number), .release)
        case .extend(let number, let ttl): .reservation(Int32(number), .extend(ttlSeconds: ttl))
        case .progress(let number, let demand, let feature):
            .reservation(
                Int32(number),
                .progress(try Translation.demand(demand, [:]), of: try feature.map(Translation.feature)))
        case .createCap(let feature, let credits, let window):
            .createSpendCap(
                NewSpendCap(
                    featureKey: try feature.map(Translation.feature), credits: try Millicredits(credits),
                    window: try Translation.window(window)))
        case .deleteCap(let number): .deleteSpendCap(Int32(number))
        case .setLimit(let key, let limit): .setLimit(try Translation.limitKey(key), try limit.map(Translation.limit))
        case .deleteLimit(let key): .deleteLimit(try Translation.limitKey(key))
        case .setRule(let rule): .setAutoTopUp(try Translation.rule(rule))
        case .deleteRule: .deleteAutoTopUp
        case .failRequest(let number, let reason): .failTopUpRequest(Int32(number), reason: reason)
        case .subscription(let act): try act.action()
        case .create(let settings): .createEndUser(try settings.change())
        case .update(let settings): .updateEndUser(try settings.change())
        case .erase: .eraseEndUser
        case .advance: .advance
        }
    }

    private static func request(_ use: Use, ttl: Int64) throws -> ReservationRequest {
        let estimate = try Translation.demand(use.demand, use.attributes)
        if use.others.isEmpty {
            return ReservationRequest(
                featureKey: try Translation.feature(use.feature), estimate: estimate, ttlSeconds: ttl)
        }
        return ReservationRequest(
            featureKeys: try use.features.map(Translation.feature), estimate: estimate, ttlSeconds: ttl)
    }

    private static func extent(_ extent: ModelLedger.Extent) throws -> Refund.Extent {
        switch extent {
        case .rest: .rest
        case .units(let units): .units(units)
        case .credits(let credits): .credits(try Millicredits(credits))
        }
    }
}

extension ModelCommand.TopUp {
    /// Nil for the amount of the request.
    fileprivate func amount() throws -> Ledger.TopUp.Credits? {
        if let package { return .package(try Translation.package(package)) }
        guard let credits else { return nil }
        return .amount(try Millicredits(credits))
    }
}

extension ModelCommand.Settings {
    fileprivate func change() throws -> EndUserChange {
        var change = EndUserChange()
        if let name { change.name = .set(name) }
        if let policy { change.overagePolicy = .set(policy.flatMap { OveragePolicy(rawValue: $0.rawValue) }) }
        if let limit { change.overageLimit = .set(try limit.map(Translation.millicredits)) }
        if let overrides {
            var grants: [FeatureKey: FeatureGrant] = [:]
            for (name, override) in overrides {
                grants[try Translation.feature(name)] =
                    switch override {
                    case .enabled(let isEnabled): .enabled(isEnabled)
                    case .limit(let limit): .limit(limit)
                    case .quota(let quota): .quota(try Translation.quota(quota))
                    }
            }
            change.overrides = .set(grants)
        }
        if let thresholds {
            change.balanceLowThresholds = .set(try thresholds.map { try $0.map(Translation.threshold) })
        }
        change.testClock = clock.map(Translation.clockID)
        return change
    }
}
