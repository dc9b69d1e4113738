package import Catalogue
package import Credits
import JSON

/// The data of an event that an entry causes: credits came in or went out, or overage was settled.
package struct EntryEvent: Hashable, Sendable {
    /// The sequence of the entry.
    package let entry: Int64
    package let entryType: EntryType
    /// The credits that the entry moved, in millicredits; never negative.
    package let credits: Int64
    /// The number of the block; nil if the entry changed several or none.
    package let block: Int32?
    /// The balances after the entry, in millicredits.
    package let balance: Int64
    package let reserved: Int64
    package let overage: Int64
    package let details: Details

    /// The figures that only some of the types tell.
    package enum Details: Hashable, Sendable {
        /// - Parameters:
        ///   - source: Nil in a forecast, which does not load what the grant recorded.
        ///   - expiresAt: Of the block; nil for one that never expires and for several.
        ///   - subscription: The number of the subscription that gave the credits.
        case granted(source: BlockSource?, expiresAt: Instant?, subscription: Int32?, reason: String?)
        /// - Parameter units: Nil for a commit in credits.
        case used(feature: FeatureKey?, units: Int64?, reservation: Int32?)
        case expired
        /// - Parameters:
        ///   - charge: The sequence of the entry that was refunded.
        ///   - forfeited: The credits that were lost, because their block was revoked.
        case refunded(charge: Int64?, feature: FeatureKey?, reservation: Int32?, forfeited: Int64, reason: String?)
        case revoked(reason: String?)
        case settled
    }

    package init(
        entry: Int64, entryType: EntryType, credits: Int64, block: Int32?, balance: Int64, reserved: Int64,
        overage: Int64, details: Details
    ) {
        self.entry = entry
        self.entryType = entryType
        self.credits = credits
        self.block = block
        self.balance = balance
        self.reserved = reserved
        self.overage = overage
        self.details = details
    }

    package var type: EventType {
        switch details {
        case .granted: .creditsGranted
        case .used: .creditsUsed
        case .expired: .creditsExpired
        case .refunded: .creditsRefunded
        case .revoked: .creditsRevoked
        case .settled: .overageSettled
        }
    }
}

extension Posting {
    /// The type of event that the entry causes; nil if it causes none.
    private var eventType: EventType? {
        switch type {
        case .grant, .rollover: .creditsGranted
        case .adjust, .transfer: amount > 0 ? .creditsGranted : nil
        case .use, .commit: .creditsUsed
        case .expire: .creditsExpired
        case .refund: .creditsRefunded
        case .revoke: .creditsRevoked
        case .settle: .overageSettled
        case .reserve, .release: nil
        }
    }

    /// The event that the entry causes, if it is recorded.
    ///
    /// - Parameter account: The account after the entry.
    func event(_ account: Account, _ recorder: some EffectRecorder) -> EventContent? {
        guard recorder.recorded.intersects(.ofEntries), let eventType, recorder.recorded.contains(eventType) else {
            return nil
        }
        let block = allocations.count == 1 ? allocations[0].block : nil
        var credits = abs(amount)
        let details: EntryEvent.Details
        switch eventType {
        case .creditsGranted:
            details = .granted(
                source: allocations.first.flatMap { recorder.source(ofBlock: $0.block) },
                expiresAt: block.flatMap { account.blocks.block($0)?.expiresAt },
                subscription: cause.details.subscription?.subscription, reason: cause.reason)
        case .creditsUsed:
            let units = cause.units ?? cause.details.quantities.values.reduce(nil) { ($0 ?? 0).addingSaturated($1) }
            details = .used(feature: cause.featureKey, units: units, reservation: cause.reservation)
        case .creditsExpired: details = .expired
        case .creditsRefunded:
            details = .refunded(
                charge: cause.refunds, feature: cause.featureKey, reservation: cause.reservation,
                forfeited: cause.details.forfeited, reason: cause.reason)
        case .creditsRevoked: details = .revoked(reason: cause.reason)
        default:
            details = .settled
            credits = -overageDelta
        }
        return .entry(
            EntryEvent(
                entry: account.version, entryType: type, credits: credits, block: block,
                balance: account.balance.rawValue, reserved: account.reserved.rawValue,
                overage: account.overage.rawValue, details: details))
    }
}

extension EventTypes {
    /// The types that entries cause.
    fileprivate static let ofEntries = EventTypes([
        .creditsGranted, .creditsUsed, .creditsExpired, .creditsRefunded, .creditsRevoked, .overageSettled,
    ])
}

extension EntryEvent {
    func data(of account: AccountID) -> JSONValue {
        func id(_ kind: PublicIDKind, _ number: (some BinaryInteger)?) -> JSONValue {
            .optional(number.map { PublicID(kind, account: account, number: Int64($0)).description })
        }
        var members: [(key: String, value: JSONValue)] = [
            ("entry_id", id(.entry, entry)), ("entry_type", .string(entryType.rawValue)),
            ("credits", .integer(credits)), ("block_id", id(.block, block)),
        ]
        switch details {
        case .granted(let source, let expiresAt, let subscription, let reason):
            members += [
                ("source", .optional(source?.rawValue)), ("expires_at", .optional(expiresAt?.description)),
                ("subscription_id", id(.subscription, subscription)), ("reason", .optional(reason)),
            ]
        case .used(let feature, let units, let reservation):
            members += [
                ("feature_key", .optional(feature?.rawValue)), ("units", .optional(units)),
                ("reservation_id", id(.reservation, reservation)),
            ]
        case .expired, .settled: break
        case .refunded(let charge, let feature, let reservation, let forfeited, let reason):
            members += [
                ("refunded_entry_id", id(.entry, charge)), ("feature_key", .optional(feature?.rawValue)),
                ("reservation_id", id(.reservation, reservation)), ("forfeited", .integer(forfeited)),
                ("reason", .optional(reason)),
            ]
        case .revoked(let reason): members.append(("reason", .optional(reason)))
        }
        members += [
            ("balance", .integer(balance)), ("reserved_balance", .integer(reserved)), ("overage", .integer(overage)),
        ]
        return .object(JSONObject(members: members))
    }
}
