import Credits

extension ModelLedger {
    package enum Extent: Hashable, Sendable {
        case rest
        case units(Int64)
        case credits(Int64)
    }

    /// The result of a refund.
    package struct Refunded: Equatable, Sendable {
        package var credits: Int64
        package var overage: Int64 = 0
        package var forfeited: Int64 = 0
        package var compensation: [Int] = []

        init(credits: Int64, forfeited: Int64) {
            self.credits = credits
            self.forfeited = forfeited
        }
    }

    /// The entries that are refunded together: a use, or all commits of one feature of a reservation.
    private func charge(_ sequence: Int64) throws(Refusal) -> [Entry] {
        guard sequence >= 1, sequence <= entries.count else { throw Refusal("unknown_charge", sequence) }
        let entry = entries[Int(sequence) - 1]
        if entry.type == "use" { return [entry] }
        guard entry.type == "commit" else { throw Refusal("unknown_charge", sequence) }
        return commits(of: entry.reservation, entry.feature)
    }

    /// The commits of one feature of a reservation.
    func commits(of reservation: Int?, _ feature: String?) -> [Entry] {
        entries.filter { $0.type == "commit" && $0.reservation == reservation && $0.feature == feature }
    }

    /// Gives back all or part of a use or a commit.
    package mutating func refund(_ sequence: Int64, _ extent: Extent, expiry: Expiry?) throws(Refusal) -> Refunded {
        let expiresAt =
            expiry.map { $0.instant(now, in: catalogue.zone) } ?? catalogue.zone.later(now, months: 0, days: 30)
        try requireFuture(expiresAt)
        let charge = try charge(sequence)
        let earlier = refundRecords.filter { record in charge.contains { $0.sequence == record.charge } }
        let taken = charge.reduce(0) { $0 - $1.amount }
        let left = taken - earlier.reduce(0) { $0 + $1.credits }
        let cost = taken - earlier.filter(\.isSettlement).reduce(0) { $0 + $1.credits }
        let credits = try credits(of: extent, taken: cost, left: left, charge: charge, earlier: earlier)
        var units: Int64?
        if case .units(let count) = extent { units = count }
        return try giveBack(credits, of: charge, earlier, expiresAt: expiresAt, units: units)
    }

    /// Gives back a part of what one feature of a reservation was charged, because the price of its total is lower.
    mutating func settle(
        reservation number: Int, _ feature: String, givingBack amount: Int64
    ) throws(Refusal) -> Int64 {
        let charge = commits(of: number, feature)
        let earlier = refundRecords.filter { record in charge.contains { $0.sequence == record.charge } }
        let left = charge.reduce(0) { $0 - $1.amount } - earlier.reduce(0) { $0 + $1.credits }
        if min(amount, left) == 0 { return 0 }
        return try giveBack(
            min(amount, left), of: charge, earlier, expiresAt: catalogue.zone.later(now, months: 0, days: 30),
            isSettlement: true
        ).credits
    }

    private mutating func giveBack(
        _ credits: Int64, of charge: [Entry], _ earlier: [RefundRecord], expiresAt: Instant?, units: Int64? = nil,
        isSettlement: Bool = false
    ) throws(Refusal) -> Refunded {
        var units = units
        var reversals = charge.map { reversal(of: $0, earlier) }
        var rest = credits
        // The order is: outstanding overage, then the blocks that paid, beginning with the last block, then overage
        // that was settled since. Among several commits the latest comes first.
        for index in reversals.indices.reversed() { reversals[index].takeOverage(&rest) }
        for index in reversals.indices.reversed() { reversals[index].takeBlocks(&rest) }
        for index in reversals.indices.reversed() { reversals[index].takeSettled(&rest) }
        let latest = reversals.reversed()
        let forfeited = latest.reduce(0) { $0 + $1.taken.filter(isForfeited).reduce(0) { $0 + $1.amount } }
        try requireRoom(credits - forfeited, ofLifetime: false)

        // Credits that cannot go back to their block become a new block for each set of features.
        var compensation: [Set<String>: Share] = [:]
        let lost = latest.flatMap { reversal in reversal.taken.filter { isLost($0) } }
        for restricted in [false, true] {
            for part in lost where part.features.isEmpty != restricted && compensation[Set(part.features)] == nil {
                let same = lost.filter { Set($0.features) == Set(part.features) }
                compensation[Set(part.features)] = newBlock(
                    same.reduce(0) { $0 + $1.amount },
                    Terms(source: "compensation", expiresAt: expiresAt, features: part.features))
            }
        }
        var result = Refunded(credits: credits, forfeited: forfeited)
        result.compensation = compensation.values.map(\.block).sorted()
        let isNothing = latest.allSatisfy { $0.amount == 0 }
        for (index, reversal) in latest.enumerated() where reversal.amount > 0 || (isNothing && index == 0) {
            result.overage += reversal.overageTaken
            let kept = reversal.taken.filter { !isForfeited($0) }
            let forfeited = reversal.taken.filter(isForfeited).reduce(0) { $0 + $1.amount }
            let shares = kept.map { part in
                Share(
                    block: isLost(part) ? compensation[Set(part.features)]?.block ?? 0 : part.block ?? 0,
                    amount: part.amount)
            }
            let (sequence, overage) = (reversal.entry.sequence, reversal.overageTaken)
            for index in debts.indices where debts[index].entry == sequence {
                debts[index].amount -= overage
            }
            write("refund", Self.joined([], shares), overage: -reversal.overageTaken) { entry in
                entry.feature = reversal.entry.feature
                entry.version = reversal.entry.version
                entry.reservation = reversal.entry.reservation
                entry.refunds = reversal.entry.sequence
                entry.forfeited = forfeited
                entry.units = units
                entry.isSettlement = isSettlement
                // The give-back is a part of the job's usage, by the attributes of the charge.
                if isSettlement { entry.attributes = reversal.entry.attributes }
            }
            refundRecords.append(
                RefundRecord(
                    charge: reversal.entry.sequence, units: units, credits: reversal.amount,
                    overage: reversal.overageTaken, settled: reversal.settledTaken,
                    blocks: Dictionary(
                        reversal.taken.compactMap { part in part.block.map { ($0, part.amount) } },
                        uniquingKeysWith: +), isSettlement: isSettlement))
            units = nil
        }
        settle(compensation.values.sorted { $0.block < $1.block })
        return result
    }

