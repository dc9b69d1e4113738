import Credits
import Ledger
import Metering

/// What commands ask of accounts.
extension ByteWriter {
    mutating func write(_ action: AccountAction) {
        switch action {
        case .use(let event):
            write(UInt8(1))
            write(event.featureKey.rawValue)
            write(event.measure)
            write(event.attributes)
            write(event.occurredAt) { $0.write($1 as Instant) }
            write(event.metadata)
        case .grant(let grant):
            write(UInt8(2))
            write(grant)
        case .createEndUser(let change):
            write(UInt8(3))
            write(change)
        case .updateEndUser(let change):
            write(UInt8(4))
            write(change)
        case .advance: write(UInt8(5))
        case .topUp(let topUp):
            write(UInt8(6))
            write(topUp)
        case .refund(let refund):
            write(UInt8(7))
            write(refund)
        case .revoke(let revocation):
            write(UInt8(8))
            write(revocation.block)
            write(revocation.reason)
            write(revocation.metadata)
        case .adjust(let adjustment):
            write(UInt8(9))
            write(adjustment.amount.rawValue)
            write(adjustment.reason)
            write(adjustment.metadata)
        case .transfer(let transfer):
            write(UInt8(10))
            write(transfer.receiver.rawValue)
            write(transfer.credits.rawValue)
            write(transfer.reason)
            write(transfer.metadata)
        case .reserve(let request):
            write(UInt8(11))
            write(request.featureKey.rawValue)
            write(request.estimate)
            write(request.ttlSeconds)
            write(request.metadata)
        case .reservation(let number, let action):
            write(UInt8(12))
            write(number)
            write(action)
        case .createSpendCap(let cap):
            write(UInt8(13))
            write(cap.featureKey?.rawValue)
            write(cap.credits.rawValue)
            write(cap.window.text)
        case .deleteSpendCap(let number):
            write(UInt8(14))
            write(number)
        }
    }

    private mutating func write(_ grant: Grant) {
        write(grant.credits.rawValue)
        write(grant.source.rawValue)
        write(grant.priority) { $0.write($1 as Int16) }
        write(grant.expiry)
        write(grant.featureKeys)
        write(grant.payment) { $0.write($1 as Payment) }
        write(grant.reason)
        write(grant.metadata)
    }

    private mutating func write(_ expiry: Grant.Expiry) {
        switch expiry {
        case .never: write(UInt8(0))
        case .at(let instant):
            write(UInt8(1))
            write(instant)
        case .after(let duration):
            write(UInt8(2))
            write(duration)
        }
    }

    private mutating func write(_ keys: [FeatureKey]) {
        write(count: keys.count)
        for key in keys { write(key.rawValue) }
    }

    private mutating func write(_ payment: Payment) {
        write(payment.price) { $0.write($1 as Int64) }
        write(payment.currency)
        write(payment.externalID)
    }

    private mutating func write(_ topUp: TopUp) {
        switch topUp.credits {
        case .amount(let credits):
            write(UInt8(0))
            write(credits.rawValue)
        case .package(let key):
            write(UInt8(1))
            write(key.rawValue)
        }
        write(topUp.payment)
        write(topUp.fingerprint)
        write(topUp.priority) { $0.write($1 as Int16) }
        write(topUp.expiry) { $0.write($1 as Grant.Expiry) }
        write(topUp.featureKeys)
        write(topUp.reason)
        write(topUp.metadata)
    }

    private mutating func write(_ refund: Refund) {
        write(refund.account.rawValue)
        write(refund.charge)
        switch refund.extent {
        case .rest: write(UInt8(0))
        case .units(let units):
            write(UInt8(1))
            write(units)
        case .credits(let credits):
            write(UInt8(2))
            write(credits.rawValue)
        }
        write(refund.compensationExpiry) { $0.write($1 as Grant.Expiry) }
        write(refund.reason)
        write(refund.metadata)
    }

    private mutating func write(_ action: ReservationAction) {
        switch action {
        case .commit(let actual, let shortfall):
            write(UInt8(0))
            write(actual)
            write(shortfall?.rawValue)
        case .release: write(UInt8(1))
        case .extend(let ttlSeconds):
            write(UInt8(2))
            write(ttlSeconds)
        case .progress(let demand):
            write(UInt8(3))
            write(demand)
        }
    }

