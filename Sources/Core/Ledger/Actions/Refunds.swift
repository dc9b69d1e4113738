import Catalogue
package import Credits
import Metering

/// A request to give back credits of a use or a commit.
package struct Refund: Hashable, Sendable {
    package enum Extent: Hashable, Sendable {
        /// Everything that is left of the charge.
        case rest
        /// Above zero.
        case units(Int64)
        /// Above zero.
        case credits(Millicredits)
    }

    /// The account in the charge's id. A charge of another end user is treated as unknown.
    package var account: AccountID
    /// The sequence of the charge's entry.
    package var charge: Int64
    package var extent: Extent
    /// The expiry of compensation blocks; nil means 30 local days from now.
    package var compensationExpiry: Grant.Expiry?
    package var reason: String?
    package var metadata: Metadata?

    package static let compensationDays: Int64 = 30

    package init(
        account: AccountID, charge: Int64, extent: Extent = .rest, compensationExpiry: Grant.Expiry? = nil,
        reason: String? = nil, metadata: Metadata? = nil
    ) {
        self.account = account
        self.charge = charge
        self.extent = extent
        self.compensationExpiry = compensationExpiry
        self.reason = reason
        self.metadata = metadata
    }
}

extension AccountDraft {
    /// Reverses a charge in this order: its outstanding overage, then the parts that blocks paid, beginning with the
    /// last block, then its overage that was settled since.
    mutating func apply(_ refund: Refund, _ context: ActionContext) throws(Refusal) -> Outcome {
        let now = context.now
        let compensationExpiry = refund.compensationExpiry ?? .at(context.compensationExpiry)
        let expiresAt = try compensationExpiry.instant(now: now, in: context.catalogue.config.zone)
        let known = known()
        guard refund.account == account.id, let named = known.first(where: { $0.sequence == refund.charge }),
            named.type == .use || named.type == .commit
        else { throw .unknownCharge(refund.charge) }
        let charges = ChargeState.all(of: named, among: known)
        let refundable = charges.reduce(0) { $0 + $1.refundable }
        let amount = try refund.extent.amount(of: charges, refundable: refundable)
        guard amount <= account.roomInBlocks else {
            throw .amountOutOfRange(field: refund.extent.field)
        }

        guard openBlocks + compensations(for: amount, of: charges, at: now) <= Block.maximumOpen else {
            throw .tooMany(.blocks)
        }
        let cause = EntryCause(
            units: refund.extent.units, idempotencyKey: context.idempotencyKey, reason: refund.reason,
            metadata: refund.metadata)
        return .refunded(
            giveBack(amount, of: charges, compensationExpiry: expiresAt, cause: cause, now: now), account.balances)
    }

    /// Gives back a part of what a reservation was charged for a feature, because the price of its total is below that.
    ///
    /// A part that a refund has given back before is not given back again. The charges then sum up to more than the price of
    /// the total.
    ///
    /// - Parameters:
    ///   - reservation: The reservation as it was before, whose charges were loaded. Without them the credits would be lost,
    ///     so their sum is checked.
    ///   - part: The part of the feature, as it was before.
    /// - Returns: The credits given back.
    mutating func settle(
        _ reservation: Reservation, _ part: JobPart, givingBack amount: Int64, _ context: ActionContext
    ) -> Int64 {
        let known = known()
        // The report that lowers the price has just got its entry.
        let last = known.last { $0.type == .commit && $0.cause.reservation == reservation.number }
        let charges = last.map { ChargeState.all(of: $0, among: known) } ?? []
        precondition(
            charges.reduce(0) { $0 + $1.cost } >= part.charged.rawValue,
            "the charges of a reservation must be loaded before a part is given back")
        let left = min(amount, charges.reduce(0) { $0 + $1.refundable })
        guard left > 0 else { return 0 }
        return giveBack(
            left, of: charges,
            compensationExpiry: context.compensationExpiry,
            cause: EntryCause(
                idempotencyKey: context.idempotencyKey, details: EntryDetails(isSettlement: true)),
            now: context.now
        ).refunded
    }

