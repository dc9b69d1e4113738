import Catalogue
import Credits
import Ledger
import Metering

// The number of an action or a field is permanent: it is never given to another one. A new action is written with
// `since`, because an older worker must not skip it.

extension AccountAction: FieldCodable {
    func write(to writer: inout FieldWriter) {
        switch self {
        case .use(let event): writer.write(1, event)
        case .grant(let grant): writer.write(2, grant)
        case .createEndUser(let change): writer.write(3, change)
        case .updateEndUser(let change): writer.write(4, change)
        case .advance: writer.write(5) { _ in }
        case .topUp(let topUp): writer.write(6, topUp)
        case .refund(let refund): writer.write(7, refund)
        case .revoke(let revocation): writer.write(8, revocation)
        case .adjust(let adjustment): writer.write(9, adjustment)
        case .transfer(let transfer): writer.write(10, transfer)
        case .reserve(let request): writer.write(11, request)
        case .reservation(let number, let action):
            writer.write(12) { writer in
                writer.write(1, Int64(number))
                writer.write(2, action)
            }
        case .createSpendCap(let cap): writer.write(13, cap)
        case .deleteSpendCap(let number): writer.write(14, Int64(number))
        case .setLimit(let key, let limit):
            writer.write(15, since: limit?.warnAt.isEmpty ?? true ? 3 : 6) { writer in
                writer.write(1, key.rawValue)
                writer.write(2, limit?.canonicalJSON)
            }
        case .deleteLimit(let key):
            writer.write(16, since: 3) { writer in writer.write(1, key.rawValue) }
        case .eraseEndUser: writer.write(17, since: 3) { _ in }
        case .setAutoTopUp(let rule):
            writer.write(18, since: 3) { writer in writer.write(1, rule.canonicalJSON) }
        case .deleteAutoTopUp: writer.write(19, since: 3) { _ in }
        case .failTopUpRequest(let number, let reason):
            writer.write(20, since: 3) { writer in
                writer.write(1, Int64(number))
                writer.write(2, reason)
            }
        case .subscribe(let new): writer.write(21, since: 5) { new.write(to: &$0) }
        case .subscription(let number, let action):
            writer.write(22, since: 5) { writer in
                writer.write(1, Int64(number))
                writer.write(2, action)
            }
        }
    }

    init(from reader: inout FieldReader) throws(CodingError) {
        switch try reader.nextNumber() {
        case 1: self = .use(try reader.value(1, "action"))
        case 2: self = .grant(try reader.value(2, "action"))
        case 3: self = .createEndUser(try reader.value(3, "action"))
        case 4: self = .updateEndUser(try reader.value(4, "action"))
        case 5: self = .advance
        case 6: self = .topUp(try reader.value(6, "action"))
        case 7: self = .refund(try reader.value(7, "action"))
        case 8: self = .revoke(try reader.value(8, "action"))
        case 9: self = .adjust(try reader.value(9, "action"))
        case 10: self = .transfer(try reader.value(10, "action"))
        case 11: self = .reserve(try reader.value(11, "action"))
        case 12:
            self = try reader.message(12, "action") { (reader) throws(CodingError) in
                .reservation(try reader.int32(1, "reservation"), try reader.value(2, "action on a reservation"))
            }
        case 13: self = .createSpendCap(try reader.value(13, "action"))
        case 14: self = .deleteSpendCap(try reader.int32(14, "spend cap"))
        case 15:
            self = try reader.message(15, "action") { (reader) throws(CodingError) in
                .setLimit(
                    try reader.parsed(1, "limit key") { LimitKey($0) },
                    try reader.optional(2, "limit") { try? Limit(json: $0) })
            }
        case 16:
            self = try reader.message(16, "action") { (reader) throws(CodingError) in
                .deleteLimit(try reader.parsed(1, "limit key") { LimitKey($0) })
            }
        case 17: self = .eraseEndUser
        case 18:
            self = try reader.message(18, "action") { (reader) throws(CodingError) in
                .setAutoTopUp(try reader.parsed(1, "rule") { try? AutoTopUpRule(json: $0) })
            }
        case 19: self = .deleteAutoTopUp
        case 20:
            self = try reader.message(20, "action") { (reader) throws(CodingError) in
                .failTopUpRequest(
                    try reader.int32(1, "request"), reason: try reader.optionalString(2, "reason"))
            }
        case 21: self = .subscribe(try reader.value(21, "action"))
        case 22:
            self = try reader.message(22, "action") { (reader) throws(CodingError) in
                .subscription(
                    try reader.int32(1, "subscription"), try reader.value(2, "action on a subscription"))
            }
        default: throw .missing(field: "action")
        }
    }
}