    private mutating func write(_ change: EndUserChange) {
        write(change.name) { $0.write($1 as String?) }
        write(change.metadata) { $0.write($1 as Metadata?) }
        write(change.overagePolicy) { $0.write($1?.rawValue) }
        write(change.overageLimit) { writer, limit in
            writer.write(limit) { $0.write($1.rawValue) }
        }
        write(change.overrides) { writer, overrides in
            writer.write(overrides) { $0.write($1 as [FeatureKey: FeatureGrant]) }
        }
        write(change.testClock) { $0.write($1.bits) }
    }

    private mutating func write(_ overrides: [FeatureKey: FeatureGrant]) {
        write(count: overrides.count)
        for (key, grant) in overrides.sorted(by: { $0.key < $1.key }) {
            write(key.rawValue)
            write(grant.canonicalJSON)
        }
    }
}

extension ByteReader {
    /// What the edge refuses is refused here too. The numbers in ids are anybody's to make up: one that names nothing is
    /// for the ledger to answer.
    mutating func accountAction() throws(CodingError) -> AccountAction {
        switch try integer(UInt8.self) {
        case 1:
            return .use(
                UsageEvent(
                    featureKey: try featureKey(), measure: try measure(), attributes: try attributes(),
                    occurredAt: try optionalInstant(), metadata: try metadata()))
        case 2: return .grant(try grant())
        case 3: return .createEndUser(try endUserChange())
        case 4: return .updateEndUser(try endUserChange())
        case 5: return .advance
        case 6: return .topUp(try topUp())
        case 7: return .refund(try refund())
        case 8:
            return .revoke(
                Revocation(block: try integer(), reason: try optionalString(), metadata: try metadata()))
        case 9:
            let amount = try amount()
            guard amount != .zero else { throw .invalid(field: "amount") }
            return .adjust(Adjustment(amount: amount, reason: try optionalString(), metadata: try metadata()))
        case 10:
            return .transfer(
                Transfer(
                    receiver: try endUserID(), credits: try positiveAmount(), reason: try optionalString(),
                    metadata: try metadata()))
        case 11:
            return .reserve(
                ReservationRequest(
                    featureKey: try featureKey(), estimate: try demand(), ttlSeconds: try timeToLive(),
                    metadata: try metadata()))
        case 12: return .reservation(try integer(), try reservationAction())
        case 13:
            return .createSpendCap(
                NewSpendCap(
                    featureKey: try optional { (reader) throws(CodingError) in try reader.featureKey() },
                    credits: try unsignedAmount(), window: try windowLength()))
        case 14: return .deleteSpendCap(try integer())
        default: throw .invalid(field: "action")
        }
    }

    private mutating func grant() throws(CodingError) -> Grant {
        let credits = try positiveAmount()
        guard let source = BlockSource(rawValue: try string()) else { throw .invalid(field: "source") }
        return Grant(
            credits: credits, source: source, priority: try priority(), expiry: try expiry(),
            featureKeys: try featureKeys(),
            payment: try optional { (reader) throws(CodingError) in try reader.payment() },
            reason: try optionalString(), metadata: try metadata())
    }

    private mutating func priority() throws(CodingError) -> Int16? {
        let priority: Int16? = try optional { (reader) throws(CodingError) in try reader.integer() }
        guard priority.map({ (0...100).contains($0) }) ?? true else { throw .invalid(field: "priority") }
        return priority
    }

    private mutating func expiry() throws(CodingError) -> Grant.Expiry {
        switch try integer(UInt8.self) {
        case 0: return .never
        case 1: return .at(try instant())
        case 2: return .after(try duration())
        default: throw .invalid(field: "expiry")
        }
    }

    private mutating func optionalExpiry() throws(CodingError) -> Grant.Expiry? {
        try optional { (reader) throws(CodingError) in try reader.expiry() }
    }

