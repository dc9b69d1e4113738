import Catalogue
import Credits
import Ledger
import Metering
import SeededRandom
import Testing

/// Values of every shape that an account can hold. Empty and extreme values are frequent.
extension SeededGenerator {
    mutating func text() -> String {
        pick(["", "a", "large", "é", "e\u{301}", "\"\\\u{1}\n", "☃️", "{}", String(repeating: "x", count: 300)])
    }

    mutating func name() -> String { pick(["a", "input_tokens", "output.tokens", "A:b-c", "0"]) }

    mutating func featureKey() throws -> FeatureKey { try #require(FeatureKey(name())) }

    mutating func instant() -> Instant {
        Instant(microseconds: pick([.min, -1, 0, .max, Int64.random(in: .min ... .max, using: &self)]))
    }

    mutating func amount() throws -> Millicredits { try Millicredits(magnitude(upTo: Millicredits.limit)) }

    mutating func some<Value>(_ make: (inout SeededGenerator) throws -> Value) rethrows -> [Value] {
        try (0..<pick([0, 0, 1, 2, 5])).map { _ in try make(&self) }
    }

    mutating func maybe<Value>(_ make: (inout SeededGenerator) throws -> Value) rethrows -> Value? {
        chance(50) ? try make(&self) : nil
    }

    mutating func keyed<Key: Hashable, Value>(
        _ make: (inout SeededGenerator) throws -> (Key, Value)
    ) rethrows -> [Key: Value] {
        Dictionary(try some(make), uniquingKeysWith: { $1 })
    }

    mutating func attributes() -> Attributes {
        Attributes(
            keyed { random in
                let value: AttributeValue =
                    switch Int.random(in: 0..<3, using: &random) {
                    case 0: .string(random.text())
                    case 1: .integer(Int64.random(in: .min ... .max, using: &random))
                    default: .boolean(random.chance(50))
                    }
                return (random.name(), value)
            })
    }

    mutating func quantities() -> [String: Int64] { keyed { ($0.name(), $0.magnitude(upTo: .max)) } }

    mutating func demand() throws -> Demand {
        switch Int.random(in: 0..<3, using: &self) {
        case 0: .credits(try amount(), attributes())
        case 1: .measured(.units(magnitude(upTo: .max)), attributes())
        default: .measured(.quantities(quantities()), attributes())
        }
    }

    mutating func windowLength() throws -> WindowLength {
        switch Int.random(in: 0..<4, using: &self) {
        case 0: .day
        case 1: .week
        case 2: .month
        default:
            .duration(
                try #require(
                    CalendarDuration(
                        months: Int64.random(in: 0...100, using: &self),
                        seconds: Int64.random(in: 60...86_400, using: &self))))
        }
    }

    mutating func grant() throws -> FeatureGrant {
        switch Int.random(in: 0..<3, using: &self) {
        case 0: .enabled(chance(50))
        case 1: .limit(magnitude(upTo: Millicredits.limit))
        default:
            .quota(
                Quota(
                    limit: magnitude(upTo: Millicredits.limit), window: try windowLength(),
                    anchor: pick(WindowAnchor.allCases)))
        }
    }

    mutating func settings() throws -> AccountSettings {
        AccountSettings(
            overagePolicy: maybe { $0.pick(OveragePolicy.allCases) }, overageLimit: try maybe { try $0.amount() },
            overrides: try keyed { (try $0.featureKey(), try $0.grant()) },
            caps: try some { random in
                SpendCap(
                    number: Int32.random(in: 1 ... .max, using: &random),
                    featureKey: try random.maybe { try $0.featureKey() }, credits: try random.amount(),
                    window: try random.windowLength(), createdAt: random.instant())
            }, capCount: pick([0, 1, .max]),
            limits: try keyed { random in
                (
                    try #require(LimitKey(try random.featureKey().rawValue)),
                    OwnLimit(limit: try random.maybe { try $0.limit() }, generation: random.pick([1, .max]))
                )
            }, limitGeneration: pick([0, 7]),
            testClock: maybe { PublicID(.testClock, Bits128(high: $0.next(), low: $0.next())) })
    }

