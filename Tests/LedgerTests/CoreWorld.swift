import Catalogue
import Credits
import Ledger
import LedgerModel
import Metering

/// The end users of one environment in the core, each with its stored state.
struct CoreWorld {
    /// One end user: the current batch, and everything that was written before it.
    struct Participant {
        private(set) var storedEntries: [Entry] = []
        private(set) var storedBlocks: [Int32: GrantedBlock] = [:]
        private(set) var storedReservations: [Int32: Reservation] = [:]
        private(set) var storedRequests: [Int32: TopUpRequest] = [:]
        private(set) var storedEvents: [Event] = []
        private(set) var storedSubscriptions: [Int32: Subscription] = [:]
        var draft: AccountDraft

        init(account: Account) {
            draft = AccountDraft(account: account, profile: nil)
        }

        var entries: [Entry] { storedEntries + draft.entries }

        /// Every block that ever existed, by number, in its present state.
        var blocks: [GrantedBlock] { blocksByNumber.values.sorted { $0.block.number < $1.block.number } }

        private var blocksByNumber: [Int32: GrantedBlock] {
            var blocks = storedBlocks
            for granted in draft.grantedBlocks {
                blocks[granted.block.number] = granted.with(draft.current(granted))
            }
            for block in draft.olderChangedBlocks { blocks[block.number] = blocks[block.number]?.with(block) }
            return blocks
        }

        /// Every reservation that ever existed, by number, in its present state.
        var reservations: [Reservation] { reservationsByNumber.values.sorted { $0.number < $1.number } }

        private var reservationsByNumber: [Int32: Reservation] {
            storedReservations.merging(draft.changedReservations) { $1 }
        }

        /// Removes the text of an erased end user from what is stored, as the ledger does afterwards.
        mutating func removeText(of owner: EntryOwner) {
            storedEntries = storedEntries.map { entry in entry.digest(of: owner).map(entry.erased) ?? entry }
        }

        /// Every request for a top-up that was ever made, by number, in its present state.
        var requests: [TopUpRequest] { requestsByNumber.values.sorted { $0.number < $1.number } }

        private var requestsByNumber: [Int32: TopUpRequest] {
            let changed = draft.newTopUpRequests + draft.olderChangedTopUpRequests
            return storedRequests.merging(changed.map { ($0.number, $0) }) { $1 }
        }

        var events: [Event] { storedEvents + draft.events }

        /// Every subscription that ever existed, by number, in its present state.
        var subscriptions: [Subscription] { subscriptionsByNumber.values.sorted { $0.number < $1.number } }

        private var subscriptionsByNumber: [Int32: Subscription] {
            let changed = draft.newSubscriptions + draft.olderChangedSubscriptions
            return storedSubscriptions.merging(changed.map { ($0.number, $0) }) { $1 }
        }

        /// Ends the batch: writes the draft, and reads the account back.
        mutating func commit() throws {
            storedRequests = requestsByNumber
            storedEvents += draft.events
            storedSubscriptions = subscriptionsByNumber
            storedReservations = reservationsByNumber
            storedBlocks = blocksByNumber
            storedEntries += draft.entries
            let account = draft.account
            defer { draft.history = history(for: .advance) }
            guard draft.isChanged else {
                draft = AccountDraft(account: account, book: draft.book, profile: draft.profile)
                return
            }
            let open = storedBlocks.values.map(\.block).filter { $0.remaining > .zero }
            let scheduled = storedBlocks.values.map(\.block).filter(\.isScheduled)
            let active = storedReservations.values.filter { $0.status == .active }
            let live = try storedSubscriptions.values.filter(\.isLive).map { try $0.readBack() }
            let read = Account(
                id: account.id, environmentID: account.environmentID, endUserID: account.endUserID,
                version: Int64(storedEntries.count), revision: account.revision,
                sums: AccountSums(
                    balance: account.balance, reserved: account.reserved, overage: account.overage,
                    lifetimeGranted: account.lifetimeGranted),
                advancedTo: account.advancedTo, blocks: BlockList(open),
                scheduled: ScheduledBlocks(scheduled), reservations: OrderedList(active),
                subscriptions: OrderedList(live),
                settings: try account.settings.storedJSON.map { try AccountSettings(storedJSON: $0) } ?? .none,
                counters: account.counters,
                exhausted: try account.exhausted.storedJSON.map { try [ExhaustedLimit](storedJSON: $0) } ?? [],
                autoTopUp: try account.autoTopUp.map { try AutoTopUp(storedJSON: $0.storedJSON) })
            let book = AccountBook(
                blockCount: Int32(storedBlocks.count), reservationCount: Int32(storedReservations.count),
                subscriptionCount: Int32(storedSubscriptions.count), eventCount: Int64(storedEvents.count),
                lastHash: storedEntries.last?.hash ?? .zero,
                salt: draft.book.salt)
            guard read == account, book == draft.book else {
                throw ScriptError("the account differs after it was written and read: \(read)")
            }
            draft = AccountDraft(account: read, book: book, profile: draft.profile)
        }