extension UsageEvent: FieldCodable {
    func write(to writer: inout FieldWriter) {
        writer.write(1, featureKey.rawValue)
        writer.write(2, measure)
        if !attributes.values.isEmpty { writer.write(3, attributes) }
        writer.write(4, occurredAt)
        writer.write(5, metadata)
    }

    init(from reader: inout FieldReader) throws(CodingError) {
        self.init(
            featureKey: try reader.featureKey(1), measure: try reader.value(2, "measure"),
            attributes: try reader.optional(3) ?? .none, occurredAt: try reader.optionalInstant(4),
            metadata: try reader.metadata(5))
    }
}

extension Grant: FieldCodable {
    func write(to writer: inout FieldWriter) {
        writer.write(1, credits)
        writer.write(2, source.rawValue)
        writer.write(3, priority)
        writer.write(4, expiry)
        writer.write(5, each: featureKeys.map(\.rawValue))
        writer.write(6, payment)
        writer.write(7, reason)
        writer.write(8, metadata)
        writer.write(9, since: 3, startsAt)
    }

    init(from reader: inout FieldReader) throws(CodingError) {
        self.init(
            credits: try reader.amount(1, in: AmountRange.positive, "amount"),
            source: try reader.parsed(2, "source") { BlockSource(rawValue: $0) },
            priority: try reader.optionalPriority(3), expiry: try reader.value(4, "expiry"),
            featureKeys: try reader.featureKeys(5), payment: try reader.optional(6),
            reason: try reader.optionalString(7, "reason"), metadata: try reader.metadata(8))
        startsAt = try reader.optionalInstant(9)
    }
}

extension TopUp: FieldCodable {
    func write(to writer: inout FieldWriter) {
        switch credits {
        case .amount(let amount): writer.write(1, amount)
        case .package(let key): writer.write(2, key.rawValue)
        case nil: break
        }
        writer.write(3, payment)
        writer.write(4, fingerprint)
        writer.write(5, priority)
        writer.write(6, expiry)
        writer.write(7, each: featureKeys.map(\.rawValue))
        writer.write(8, reason)
        writer.write(9, metadata)
        if let request {
            writer.demand(revision: 3)
            writer.write(10, request.bits)
        }
    }

    init(from reader: inout FieldReader) throws(CodingError) {
        let amount = try reader.optionalAmount(1, in: AmountRange.positive, "amount")
        let package = try reader.optional(2, "package key") { PackageKey($0) }
        self.init(
            credits: amount.map { Credits.amount($0) } ?? package.map { Credits.package($0) },
            payment: try reader.value(3, "payment"), fingerprint: try reader.value(4, "fingerprint"),
            priority: try reader.optionalPriority(5), expiry: try reader.optional(6),
            featureKeys: try reader.featureKeys(7), reason: try reader.optionalString(8, "reason"),
            metadata: try reader.metadata(9))
        request = try reader.optional(10).map { (bits: Bits128) in PublicID(.topUpRequest, bits) }
        guard credits != nil || request != nil else { throw .missing(field: "amount") }
    }
}

