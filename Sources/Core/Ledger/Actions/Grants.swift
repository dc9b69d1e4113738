import Catalogue
package import Credits

/// Credits to grant as one block.
package struct Grant: Hashable, Sendable {
    /// Above zero.
    package var credits: Millicredits
    package var source: BlockSource
    /// Nil means the source's default.
    package var priority: Int16?
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
        credits: Millicredits, source: BlockSource = .promotional, priority: Int16? = nil, expiry: Expiry = .never,
        featureKeys: [FeatureKey] = [], payment: Payment? = nil, reason: String? = nil, metadata: Metadata? = nil
    ) {
        self.credits = credits
        self.source = source
        self.priority = priority
        self.expiry = expiry
        self.featureKeys = featureKeys
        self.payment = payment
        self.reason = reason
        self.metadata = metadata
    }
}

extension AccountDraft {
    mutating func apply(_ grant: Grant, _ context: ActionContext) throws(Refusal) -> Outcome {
        let cause = EntryCause(
            idempotencyKey: context.idempotencyKey, reason: grant.reason, metadata: grant.metadata,
            details: EntryDetails(externalPaymentID: grant.payment?.externalID))
        let (granted, entry) = try receive(.grant, grant, cause: cause, field: "credits", context)
        return .granted(granted, entry, account.balances)
    }

    /// Makes the block of a grant with its entry, and pays outstanding overage from it.
    mutating func receive(
        _ type: EntryType, _ grant: Grant, cause: EntryCause, field: String, _ context: ActionContext
    ) throws(Refusal) -> (GrantedBlock, Entry) {
        let now = context.now
        let expiresAt = try grant.expiry.instant(from: now)
        for feature in grant.featureKeys where context.catalogue.activeFeature(feature) == nil {
            throw .unknownFeature(feature)
        }
        guard account.blocks.count < Block.maximumOpen else { throw .tooMany(.blocks) }
        guard (try? account.balance + grant.credits) != nil,
            let lifetime = try? account.lifetimeGranted + grant.credits
        else { throw .amountOutOfRange(field: field) }
        let granted = newBlock(
            grant.credits, source: grant.source, priority: grant.priority ?? grant.source.defaultPriority,
            expiresAt: expiresAt, featureKeys: grant.featureKeys, payment: grant.payment, reason: grant.reason,
            metadata: grant.metadata, now: now)
        account.lifetimeGranted = lifetime
        let amount = grant.credits.rawValue
        let entry = post(
            Posting(
                type, amount: amount, allocations: [Allocation(block: granted.block.number, amount: amount)],
                cause: cause, effectiveAt: now), now: now)
        settle(from: [granted.block.number], now: now)
        return (granted, entry)
    }

    /// Opens a block without credits, which the caller's entry brings. The returned block shows it with its credits.
    mutating func newBlock(
        _ credits: Millicredits, source: BlockSource, priority: Int16, expiresAt: Instant?, featureKeys: [FeatureKey],
        payment: Payment? = nil, reason: String?, metadata: Metadata?, now: Instant
    ) -> GrantedBlock {
        var block = Block(
            number: recorder.book.blockCount + 1, original: credits, remaining: credits, held: .zero,
            priority: priority, expiresAt: expiresAt, isPaid: (payment?.price ?? 0) > 0,
            featureSet: FeatureSet(featureKeys))
        let shown = GrantedBlock(
            block: block, source: source, payment: payment, reason: reason, metadata: metadata, createdAt: now)
        block.remaining = .zero
        account.open(shown.with(block), into: &recorder)
        return shown
    }

    /// Pays overage from the given blocks, which have just received credits. Only unrestricted blocks pay.
    mutating func settle(from numbers: [Int32], now: Instant) {
        guard account.overage > .zero else { return }
        let payers = Set(numbers)
        let (allocations, rest) = account.burn(account.overage.rawValue) { block in
            block.featureSet == nil && payers.contains(block.number)
        }
        let paid = account.overage.rawValue - rest
        guard paid > 0 else { return }
        post(Posting(.settle, overageDelta: -paid, allocations: allocations, effectiveAt: now), now: now)
    }
}

extension Grant.Expiry {
    /// The expiry of credits granted now, which must be in the future; nil if they never expire.
    func instant(from now: Instant) throws(Refusal) -> Instant? {
        let instant: Instant
        switch self {
        case .never: return nil
        case .at(let stated): instant = stated
        case .after(let duration): instant = now.adding(duration)
        }
        if instant <= now { throw .expiresInThePast(instant, now: now) }
        if instant > .latest { throw .expiresTooLate(now: now) }
        return instant
    }
}