        /// The usage of before under the terms of a limit, as the ledger reads it.
        func usage(_ query: UsageQuery) -> [AttributeValue?: Int64] {
            var sums: [AttributeValue?: Int64] = [:]
            func add(_ feature: FeatureKey, _ attributes: Attributes, _ amount: Int64) {
                guard amount > 0, query.limit.covers(feature, attributes) else { return }
                let value = query.limit.per.flatMap { attributes.values[$0]?.text }.map { AttributeValue.string($0) }
                let (sum, overflow) = sums[value, default: 0].addingReportingOverflow(amount)
                sums[value] = overflow ? .max : sum
            }
            for entry in storedEntries where entry.type == .use && entry.recordedAt >= query.since {
                guard let feature = entry.cause.featureKey, let demand = entry.demand else { continue }
                let amount = query.limit.unit == .credits ? -entry.amount : demand.units(query.limit.dimension)
                add(feature, entry.cause.details.attributes, amount)
            }
            for reservation in storedReservations.values
            where reservation.createdAt >= query.since && reservation.status != .active {
                let last = storedEntries.last { $0.type == .commit && $0.cause.reservation == reservation.number }
                let commit = reservation.status == .committed ? last : nil
                let attributes = commit?.cause.details.attributes ?? reservation.estimate.attributes
                for part in reservation.parts {
                    let units = reservation.demands(of: part, commit).map { $0.units(query.limit.dimension) }
                    let amount = query.limit.unit == .credits ? part.charged.rawValue : units.max() ?? 0
                    add(part.featureKey, attributes, amount)
                }
            }
            return sums
        }

        /// The history before the batch that an action and the scheduled blocks need, and no more.
        func history(for action: AccountAction) -> AccountHistory {
            var history = historyNeeded(by: action)
            let needs = action.needs
            history.topUpRequests = storedRequests.filter { needs.topUpRequests.contains($0.key) }
            if needs.latestTopUpRequests {
                let latest = storedRequests.keys.sorted().suffix(Int(AutoTopUpCeiling.counts.upperBound))
                for number in latest { history.topUpRequests[number] = storedRequests[number] }
            }
            history.blocks.merge(storedBlocks.filter { $0.value.block.isScheduled }) { first, _ in first }
            return history
        }

        /// The history before the batch that giving back charges of a reservation needs.
        func history(ofReservation number: Int32) -> AccountHistory {
            var history = history(
                of: storedEntries.filter { $0.type == .commit && $0.cause.reservation == number })
            history.reservations = [number]
            return history
        }

        private func history(of charges: [Entry]) -> AccountHistory {
            let sequences = Set(charges.map(\.sequence))
            let first = sequences.min() ?? 0
            let later = storedEntries.filter { entry in
                entry.sequence > first && !sequences.contains(entry.sequence)
                    && (entry.overageDelta < 0 || entry.cause.refunds.map(sequences.contains) ?? false)
            }
            let blocks = Set(charges.flatMap { $0.allocations.map(\.block) })
            return AccountHistory(
                entries: later + charges, blocks: storedBlocks.filter { blocks.contains($0.key) })
        }

        private func historyNeeded(by action: AccountAction) -> AccountHistory {
            switch action {
            case .refund(let refund):
                guard let charge = storedEntries.first(where: { $0.sequence == refund.charge }) else {
                    return AccountHistory()
                }
                let charges = storedEntries.filter { entry in
                    entry.sequence == charge.sequence
                        || (charge.type == .commit && entry.type == .commit
                            && entry.cause.reservation == charge.cause.reservation
                            && entry.cause.featureKey == charge.cause.featureKey)
                }
                return history(of: charges)
            case .revoke(let revocation):
                return AccountHistory(blocks: storedBlocks.filter { $0.key == revocation.block })
            default: return AccountHistory()
            }
        }
    }

    var catalogue = Catalogue()
    private(set) var participants: [String: Participant] = [:]
    /// The number of end users that were erased.
    private(set) var erasures = 0

    /// Keeps an erased end user under another name. Its id belongs to a new end user from now on.
    mutating func moveErased(_ endUser: String, to name: String) throws {
        guard var participant = participants.removeValue(forKey: endUser), let erasure = participant.draft.erasure
        else {
            throw ScriptError("\(endUser) was not erased")
        }
        try participant.commit()
        participant.removeText(of: erasure.owner)
        participants[name] = participant
        erasures += 1
    }