extension Refund: FieldCodable {
    func write(to writer: inout FieldWriter) {
        writer.write(1, account.rawValue)
        writer.write(2, charge)
        switch extent {
        case .rest: break
        case .units(let units): writer.write(3, units)
        case .credits(let credits): writer.write(4, credits)
        }
        writer.write(5, compensationExpiry)
        writer.write(6, reason)
        writer.write(7, metadata)
    }

    init(from reader: inout FieldReader) throws(CodingError) {
        let account = AccountID(try reader.int64(1, "account"))
        let charge = try reader.int64(2, "charge")
        let units = try reader.optionalInt64(3)
        if let units, units <= 0 { throw .invalid(field: "number of units") }
        let credits = try reader.optionalAmount(4, in: AmountRange.positive, "amount")
        self.init(
            account: account, charge: charge,
            extent: units.map { .units($0) } ?? credits.map { .credits($0) } ?? .rest,
            compensationExpiry: try reader.optional(5), reason: try reader.optionalString(6, "reason"),
            metadata: try reader.metadata(7))
    }
}

extension Revocation: FieldCodable {
    func write(to writer: inout FieldWriter) {
        writer.write(1, Int64(block))
        writer.write(2, reason)
        writer.write(3, metadata)
    }

    init(from reader: inout FieldReader) throws(CodingError) {
        self.init(
            block: try reader.int32(1, "block"), reason: try reader.optionalString(2, "reason"),
            metadata: try reader.metadata(3))
    }
}

extension Adjustment: FieldCodable {
    func write(to writer: inout FieldWriter) {
        writer.write(1, amount)
        writer.write(2, reason)
        writer.write(3, metadata)
    }

    init(from reader: inout FieldReader) throws(CodingError) {
        self.init(
            amount: try reader.amount(1, in: AmountRange.any, "amount"),
            reason: try reader.optionalString(2, "reason"), metadata: try reader.metadata(3))
        guard amount != .zero else { throw .invalid(field: "amount") }
    }
}

extension Transfer: FieldCodable {
    func write(to writer: inout FieldWriter) {
        writer.write(1, receiver.rawValue)
        writer.write(2, credits)
        writer.write(3, reason)
        writer.write(4, metadata)
    }

    init(from reader: inout FieldReader) throws(CodingError) {
        self.init(
            receiver: try reader.parsed(1, "receiver") { EndUserID($0) },
            credits: try reader.amount(2, in: AmountRange.positive, "amount"),
            reason: try reader.optionalString(3, "reason"), metadata: try reader.metadata(4))
    }
}

extension ReservationRequest: FieldCodable {
    func write(to writer: inout FieldWriter) {
        writer.write(1, featureKeys[0].rawValue)
        writer.write(2, estimate)
        writer.write(3, ttlSeconds)
        writer.write(4, metadata)
        // The further features of a reservation over several.
        if featureKeys.count > 1 {
            writer.write(5, since: 4) { writer in writer.write(1, each: featureKeys.dropFirst().map(\.rawValue)) }
        }
    }

    init(from reader: inout FieldReader) throws(CodingError) {
        self.init(
            featureKey: try reader.featureKey(1), estimate: try reader.value(2, "estimate"),
            ttlSeconds: try reader.timeToLive(3), metadata: try reader.metadata(4))
        featureKeys += try reader.optionalMessage(5) { (reader) throws(CodingError) in try reader.featureKeys(1) } ?? []
    }
}

extension ReservationAction: FieldCodable {
    func write(to writer: inout FieldWriter) {
        switch self {
        case .commit(let actual, let feature, let shortfall):
            // An older worker would price the commit by the attributes of its reservation.
            if !actual.attributes.values.isEmpty { writer.demand(revision: 3) }
            writer.write(1) { writer in
                writer.write(1, actual)
                writer.write(2, shortfall?.rawValue)
                writer.write(3, feature?.rawValue)
                if feature != nil { writer.demand(revision: 4) }
            }
        case .release: writer.write(2) { _ in }
        case .extend(let ttlSeconds): writer.write(3, ttlSeconds)
        case .progress(let demand, let feature):
            writer.write(4, demand)
            writer.write(5, feature?.rawValue)
            if feature != nil { writer.demand(revision: 4) }
        }
    }

