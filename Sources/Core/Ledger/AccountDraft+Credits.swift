import Credits
import Metering

// Credits that come in by themselves or are taken back: grants, top-ups, adjustments, revocations.

extension AccountDraft {
    mutating func apply(_ grant: Grant, _ context: ActionContext) throws(Refusal) -> Outcome {
        let cause = EntryCause(
            idempotencyKey: context.idempotencyKey, reason: grant.reason, metadata: grant.metadata,
            details: EntryDetails(externalPaymentID: grant.payment?.externalID))
        let (granted, entry) = try receive(.grant, grant, cause: cause, field: "credits", context)
        return .granted(granted, entry, account.balances)
    }

    mutating func apply(_ topUp: TopUp, _ context: ActionContext) throws(Refusal) -> Outcome {
        let credits: Millicredits
        var payment = topUp.payment
        var priority = topUp.priority
        var expiry = topUp.expiry
        switch topUp.credits {
        case .amount(let amount): credits = amount
        case .package(let key):
            guard let package = context.catalogue.packages[key], !package.isArchived else { throw .unknownPackage(key) }
            credits = package.credits
            // A price is one of a currency: the package's pair, or what was said.
            if payment.price == nil, payment.currency == nil {
                (payment.price, payment.currency) = (package.price, package.currency)
            }
            priority = priority ?? package.priority
            expiry = expiry ?? package.expiresAfter.map { .after($0) }
        }
        return try apply(
            Grant(
                credits: credits, source: .topup, priority: priority, expiry: expiry ?? .never,
                featureKeys: topUp.featureKeys, payment: payment.isEmpty ? nil : payment, reason: topUp.reason,
                metadata: topUp.metadata), context)
    }

    mutating func apply(_ adjustment: Adjustment, _ context: ActionContext) throws(Refusal) -> Outcome {
        let cause = EntryCause(
            idempotencyKey: context.idempotencyKey, reason: adjustment.reason, metadata: adjustment.metadata)
        if adjustment.amount > .zero {
            let grant = Grant(
                credits: adjustment.amount, source: .adjustment, reason: adjustment.reason,
                metadata: adjustment.metadata)
            let (granted, entry) = try receive(.adjust, grant, cause: cause, field: "amount", context)
            return .adjusted(granted, entry, account.balances)
        }
        let taken = -adjustment.amount.rawValue
        let (allocations, missing) = account.burn(taken) { _ in true }
        guard missing == 0 else {
            throw .insufficientCredits(
                effectiveBalance: account.balances.effective, spendable: taken - missing, required: taken)
        }
        let entry = post(
            Posting(
                .adjust, amount: -taken, allocations: allocations, cause: cause, effectiveAt: context.now),
            now: context.now)
        exist(now: context.now)
        change()
        return .adjusted(nil, entry, account.balances)
    }

    /// Makes a block of a grant, with the entry that says so, and lets it pay what is owed.
    private mutating func receive(
        _ type: EntryType, _ grant: Grant, cause: EntryCause, field: String, _ context: ActionContext
    ) throws(Refusal) -> (GrantedBlock, Entry) {
        let now = context.now
        let expiresAt = grant.expiry.instant(from: now)
        if let expiresAt, expiresAt <= now { throw .expiresInThePast(expiresAt, now: now) }
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
        exist(now: now)
        change()
        return (granted, entry)
    }

    /// A block among the open ones, still without its credits; the value returned shows it with them.
    mutating func newBlock(
        _ credits: Millicredits, source: BlockSource, priority: Int16, expiresAt: Instant?, featureKeys: [FeatureKey],
        payment: Payment? = nil, reason: String?, metadata: Metadata?, now: Instant
    ) -> GrantedBlock {
        func granted(remaining: Millicredits) -> GrantedBlock {
            GrantedBlock(
                block: Block(
                    number: account.blockCount + 1, original: credits, remaining: remaining, held: .zero,
                    priority: priority, expiresAt: expiresAt, isPaid: (payment?.price ?? 0) > 0,
                    featureKeys: featureKeys),
                source: source, payment: payment, reason: reason, metadata: metadata, createdAt: now)
        }
        let shown = granted(remaining: credits)
        open(granted(remaining: .zero))
        return shown
    }

    /// Pays overage with what has just come in, as far as it is unrestricted.
    mutating func settle(from numbers: [Int32], now: Instant) {
        guard account.overage > .zero else { return }
        let (allocations, rest) = account.burn(account.overage.rawValue) { block in
            numbers.contains(block.number) && block.featureKeys.isEmpty
        }
        let paid = account.overage.rawValue - rest
        guard paid > 0 else { return }
        post(Posting(.settle, overageDelta: -paid, allocations: allocations, effectiveAt: now), now: now)
    }

    mutating func apply(_ revocation: Revocation, _ context: ActionContext) throws(Refusal) -> Outcome {
        guard let block = block(revocation.block), let granted = recorded(revocation.block) else {
            throw .unknownBlock(revocation.block)
        }
        guard block.revokedAt == nil else { return .revoked(granted, nil, account.balances) }
        let taken = block.available
        change(revocation.block) { $0.revokedAt = context.now }
        var entry: Entry?
        if taken > 0 {
            entry = post(
                Posting(
                    .revoke, amount: -taken, allocations: [Allocation(block: block.number, amount: -taken)],
                    cause: EntryCause(
                        idempotencyKey: context.idempotencyKey, reason: revocation.reason,
                        metadata: revocation.metadata), effectiveAt: context.now), now: context.now)
        }
        change()
        return .revoked(recorded(revocation.block) ?? granted, entry, account.balances)
    }

    /// A block with what was recorded about it, in its present state.
    func recorded(_ number: Int32) -> GrantedBlock? {
        guard let granted = grantedBlocks.first(where: { $0.block.number == number }) ?? history.blocks[number],
            let block = block(number)
        else { return nil }
        return GrantedBlock(
            block: block, source: granted.source, payment: granted.payment, reason: granted.reason,
            metadata: granted.metadata, createdAt: granted.createdAt)
    }
}

extension Grant.Expiry {
    /// The instant of the expiry of what is granted now; nil for never.
    func instant(from now: Instant) -> Instant? {
        switch self {
        case .never: nil
        case .at(let instant): instant
        case .after(let duration): now.adding(duration)
        }
    }
}