    /// Reverses a part of some charges.
    ///
    /// - Parameters:
    ///   - charges: The charges in their order, which were all loaded with the blocks that they took from.
    ///   - template: The members of the cause that do not follow from the charge. The units are those of the first entry.
    private mutating func giveBack(
        _ amount: Int64, of charges: [ChargeState], compensationExpiry expiresAt: Instant?, cause template: EntryCause,
        now: Instant
    ) -> RefundResult {
        let charges = charges.refunding(amount)
        let compensation = compensate(charges, expiresAt: expiresAt, reason: template.reason, now: now)

        var entries: [Entry] = []
        for charge in charges.reversed() where charge.refunded > 0 || charge.standsForAll(of: charges) {
            var cause = template
            if !entries.isEmpty { cause.units = nil }
            cause.featureKey = charge.entry.cause.featureKey
            cause.ruleID = charge.entry.cause.ruleID
            cause.reservation = charge.entry.cause.reservation
            cause.refunds = charge.entry.sequence
            // The give-back is a part of the job's usage, by the attributes of the charge.
            if cause.details.isSettlement { cause.details.attributes = charge.entry.cause.details.attributes }
            var shares: [Allocation] = []
            for portion in charge.portions {
                switch destination(of: portion, at: now) {
                case .block(let number): shares.append(Allocation(block: number, amount: portion.amount))
                case .compensation(let features):
                    guard let block = compensation[Set(features)] else { continue }
                    shares.append(Allocation(block: block.block.number, amount: portion.amount))
                case .nowhere: cause.details.forfeited += portion.amount
                }
            }
            let allocations = shares.merged
            entries.append(
                post(
                    Posting(
                        .refund, amount: allocations.total + charge.overageRefunded,
                        overageDelta: -charge.overageRefunded, allocations: allocations, cause: cause,
                        effectiveAt: now), now: now))
        }
        let blocks = compensation.values.sorted { $0.block.number < $1.block.number }
        settle(from: blocks.map(\.block.number), now: now)
        return RefundResult(
            entries: entries, refunded: amount, overageReduced: charges.reduce(0) { $0 + $1.overageRefunded },
            forfeited: entries.reduce(0) { $0 + $1.cause.details.forfeited }, compensation: blocks)
    }

    /// The number of blocks that a refund would open.
    private func compensations(for amount: Int64, of charges: [ChargeState], at now: Instant) -> Int {
        let sets = charges.refunding(amount).flatMap(\.portions).compactMap { portion -> Set<FeatureKey>? in
            guard case .compensation(let features) = destination(of: portion, at: now) else { return nil }
            return Set(features)
        }
        return Set(sets).count
    }

    /// Every entry that was loaded or made in the batch, without duplicates, in order.
    private func known() -> [Entry] {
        let first = entries.first?.sequence ?? .max
        return history.entries.filter { $0.sequence < first }.sorted { $0.sequence < $1.sequence } + entries
    }

    /// The destination of a part of a refund.
    private enum Destination {
        case block(Int32)
        /// A new block with the feature restriction of the original block.
        case compensation([FeatureKey])
        case nowhere
    }

    private func destination(of portion: ChargeState.Portion, at now: Instant) -> Destination {
        guard let number = portion.block else { return .compensation([]) }
        guard let block = block(number) else { preconditionFailure("the caller must load the blocks of a charge") }
        if block.revokedAt != nil { return .nowhere }
        guard account.hasExpired(block, at: now) else { return .block(number) }
        return .compensation(block.featureKeys)
    }

