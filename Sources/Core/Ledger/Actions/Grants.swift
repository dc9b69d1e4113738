import Catalogue
package import Credits

/// Credits to grant as one block.
package struct Grant: Hashable, Sendable {
    /// Above zero.
    package var credits: Millicredits
    package var source: BlockSource
    /// Nil means the source's default.
    package var priority: Int16?
    /// The instant at which the credits land; nil, or an instant that is not after now, means now.
    package var startsAt: Instant?
    /// A duration counts from `startsAt`.
    package var expiry: Expiry
    /// Empty means all features.
    package var featureKeys: [FeatureKey]
    package var payment: Payment?
    package var reason: String?
    package var metadata: Metadata?

    package enum Expiry: Hashable, Sendable {
        case never
        case at(Instant)
        case after(CalendarDuration)
    }

    package init(
        credits: Millicredits, source: BlockSource = .promotional, priority: Int16? = nil, startsAt: Instant? = nil,
        expiry: Expiry = .never, featureKeys: [FeatureKey] = [], payment: Payment? = nil, reason: String? = nil,
        metadata: Metadata? = nil
    ) {
        self.credits = credits
        self.source = source
        self.priority = priority
        self.startsAt = startsAt
        self.expiry = expiry
        self.featureKeys = featureKeys
        self.payment = payment
        self.reason = reason
        self.metadata = metadata
    }
}

extension AccountDraft {
    mutating func apply(_ grant: Grant, _ context: ActionContext) throws(Refusal) -> Outcome {
        let granted = try newBlock(of: grant, field: "credits", context)
        guard !granted.block.isScheduled else { return .granted(granted, nil, account.balances) }
        let entry = fill(granted, by: .grant, cause: granted.cause(idempotencyKey: context.idempotencyKey), context)
        return .granted(granted, entry, account.balances)
    }

    /// Makes the block of a grant, without its credits. Refuses a grant that the account cannot take now or when it
    /// starts.
    ///
    /// - Parameter field: The field of the request that states the credits.
    mutating func newBlock(
        of grant: Grant, field: String, _ context: ActionContext
    ) throws(Refusal) -> GrantedBlock {
        let now = context.now
        let expiresAt = try grant.expiry.instant(
            from: grant.startsAt, now: now, in: context.catalogue.config.zone)
        for feature in grant.featureKeys where context.catalogue.activeFeature(feature) == nil {
            throw .unknownFeature(feature)
        }
        guard openBlocks < Block.maximumOpen, recorder.book.blockCount < Block.maximumCount else {
            throw .tooMany(.blocks)
        }
        guard grant.credits.rawValue <= account.roomForGrants else { throw .amountOutOfRange(field: field) }
        return newBlock(
            grant.credits, source: grant.source, priority: grant.priority ?? grant.source.defaultPriority,
            startsAt: grant.startsAt, expiresAt: expiresAt, featureKeys: grant.featureKeys, payment: grant.payment,
            reason: grant.reason, metadata: grant.metadata, now: now)
    }

    /// Brings the credits of a new block in by an entry, and pays outstanding overage from them.
    mutating func fill(
        _ granted: GrantedBlock, by type: EntryType, cause: EntryCause, _ context: ActionContext
    ) -> Entry {
        let credits = granted.block.original.rawValue
        account.lifetimeGranted = account.lifetimeGranted.changed(by: credits)
        let entry = post(
            Posting(
                type, amount: credits, allocations: [Allocation(block: granted.block.number, amount: credits)],
                cause: cause, effectiveAt: context.now), now: context.now)
        settle(from: [granted.block.number], now: context.now)
        return entry
    }

    /// Opens a block without credits, which the caller's entry brings. The returned block shows it with its credits.
    ///
    /// - Parameter startsAt: After `now` for a block that is scheduled. It is returned without credits, and its entry
    ///   follows when they land.
    mutating func newBlock(
        _ credits: Millicredits, source: BlockSource, priority: Int16, startsAt: Instant? = nil, expiresAt: Instant?,
        featureKeys: [FeatureKey], payment: Payment? = nil, reason: String?, metadata: Metadata?, now: Instant
    ) -> GrantedBlock {
        let since = max(startsAt ?? now, now)
        var block = Block(
            number: recorder.book.blockCount + 1, original: credits, remaining: credits, held: .zero,
            priority: priority, expiresAt: expiresAt, isPaid: (payment?.price ?? 0) > 0,
            featureSet: FeatureSet(featureKeys), since: since, startsLater: since > now, isScheduled: since > now)
        let shown = GrantedBlock(
            block: block, source: source, payment: payment, reason: reason, metadata: metadata, createdAt: now,
            startsAt: startsAt)
        block.remaining = .zero
        account.open(shown.with(block), into: &recorder)
        return block.isScheduled ? shown.with(block) : shown
    }

    /// Pays overage from the given blocks, which have just received credits. Only unrestricted blocks pay.
    mutating func settle(from numbers: [Int32], now: Instant) {
        account.settle(from: numbers, at: now, now: now, into: &recorder)
    }
}

extension Grant.Expiry {
    /// The expiry of credits granted now, which must be in the future; nil if they never expire.
    ///
    /// - Parameter start: The start that the grant states, which may be before or after now; nil if it states none. The
    ///   credits expire after it.
    func instant(from start: Instant? = nil, now: Instant, in zone: ZoneRules) throws(Refusal) -> Instant? {
        if let start, start > .latest { throw .startsTooLate(now: now) }
        let instant: Instant
        switch self {
        case .never: return nil
        case .at(let stated): instant = stated
        case .after(let duration):
            instant = zone.adding(duration, to: start ?? now)
            if instant <= now { throw .endsInThePast(instant, now: now) }
        }
        if instant <= now { throw .expiresInThePast(instant, now: now) }
        if let start, instant <= start { throw .expiresBeforeStart(instant, start: start) }
        if instant > .latest { throw .expiresTooLate(now: now) }
        return instant
    }
}