    init(from reader: inout FieldReader) throws(CodingError) {
        switch try reader.nextNumber() {
        case 1:
            self = try reader.message(1, "commit") { (reader) throws(CodingError) in
                let actual: Demand = try reader.value(1, "demand")
                let shortfall = try reader.optional(2, "shortfall") { Shortfall(rawValue: $0) }
                let feature = try reader.optional(3, "feature key") { FeatureKey($0) }
                return .commit(actual, of: feature, shortfall: shortfall)
            }
        case 2: self = .release
        case 3: self = .extend(ttlSeconds: try reader.timeToLive(3))
        case 4:
            let demand: Demand = try reader.value(4, "demand")
            self = .progress(demand, of: try reader.optional(5, "feature key") { FeatureKey($0) })
        default: throw .missing(field: "action on a reservation")
        }
    }
}

extension FieldReader {
    fileprivate mutating func timeToLive(_ number: Int) throws(CodingError) -> Int64 {
        let seconds = try int64(number, "time to live")
        guard Reservation.ttlSeconds.contains(seconds) else { throw .invalid(field: "time to live") }
        return seconds
    }
}

extension NewSpendCap: FieldCodable {
    func write(to writer: inout FieldWriter) {
        writer.write(1, featureKey?.rawValue)
        writer.write(2, credits)
        writer.write(3, window.text)
    }

    init(from reader: inout FieldReader) throws(CodingError) {
        self.init(
            featureKey: try reader.optional(1, "feature key") { FeatureKey($0) },
            credits: try reader.amount(2, in: AmountRange.unsigned, "amount"),
            window: try reader.parsed(3, "window") { WindowLength(text: $0) })
    }
}

extension EndUserChange: FieldCodable {
    func write(to writer: inout FieldWriter) {
        writer.write(1, name) { $0.write($1, $2 as String?) }
        writer.write(2, metadata) { $0.write($1, $2 as Metadata?) }
        writer.write(3, overagePolicy) { $0.write($1, $2.rawValue) }
        writer.write(4, overageLimit) { $0.write($1, $2 as Millicredits?) }
        writer.write(5, overrides) { writer, number, overrides in
            // An empty set of overrides differs from the absence of a set, so a field states that there is one.
            writer.write(number, true)
            for (key, grant) in overrides.sorted(by: { $0.key < $1.key }) {
                writer.write(number + 1) { entry in
                    entry.write(1, key.rawValue)
                    entry.write(2, grant.canonicalJSON)
                }
            }
        }
        writer.write(6, testClock?.bits)
        writer.write(7, since: 6, balanceLowThresholds) { $0.write($1, $2.canonicalJSON) }
    }

    init(from reader: inout FieldReader) throws(CodingError) {
        self.init(
            name: try reader.change(1) { (reader) throws(CodingError) in try reader.optionalString(1, "name") },
            metadata: try reader.change(2) { (reader) throws(CodingError) in try reader.metadata(1) },
            overagePolicy: try reader.change(3) { (reader) throws(CodingError) in
                try reader.optional(1, "overage policy") { OveragePolicy(rawValue: $0) }
            },
            overageLimit: try reader.change(4) { (reader) throws(CodingError) in
                try reader.optionalAmount(1, in: AmountRange.unsigned, "overage limit")
            },
            overrides: try reader.change(5) { (reader) throws(CodingError) in
                guard try reader.optionalBool(1, "overrides") == true else { return nil }
                let pairs = try reader.messages(2) { (entry) throws(CodingError) in
                    (
                        try entry.featureKey(1),
                        try entry.parsed(2, "override") { text in try? FeatureGrant(json: text) }
                    )
                }
                return Dictionary(pairs) { first, _ in first }
            },
            testClock: try reader.optional(6).map { (bits: Bits128) in PublicID(.testClock, bits) })
        balanceLowThresholds = try reader.thresholdsChange(7)
    }
}