    /// Makes the compensation blocks of a refund: one for each feature restriction, the unrestricted block first.
    private mutating func compensate(
        _ charges: [ChargeState], expiresAt: Instant?, reason: String?, now: Instant
    ) -> [Set<FeatureKey>: GrantedBlock] {
        var order: [[FeatureKey]] = []
        var sums: [Set<FeatureKey>: Int64] = [:]
        for portion in charges.reversed().flatMap(\.portions) {
            guard case .compensation(let features) = destination(of: portion, at: now) else { continue }
            if sums[Set(features)] == nil { order.append(features) }
            sums[Set(features), default: 0] += portion.amount
        }
        var blocks: [Set<FeatureKey>: GrantedBlock] = [:]
        for features in order.filter(\.isEmpty) + order.filter({ !$0.isEmpty }) {
            blocks[Set(features)] = newBlock(
                Millicredits.zero.changed(by: sums[Set(features)] ?? 0), source: .compensation,
                priority: BlockSource.compensation.defaultPriority, expiresAt: expiresAt, featureKeys: features,
                reason: reason, metadata: nil, now: now)
        }
        return blocks
    }
}

extension Refund.Extent {
    fileprivate var field: String {
        if case .units = self { "units" } else { "credits" }
    }

    fileprivate var units: Int64? {
        if case .units(let units) = self { units } else { nil }
    }

    /// The millicredits to give back; throws if they exceed what is left of the charges.
    fileprivate func amount(of charges: [ChargeState], refundable: Int64) throws(Refusal) -> Int64 {
        guard refundable > 0 else { throw .alreadyRefunded(refundable: 0) }
        switch self {
        case .rest: return refundable
        case .credits(let credits):
            guard credits.rawValue <= refundable else { throw .alreadyRefunded(refundable: refundable) }
            return credits.rawValue
        case .units(let units):
            let all = charges.last?.units ?? 0
            let before = charges.reduce(0) { $0 + $1.unitsRefunded }
            guard units <= all - before else { throw .alreadyRefunded(refundable: refundable) }
            // The last units take the rest, so that partial refunds of all units add up to all credits.
            if before + units == all { return refundable }
            let taken = charges.reduce(Int128(0)) { $0 + Int128($1.cost) }
            let share = taken * Int128(before + units) / Int128(all) - taken * Int128(before) / Int128(all)
            guard share <= Int128(refundable) else { throw .alreadyRefunded(refundable: refundable) }
            return Int64(share)
        }
    }
}

/// A charge, the part that was already reversed, and the part that the current refund reverses.
private struct ChargeState {
    /// Credits from one source to give back. The block is nil for overage that was settled since.
    struct Portion {
        let block: Int32?
        let amount: Int64
    }

    let entry: Entry
    let unitsRefunded: Int64
    private var outstanding: Int64
    private var blockPortions: [Portion]
    private var settled: Int64
    private(set) var overageRefunded: Int64 = 0
    private(set) var portions: [Portion] = []

    /// The credits that the charge cost: those that it took, less what its reservation got back as a part of the price.
    var cost: Int64 { -entry.amount - settlement }
    private let settlement: Int64
    /// All units of the charge. For a commit of a reservation, all units up to that commit.
    var units: Int64 {
        entry.cause.units ?? Measure.quantities(entry.cause.details.quantities).total
    }
    /// The part of the charge that can still be reversed.
    let refundable: Int64
    /// The part that the current refund reverses.
    var refunded: Int64 { overageRefunded + portions.reduce(0) { $0 + $1.amount } }

    func standsForAll(of charges: [ChargeState]) -> Bool {
        charges.allSatisfy { $0.refunded == 0 } && charges.last?.entry.sequence == entry.sequence
    }

    /// The charges that a refund of `named` covers: the use alone, or every commit of the reservation for the feature.
    static func all(of named: Entry, among known: [Entry]) -> [ChargeState] {
        let settling = known.filter { $0.overageDelta < 0 || $0.cause.refunds != nil }
        guard named.type == .commit, let reservation = named.cause.reservation else {
            return [ChargeState(named, before: settling)]
        }
        return known.filter { entry in
            entry.type == .commit && entry.cause.reservation == reservation
                && entry.cause.featureKey == named.cause.featureKey
        }.map { ChargeState($0, before: settling) }
    }