    func participant(_ endUser: String) throws -> Participant {
        if let participant = participants[endUser] { return participant }
        let number = Int64(endUser.utf8.reduce(Int64(7 + erasures)) { ($0 &* 31 &+ Int64($1)) % 1_000_003 })
        return Participant(
            account: Account(
                id: AccountID(number), environmentID: EnvironmentID(1), endUserID: try Translation.endUser(endUser)))
    }

    /// The account as a check sees it.
    func advanced(_ endUser: String, _ clock: Instant) throws -> Account {
        let account = try participant(endUser).draft.account
        return account.advanced(
            to: account.currentInstant(clock: clock, catalogue: catalogue), in: catalogue)
    }

    mutating func commit(_ endUser: String) throws {
        try participants[endUser]?.commit()
    }

    /// Ends the batch if it contains the commit that the command refunds: a client knows the entry's id only after the
    /// batch is written, and the history is loaded before the batch begins.
    mutating func commit(before command: ModelCommand, of endUser: String) throws {
        switch command {
        case .setLimit, .createCap: try commit(endUser)
        default: break
        }
        guard case .refund(let charge, _, _) = command else { return }
        let isInBatch = participants[endUser]?.draft.entries.contains { $0.sequence == charge && $0.type == .commit }
        if isInBatch == true { try commit(endUser) }
    }

    mutating func apply(
        _ command: ModelCommand, to endUser: String, clock: Instant, key: String?
    ) throws -> Outcome {
        var participant = try participant(endUser)
        let action = try command.action(account: participant.draft.account.id)
        if case .transfer(let transfer) = action {
            let other = transfer.receiver.rawValue
            var receiver = try self.participant(other)
            let outcome = AccountDraft.transfer(
                transfer, from: &participant.draft, to: &receiver.draft, idempotencyKey: key, catalogue: catalogue,
                now: clock)
            participants[endUser] = participant
            participants[other] = receiver
            return outcome
        }
        let needs = participant.draft.needs(of: action, catalogue: catalogue, now: clock)
        participant.draft.history = participant.history(for: action)
        for number in needs.charged {
            let charges = participant.history(ofReservation: number)
            participant.draft.history.entries += charges.entries
            participant.draft.history.blocks.merge(charges.blocks) { first, _ in first }
            participant.draft.history.reservations.insert(number)
        }
        for query in needs.usage { participant.draft.history.usage[query] = participant.usage(query) }
        // The draft has all counters of the account.
        for generation in needs.generations { participant.draft.history.counterCounts[generation] = 0 }
        let outcome = participant.draft.apply(action, idempotencyKey: key, catalogue: catalogue, now: clock)
        participants[endUser] = participant
        return outcome
    }
}

extension GrantedBlock {
    /// The same grant with its block in another state.
    fileprivate func with(_ block: Block) -> GrantedBlock {
        GrantedBlock(
            block: block, source: source, payment: payment, reason: reason, metadata: metadata, createdAt: createdAt,
            startsAt: startsAt)
    }
}

extension AccountDraft {
    /// The reservations that the batch made or changed, by number.
    var changedReservations: [Int32: Reservation] {
        Dictionary(uniqueKeysWithValues: (newReservations + olderChangedReservations).map { ($0.number, $0) })
    }
}

extension Entry {
    /// The measure of the entry; nil when it has none.
    fileprivate var demand: Demand? {
        if let units = cause.units { return .measured(.units(units), cause.details.attributes) }
        let quantities = cause.details.quantities
        return quantities.isEmpty ? nil : .measured(.quantities(quantities), cause.details.attributes)
    }
}

extension Subscription {
    /// The subscription as it is after it was written and read.
    fileprivate func readBack() throws -> Subscription {
        try Subscription(
            number: number, planID: planID, slot: slot, variant: variant, quantity: quantity, status: status,
            storedState: storedState, createdAt: createdAt, endedAt: endedAt, metadata: metadata)
    }
}

extension Reservation {
    /// The usages of a feature of an ended job, of which the largest counts in units.
    ///
    /// - Parameter commit: The entry that ended the job; nil when it ended without a commit.
    fileprivate func demands(of part: JobPart, _ commit: Entry?) -> [Demand] {
        let reached = part.watermark.map { [$0] } ?? []
        guard parts.count == 1, let commit else { return reached }
        return commit.demand.map { [$0] } ?? [estimate] + reached
    }
}

extension Demand {
    fileprivate func units(_ dimension: String?) -> Int64 {
        switch (self, dimension) {
        case (.measured(.quantities(let quantities), _), let dimension?): quantities[dimension] ?? 0
        case (.measured(.units, _), _?): 0
        default: units
        }
    }
}