    mutating func counts() -> [ReservationCount] {
        (0..<pick([0, 1, 5])).map { _ in
            ReservationCount(
                counter: CounterID(bits: Bits128(high: next(), low: next())), unit: pick(Limit.Unit.allCases),
                dimension: maybe { $0.name() }, window: TimeWindow(start: instant(), end: instant()),
                generation: pick([0, 1, .max]), features: Set((0..<pick([0, 2])).compactMap { _ in try? featureKey() }))
        }
    }

    mutating func limit() throws -> Limit {
        let unit = pick(Limit.Unit.allCases)
        return Limit(
            unit: unit, amount: magnitude(upTo: Millicredits.limit),
            window: unit == .concurrent ? nil : try windowLength(),
            anchor: unit == .concurrent ? .calendar : pick(WindowAnchor.allCases),
            features: chance(50) ? [] : [try featureKey(), try featureKey()],
            match: chance(50) ? [:] : ["model": [.string(name()), .integer(magnitude(upTo: 9)), .boolean(true)]],
            per: chance(50) ? "member" : nil, dimension: unit == .units && chance(50) ? "input" : nil)
    }

    mutating func details() throws -> EntryDetails {
        // A stored entry names the other side of a transfer in one of the two ways.
        let isClear = chance(50)
        return EntryDetails(
            attributes: attributes(), quantities: quantities(), externalPaymentID: maybe { $0.text() },
            counterparty: isClear ? try maybe { try #require(EndUserID("u" + $0.text().prefix(200))) } : nil,
            counterpartyEntry: isClear
                ? nil : maybe { PublicID(.entry, Bits128(high: $0.next(), low: $0.next())) },
            forfeited: pick([0, 1, Millicredits.limit]),
            featureKeys: chance(50) ? [] : [try featureKey(), try featureKey()],
            addedUnits: maybe { $0.magnitude(upTo: .max) }, isDeadline: chance(50))
    }

    mutating func parts() throws -> [JobPart] {
        try (0..<pick([2, 16])).map { _ in
            JobPart(
                featureKey: try featureKey(),
                ruleID: maybe { PublicID(.rule, Bits128(high: $0.next(), low: $0.next())) },
                watermark: try maybe { try $0.demand() }, charged: try amount(), carried: quantities(),
                stated: magnitude(upTo: .max))
        }
    }
}

extension SeededGenerator {
    mutating func topUpAmount() throws -> TopUp.Credits {
        chance(50)
            ? .amount(try Millicredits(magnitude(upTo: Millicredits.limit - 1) + 1))
            : .package(try #require(PackageKey(name())))
    }

    mutating func autoTopUp() throws -> AutoTopUp {
        let ceiling = try maybe { random in
            AutoTopUpCeiling(count: Int32.random(in: 1...1_000, using: &random), window: try random.windowLength())
        }
        let rule = try maybe { random in
            AutoTopUpRule(
                threshold: try random.amount(), amount: try random.topUpAmount(), ceiling: ceiling,
                cooldownSeconds: random.magnitude(upTo: 31_622_400),
                stopAfterFailures: Int32.random(in: 1...100, using: &random))
        }
        let (number, at) = (Int32.random(in: 1 ... .max, using: &self), instant())
        let counted = maybe { random in
            WindowCounter(
                window: TimeWindow(start: random.instant(), end: random.instant()), used: random.magnitude(upTo: .max))
        }
        guard chance(70) else { return AutoTopUp(rule: rule, counted: counted) }
        let amount = try topUpAmount()
        let open = chance(50) ? TopUpRequest(number: number, amount: amount, requestedAt: at) : nil
        return AutoTopUp(
            rule: rule, requestCount: number, open: open, lastRequestedAt: at, counted: counted,
            failures: pick([0, 1, .max]), isSuspended: chance(50), isShort: chance(50))
    }
}