    /// - Parameter settling: The entries that reduce overage or refund a charge, of which the later ones count.
    private init(_ charge: Entry, before settling: [Entry]) {
        entry = charge
        // Debts are paid oldest first, so overage from before the charge is settled first. A refund reduces only the
        // overage of its own charge.
        var before = charge.overageAfter - charge.overageDelta
        var outstanding = charge.overageDelta
        var overageBack: Int64 = 0
        var back: Int64 = 0
        var settlement: Int64 = 0
        var unitsRefunded: Int64 = 0
        for later in settling where later.sequence > charge.sequence {
            let paid = -later.overageDelta
            if let refunds = later.cause.refunds {
                if refunds == charge.sequence {
                    let amount = later.amount + later.cause.details.forfeited
                    back += amount
                    if later.cause.details.isSettlement { settlement += amount }
                    unitsRefunded += later.cause.units ?? 0
                    outstanding -= paid
                    overageBack += paid
                } else if refunds < charge.sequence {
                    before -= paid
                }
            } else if paid > 0 {
                let older = min(before, paid)
                before -= older
                outstanding -= min(outstanding, paid - older)
            }
        }
        self.unitsRefunded = unitsRefunded
        self.settlement = settlement
        self.outstanding = outstanding
        refundable = -charge.amount - back
        // Earlier refunds went back to blocks after the overage, beginning with the last block.
        var skipped = back - overageBack
        blockPortions = []
        for allocation in charge.allocations.reversed() {
            let gone = min(skipped, -allocation.amount)
            skipped -= gone
            if -allocation.amount > gone {
                blockPortions.append(Portion(block: allocation.block, amount: -allocation.amount - gone))
            }
        }
        settled = charge.overageDelta - overageBack - outstanding - skipped
    }

    mutating func refundOverage(_ rest: inout Int64) {
        overageRefunded = min(rest, outstanding)
        rest -= overageRefunded
    }

    mutating func refundBlocks(_ rest: inout Int64) {
        for portion in blockPortions where rest > 0 {
            let share = min(rest, portion.amount)
            portions.append(Portion(block: portion.block, amount: share))
            rest -= share
        }
    }

    mutating func refundSettled(_ rest: inout Int64) {
        let share = min(rest, settled)
        guard share > 0 else { return }
        portions.append(Portion(block: nil, amount: share))
        rest -= share
    }
}

extension [ChargeState] {
    /// The charges with the parts of them that a refund reverses: outstanding overage first, then the parts that blocks paid,
    /// then overage that was settled, each beginning with the last charge.
    fileprivate func refunding(_ amount: Int64) -> [ChargeState] {
        var charges = self
        var rest = amount
        for index in charges.indices.reversed() { charges[index].refundOverage(&rest) }
        for index in charges.indices.reversed() { charges[index].refundBlocks(&rest) }
        for index in charges.indices.reversed() { charges[index].refundSettled(&rest) }
        return charges
    }
}

extension [Allocation] {
    /// The sum of the shares of each block, in the order in which the blocks first appear.
    fileprivate var merged: [Allocation] {
        var places: [Int32: Int] = [:]
        var sums: [Allocation] = []
        for share in self {
            if let place = places[share.block] {
                sums[place] = Allocation(block: share.block, amount: sums[place].amount + share.amount)
            } else {
                places[share.block] = sums.count
                sums.append(share)
            }
        }
        return sums
    }
}

extension ActionContext {
    /// The expiry of a compensation block whose refund states none.
    fileprivate var compensationExpiry: Instant {
        min(.latest, catalogue.config.zone.adding(months: 0, days: Refund.compensationDays, to: now))
    }
}
