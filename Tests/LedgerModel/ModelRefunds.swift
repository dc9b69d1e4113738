import Credits

extension ModelLedger {
    package enum Extent: Hashable, Sendable {
        case rest
        case units(Int64)
        case credits(Int64)
    }

    /// What a refund came to.
    package struct Refunded: Equatable, Sendable {
        package var credits: Int64
        package var overage: Int64 = 0
        package var forfeited: Int64 = 0
        package var compensation: [Int] = []
    }

    /// The entries that are refunded together: a use's, or all commits of a reservation.
    private func charge(_ sequence: Int64) throws(Refusal) -> [Entry] {
        guard sequence >= 1, sequence <= entries.count else { throw Refusal("unknown_charge", sequence) }
        let entry = entries[Int(sequence) - 1]
        if entry.type == "use" { return [entry] }
        guard entry.type == "commit" else { throw Refusal("unknown_charge", sequence) }
        return entries.filter { $0.type == "commit" && $0.reservation == entry.reservation }
    }

    /// Gives back what a use or a commit took, wholly or partly.
    package mutating func refund(_ sequence: Int64, _ extent: Extent, expiry: Expiry?) throws(Refusal) -> Refunded {
        let expiresAt = (expiry ?? .after(months: 0, seconds: 30 * 86_400)).instant(now)
        try requireFuture(expiresAt)
        let charge = try charge(sequence)
        let earlier = refundRecords.filter { record in charge.contains { $0.sequence == record.charge } }
        let taken = charge.reduce(0) { $0 - $1.amount }
        let left = taken - earlier.reduce(0) { $0 + $1.credits }
        let credits = try credits(of: extent, taken: taken, left: left, charge: charge, earlier: earlier)

        var result = Refunded(credits: credits)
        var rest = credits
        // First what of the charge is still owed, the latest first.
        var reduced: [(index: Int, amount: Int64)] = []
        for index in debts.indices.reversed() where charge.contains(where: { $0.sequence == debts[index].entry }) {
            let part = min(rest, debts[index].amount)
            if part > 0 { reduced.append((index, part)) }
            rest -= part
            result.overage += part
        }
        // Then the blocks that it came from, the last taken first.
        var parts: [RefundRecord.Part: Int64] = [:]
        var returned: [Share] = []
        var lost: [(features: [String], amount: Int64)] = []
        for entry in charge.reversed() {
            for share in entry.allocation.reversed() {
                let part = RefundRecord.Part(entry: entry.sequence, block: share.block)
                let before = earlier.reduce(0) { $0 + ($1.parts[part] ?? 0) }
                let amount = min(rest, -share.amount - before)
                if amount == 0 { continue }
                rest -= amount
                parts[part] = amount
                let block = blocks[share.block - 1]
                if block.revokedAt != nil {
                    result.forfeited += amount
                } else if block.isOver(at: now) {
                    lost.append((block.features, amount))
                } else {
                    returned = Self.joined(returned, [Share(block: block.number, amount: amount)])
                }
            }
        }
        // What is left was owed once, and has been paid since.
        let settled = rest
        if settled > 0 { lost.append(([], settled)) }

        try requireRoom(credits - result.forfeited, ofLifetime: false)
        for (index, amount) in reduced { debts[index].amount -= amount }
        var compensation: [Share] = []
        let sets = lost.map { Set($0.features) }
        var done: [Set<String>] = []
        for set in sets.filter(\.isEmpty) + sets.filter({ !$0.isEmpty }) where !done.contains(set) {
            done.append(set)
            let same = lost.filter { Set($0.features) == set }
            let terms = Terms(source: "compensation", expiresAt: expiresAt, features: same[0].features)
            compensation.append(newBlock(same.reduce(0) { $0 + $1.amount }, terms))
        }
        result.compensation = compensation.map(\.block)
        let named = entries[Int(sequence) - 1]
        write("refund", returned + compensation, overage: -result.overage) { entry in
            entry.feature = named.feature
            entry.version = named.version
            entry.reservation = named.reservation
            entry.refunds = sequence
            entry.forfeited = result.forfeited
            if case .units(let units) = extent { entry.units = units }
        }
        var units: Int64?
        if case .units(let count) = extent { units = count }
        refundRecords.append(
            RefundRecord(
                charge: sequence, units: units, credits: credits, overage: result.overage, settled: settled,
                parts: parts))
        settle(compensation)
        return result
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
            let all = charge.map { entry in
                entry.units ?? ModelDemand.quantities(entry.quantities).total
            }.max() ?? 0
            let before = earlier.reduce(Int128(0)) { $0 + Int128($1.units ?? 0) }
            guard before + Int128(units) <= Int128(all) else { throw refused }
            let upTo = Int128(taken) * (before + Int128(units)) / Int128(all)
            let credits = Int64(upTo - Int128(taken) * before / Int128(all))
            guard credits <= left else { throw refused }
            return credits
        }
    }
}