    /// The parts of a charge that are left, and the parts that a refund takes.
    private struct Reversal {
        struct Part {
            /// Nil for overage that was settled since.
            let block: Int?
            let features: [String]
            var amount: Int64
        }

        let entry: Entry
        var owed: Int64
        var parts: [Part]
        var settled: Int64
        var overageTaken: Int64 = 0
        var settledTaken: Int64 = 0
        var taken: [Part] = []

        var amount: Int64 { overageTaken + taken.reduce(0) { $0 + $1.amount } }

        mutating func takeOverage(_ rest: inout Int64) {
            overageTaken = min(rest, owed)
            rest -= overageTaken
        }

        mutating func takeBlocks(_ rest: inout Int64) {
            for var part in parts {
                part.amount = min(rest, part.amount)
                rest -= part.amount
                if part.amount > 0 { taken.append(part) }
            }
        }

        mutating func takeSettled(_ rest: inout Int64) {
            settledTaken = min(rest, settled)
            rest -= settledTaken
            if settledTaken > 0 { taken.append(Part(block: nil, features: [], amount: settledTaken)) }
        }
    }

    private func reversal(of entry: Entry, _ earlier: [RefundRecord]) -> Reversal {
        let records = earlier.filter { $0.charge == entry.sequence }
        let owed = debts.filter { $0.entry == entry.sequence }.reduce(0) { $0 + $1.amount }
        let reversed = records.reduce(0) { $0 + $1.overage + $1.settled }
        let parts = entry.allocation.reversed().map { share in
            Reversal.Part(
                block: share.block, features: blocks[share.block - 1].features,
                amount: -share.amount - records.reduce(0) { $0 + ($1.blocks[share.block] ?? 0) })
        }
        return Reversal(entry: entry, owed: owed, parts: parts, settled: entry.overageDelta - owed - reversed)
    }

    private func isForfeited(_ part: Reversal.Part) -> Bool {
        part.block.map { blocks[$0 - 1].revokedAt != nil } ?? false
    }

    private func isLost(_ part: Reversal.Part) -> Bool {
        !isForfeited(part) && (part.block.map { isOver(blocks[$0 - 1], at: now) } ?? true)
    }

    private func credits(
        of extent: Extent, taken: Int64, left: Int64, charge: [Entry], earlier: [RefundRecord]
    ) throws(Refusal) -> Int64 {
        let refused = Refusal("already_refunded", left)
        if left == 0 { throw refused }
        switch extent {
        case .rest: return left
        case .credits(let credits):
            guard credits <= left else { throw refused }
            return credits
        case .units(let units):
            // The last commit has the total units; a commit in credits has none.
            let all = charge.last.map { $0.units ?? ModelDemand.quantities($0.quantities).total } ?? 0
            let before = earlier.reduce(Int128(0)) { $0 + Int128($1.units ?? 0) }
            guard before + Int128(units) <= Int128(all) else { throw refused }
            if before + Int128(units) == Int128(all) { return left }
            let upTo = Int128(taken) * (before + Int128(units)) / Int128(all)
            let credits = Int64(upTo - Int128(taken) * before / Int128(all))
            guard credits <= left else { throw refused }
            return credits
        }
    }
}