    private mutating func payment() throws(CodingError) -> Payment {
        let payment = Payment(
            price: try optional { (reader) throws(CodingError) in try reader.integer() },
            currency: try optionalString(), externalID: try optionalString())
        guard payment.price.map({ (0...Millicredits.limit).contains($0) }) ?? true, payment.externalID != "" else {
            throw .invalid(field: "payment")
        }
        return payment
    }

    private mutating func topUp() throws(CodingError) -> TopUp {
        let credits: TopUp.Credits
        switch try integer(UInt8.self) {
        case 0: credits = .amount(try positiveAmount())
        case 1:
            guard let key = PackageKey(try string()) else { throw .invalid(field: "package key") }
            credits = .package(key)
        default: throw .invalid(field: "top-up")
        }
        return TopUp(
            credits: credits, payment: try payment(), fingerprint: try bits128(), priority: try priority(),
            expiry: try optionalExpiry(), featureKeys: try featureKeys(), reason: try optionalString(),
            metadata: try metadata())
    }

    private mutating func refund() throws(CodingError) -> Refund {
        let account = AccountID(try integer())
        let charge: Int64 = try integer()
        let extent: Refund.Extent
        switch try integer(UInt8.self) {
        case 0: extent = .rest
        case 1:
            let units: Int64 = try integer()
            guard units > 0 else { throw .invalid(field: "number of units") }
            extent = .units(units)
        case 2: extent = .credits(try positiveAmount())
        default: throw .invalid(field: "extent of a refund")
        }
        return Refund(
            account: account, charge: charge, extent: extent, compensationExpiry: try optionalExpiry(),
            reason: try optionalString(), metadata: try metadata())
    }

    private mutating func timeToLive() throws(CodingError) -> Int64 {
        let seconds: Int64 = try integer()
        guard Reservation.ttlSeconds.contains(seconds) else { throw .invalid(field: "time to live") }
        return seconds
    }

    private mutating func reservationAction() throws(CodingError) -> ReservationAction {
        switch try integer(UInt8.self) {
        case 0:
            let actual = try demand()
            let shortfall: Shortfall? = try optional { (reader) throws(CodingError) in
                guard let shortfall = Shortfall(rawValue: try reader.string()) else {
                    throw .invalid(field: "shortfall")
                }
                return shortfall
            }
            return .commit(actual, shortfall: shortfall)
        case 1: return .release
        case 2: return .extend(ttlSeconds: try timeToLive())
        case 3: return .progress(try demand())
        default: throw .invalid(field: "action on a reservation")
        }
    }

    private mutating func windowLength() throws(CodingError) -> WindowLength {
        guard let window = WindowLength(text: try string()) else { throw .invalid(field: "window") }
        return window
    }

    private mutating func endUserChange() throws(CodingError) -> EndUserChange {
        EndUserChange(
            name: try fieldChange { (reader) throws(CodingError) in try reader.optionalString() },
            metadata: try fieldChange { (reader) throws(CodingError) in try reader.metadata() },
            overagePolicy: try fieldChange { (reader) throws(CodingError) in try reader.overagePolicy() },
            overageLimit: try fieldChange { (reader) throws(CodingError) in
                try reader.optional { (reader) throws(CodingError) in try reader.unsignedAmount() }
            },
            overrides: try fieldChange { (reader) throws(CodingError) in
                try reader.optional { (reader) throws(CodingError) in try reader.overrides() }
            },
            testClock: try optional { (reader) throws(CodingError) in PublicID(.testClock, try reader.bits128()) })
    }

    private mutating func overagePolicy() throws(CodingError) -> OveragePolicy? {
        guard let text = try optionalString() else { return nil }
        guard let policy = OveragePolicy(rawValue: text) else { throw .invalid(field: "overage policy") }
        return policy
    }

    private mutating func overrides() throws(CodingError) -> [FeatureKey: FeatureGrant] {
        var overrides: [FeatureKey: FeatureGrant] = [:]
        for _ in 0..<(try count()) {
            let key = try featureKey()
            guard let grant = try? FeatureGrant(json: try string()) else { throw .invalid(field: "override") }
            overrides[key] = grant
        }
        return overrides
    }
}
