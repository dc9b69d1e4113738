import Credits
import Crypto
import Glibc
import Ledger
import Metering

/// Follows the ledger of one account from outside, and recomputes everything that its entries state.
///
/// It shares no arithmetic, no text form and no order with the core: the C library writes the instants, ids are
/// computed by division, and the canonical JSON is made from an unordered list of members that is sorted here.
struct Auditor {
    private var sequence: Int64
    /// The number of entries that were booked.
    private(set) var count = 0
    private var balance: Int64
    private var reserved: Int64
    private var overage: Int64
    private var hash: [UInt8]
    private var recordedAt = Instant(microseconds: .min)
    private var stamp = Instant(microseconds: .min)
    /// The remaining amount of every block ever seen, also of spent ones.
    private var remaining: [Int32: Int64]
    private var held: [Int32: Int64]
    /// The features of each reservation over several.
    private var features: [Int32: [FeatureKey]] = [:]
    /// The largest units that the commits of such a reservation have stated so far.
    private var totals: [JobTotal: Int64] = [:]

    /// A dimension of a feature of a reservation; "" for units without dimensions.
    private struct JobTotal: Hashable {
        let reservation: Int32
        let feature: FeatureKey
        let dimension: String
    }

    init(opening account: Account) {
        sequence = account.version
        balance = account.balance.rawValue
        reserved = account.reserved.rawValue
        overage = account.overage.rawValue
        hash = [UInt8](repeating: 0, count: 32)
        remaining = Dictionary(uniqueKeysWithValues: account.blocks.map { ($0.number, $0.remaining.rawValue) })
        held = Dictionary(uniqueKeysWithValues: account.blocks.map { ($0.number, $0.held.rawValue) })
    }

    /// Books the entries that were not seen before, and compares the books with the account. Returns the problems in
    /// words.
    ///
    /// - Parameter blocks: All blocks of the account, as they are after the entries.
    mutating func audit(
        _ entries: some Sequence<Entry>, of draft: AccountDraft, blocks: [GrantedBlock]
    ) -> [String] {
        var problems: [String] = []
        let originals = Dictionary(uniqueKeysWithValues: blocks.map { ($0.block.number, $0.block.original.rawValue) })
        for entry in entries { book(entry, of: draft, originals, problems: &problems) }
        compare(draft, blocks, problems: &problems)
        return problems
    }

    private mutating func book(
        _ entry: Entry, of draft: AccountDraft, _ originals: [Int32: Int64], problems: inout [String]
    ) {
        func expect(_ condition: Bool, _ sentence: @autoclosure () -> String) {
            if !condition { problems.append("entry \(entry.sequence) (\(entry.type)): \(sentence())") }
        }
        sequence += 1
        count += 1
        balance += entry.amount
        reserved += entry.reservedDelta
        overage += entry.overageDelta
        expect(entry.sequence == sequence, "must have the sequence \(sequence)")
        expect(entry.balanceAfter == balance, "balance_after must be \(balance)")
        expect(entry.reservedAfter == reserved && reserved >= 0, "reserved_after must be \(reserved)")
        expect(entry.overageAfter == overage && overage >= 0, "overage_after must be \(overage)")
        expect(
            entry.allocations.reduce(0) { $0 + $1.amount } - entry.overageDelta == entry.amount,
            "allocations less overage must add up to the amount")
        expect(
            entry.holds.reduce(0) { $0 + $1.amount } == entry.reservedDelta, "holds must add up to the reserved delta")
        expect(abs(balance) <= Millicredits.limit, "the balance leaves its range")
        expect(entry.recordedAt >= recordedAt, "recorded_at must not decrease")
        let stamp = entry.type == .use ? entry.recordedAt : entry.effectiveAt
        // A command can make things due in the past, which are stamped so.
        let followsCommand = entry.recordedAt == recordedAt && self.stamp == recordedAt
        expect(stamp >= self.stamp || followsCommand, "it must not count before the previous entry")
        for list in [entry.allocations, entry.holds] {
            expect(Set(list.map(\.block)).count == list.count, "a block is named once")
            expect(!list.contains { $0.amount == 0 }, "a share of nothing")
        }
        for share in entry.allocations { remaining[share.block, default: 0] += share.amount }
        for share in entry.holds { held[share.block, default: 0] += share.amount }
        for number in Set((entry.allocations + entry.holds).map(\.block)) {
            let (left, kept) = (remaining[number] ?? 0, held[number] ?? 0)
            expect(
                0 <= kept && kept <= left && left <= originals[number] ?? 0,
                "block \(number) of \(originals[number] ?? 0) has \(left) left, \(kept) of it held")
        }
        for problem in bookJob(entry) { expect(false, problem) }
        // The entries of the batch that erases the end user were written before.
        let owner =
            draft.erasure?.owner
            ?? EntryOwner(account: draft.account.id, endUserID: draft.account.endUserID, salt: draft.book.salt)
        let text = Self.canonicalText(entry, of: owner)
        hash = Array(SHA256.hash(data: hash + Array(text.utf8)))
        expect(entry.hash.bytes == hash, "hash must cover \(text)")
        self.stamp = stamp
        recordedAt = entry.recordedAt
    }

    /// Follows the features of reservations over several, and the units that each commit adds. Returns the problems in
    /// words.
    private mutating func bookJob(_ entry: Entry) -> [String] {
        var problems: [String] = []
        func expect(_ condition: Bool, _ sentence: @autoclosure () -> String) {
            if !condition { problems.append(sentence()) }
        }
        let (cause, details) = (entry.cause, entry.cause.details)
        if entry.type == .reserve, let number = cause.reservation, !details.featureKeys.isEmpty {
            expect(2...16 ~= details.featureKeys.count, "feature_keys must be 2 to 16")
            expect(Set(details.featureKeys).count == details.featureKeys.count, "feature_keys must be distinct")
            expect(cause.featureKey == nil && cause.ruleID == nil, "a reservation over several has no one feature")
            expect(features[number] ?? details.featureKeys == details.featureKeys, "feature_keys must stay")
            features[number] = details.featureKeys
            return problems
        }
        expect(details.featureKeys.isEmpty, "only a reserve entry has feature_keys")
        let several = cause.reservation.flatMap { features[$0] }
        guard let several, let number = cause.reservation else {
            expect(details.addedUnits == nil, "added_units must be absent")
            return problems
        }
        switch entry.type {
        case .commit:
            guard let feature = cause.featureKey, several.contains(feature) else {
                return problems + ["feature_key must be one of \(several)"]
            }
            let stated = cause.units.map { ["": $0] } ?? details.quantities
            var added: Int64 = 0
            for (dimension, units) in stated {
                let total = JobTotal(reservation: number, feature: feature, dimension: dimension)
                let (sum, overflow) = added.addingReportingOverflow(max(0, units - (totals[total] ?? 0)))
                added = overflow ? .max : sum
                totals[total] = max(totals[total] ?? 0, units)
            }
            // Quantities of nothing are not stated, so a commit without any may be in credits or in quantities.
            let isRight = stated.isEmpty ? details.addedUnits ?? 0 == 0 : details.addedUnits == added
            expect(isRight, "added_units must be \(added)")
        case .refund:
            expect(cause.featureKey.map(several.contains) ?? false, "a refund must have the feature of its commit")
            expect(details.addedUnits == nil, "added_units must be absent")
        default:
            expect(cause.featureKey == nil, "feature_key must be absent")
            expect(details.addedUnits == nil, "added_units must be absent")
        }
        return problems
    }

    private func compare(_ draft: AccountDraft, _ blocks: [GrantedBlock], problems: inout [String]) {
        let account = draft.account
        func expect(_ condition: Bool, _ sentence: @autoclosure () -> String) {
            if !condition { problems.append("account: \(sentence())") }
        }
        expect(account.version == sequence, "version \(account.version) must be \(sequence)")
        expect(account.balance.rawValue == balance, "balance \(account.balance.rawValue) must be \(balance)")
        expect(account.reserved.rawValue == reserved, "reserved \(account.reserved.rawValue) must be \(reserved)")
        expect(account.overage.rawValue == overage, "overage \(account.overage.rawValue) must be \(overage)")
        expect(draft.book.lastHash.bytes == hash, "the last hash must be the last entry's")
        var sum: Int64 = 0
        for block in blocks.map(\.block) {
            let (left, kept) = (remaining[block.number] ?? 0, held[block.number] ?? 0)
            sum += left
            expect(block.remaining.rawValue == left, "block \(block.number) must have \(left) left")
            expect(block.held.rawValue == kept, "of block \(block.number) \(kept) must be held")
        }
        expect(sum - overage == balance, "the blocks less what is owed must add up to \(balance)")
        let open = blocks.map(\.block).filter { $0.remaining > .zero }
        expect(account.blocks == BlockList(open), "the open blocks must be \(open)")
        for block in open where block.hasExpired(at: account.advancedTo) || block.revokedAt != nil {
            // Time stands still for the blocks of a paused subscription.
            let pause = block.origin.flatMap { account.subscriptions[at: $0.subscription]?.pause }
            if let pause, block.revokedAt == nil, block.expiresAt.map({ $0 > pause.at }) ?? true { continue }
            expect(block.available == 0, "block \(block.number) is over")
        }
        let holds = account.reservations.flatMap(\.holds)
        let inReservations = Dictionary(holds.map { ($0.block, $0.amount) }, uniquingKeysWith: +)
        expect(inReservations == held.filter { $0.value > 0 }, "what is held must be \(inReservations)")
    }
}

// MARK: - The documented form of an entry, written a second time

extension Auditor {
    /// The text that the hash covers: without what can name a person, and with the digest of that. After an erasure there
    /// is neither an id nor a salt to digest.
    static func canonicalText(_ entry: Entry, of owner: EntryOwner) -> String {
        let personal = [
            "attributes": text(entry.cause.details.attributes),
            "end_user_id": owner.salt == nil ? nil : quoted(owner.endUserID.rawValue),
            "idempotency_key": entry.cause.idempotencyKey.map { quoted($0) },
            "metadata": entry.cause.metadata?.canonicalJSON, "reason": entry.cause.reason.map { quoted($0) },
        ].compactMapValues { $0 }
        let digest = SHA256.hash(data: (owner.salt?.bytes ?? []) + Array(object(personal).utf8))
        func list(_ shares: [Allocation]) -> String {
            let objects = shares.map {
                object([
                    "block_id": quoted(id("blk", owner.account.rawValue, Int64($0.block))), "amount": "\($0.amount)",
                ])
            }
            return "[" + objects.joined(separator: ",") + "]"
        }
        var members = [
            "allocation": list(entry.allocations),
            "amount": "\(entry.amount)",
            "balance_after": "\(entry.balanceAfter)",
            "effective_at": quoted(text(entry.effectiveAt)),
            "personal_digest": quoted(hexadecimal(Array(digest))),
            "version": "2",
            "id": quoted(id("ent", owner.account.rawValue, entry.sequence)),
            "overage_delta": "\(entry.overageDelta)",
            "recorded_at": quoted(text(entry.recordedAt)),
            "reserved_after": "\(entry.reservedAfter)",
            "reserved_delta": "\(entry.reservedDelta)",
            "sequence": "\(entry.sequence)",
            "type": quoted(entry.type.rawValue),
        ]
        members["feature_key"] = entry.cause.featureKey.map { quoted($0.rawValue) }
        members["units"] = entry.cause.units.map { "\($0)" }
        members["added_units"] = entry.cause.details.addedUnits.map { "\($0)" }
        let features = entry.cause.details.featureKeys.map { quoted($0.rawValue) }
        if !features.isEmpty { members["feature_keys"] = "[" + features.joined(separator: ",") + "]" }
        members["rule_id"] = entry.cause.ruleID.map {
            quoted(id("rule", Int64(bitPattern: $0.bits.high), Int64(bitPattern: $0.bits.low)))
        }
        members["reservation_id"] = entry.cause.reservation.map { quoted(id("res", owner.account.rawValue, Int64($0))) }
        members["refunds"] = entry.cause.refunds.map { quoted(id("ent", owner.account.rawValue, $0)) }
        if !entry.holds.isEmpty { members["hold_allocation"] = list(entry.holds) }
        if entry.overageAfter != 0 { members["overage_after"] = "\(entry.overageAfter)" }
        let details = entry.cause.details
        if let subscription = details.subscription {
            members["subscription_id"] = quoted(id("sub", owner.account.rawValue, Int64(subscription.subscription)))
            members["subscription_line"] = subscription.line.map { "\($0)" }
            members["period_index"] = "\(subscription.periodIndex)"
        }
        if details.isDeadline { members["trigger"] = quoted("deadline") }
        if details.isSettlement { members["trigger"] = quoted("settlement") }
        if details.forfeited != 0 { members["forfeited"] = "\(details.forfeited)" }
        members["counterparty_entry_id"] = details.counterpartyEntry.map {
            quoted(id("ent", $0.account.rawValue, $0.number))
        }
        members["external_payment_id"] = details.externalPaymentID.map { quoted($0) }
        if !details.quantities.isEmpty { members["quantities"] = object(details.quantities.mapValues { "\($0)" }) }
        return object(members)
    }

    private static func text(_ attributes: Attributes) -> String? {
        if attributes.values.isEmpty { return nil }
        return object(
            attributes.values.mapValues { value -> String in
                switch value {
                case .string(let text): return quoted(text)
                case .integer(let integer): return "\(integer)"
                case .boolean(let isTrue): return isTrue ? "true" : "false"
                }
            })
    }

    private static func object(_ members: [String: String]) -> String {
        let sorted = members.sorted { $0.key < $1.key }
        return "{" + sorted.map { "\"\($0.key)\":\($0.value)" }.joined(separator: ",") + "}"
    }

    private static func quoted(_ text: String) -> String {
        var quoted = "\""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"": quoted += "\\\""
            case "\\": quoted += "\\\\"
            case "\n": quoted += "\\n"
            case "\r": quoted += "\\r"
            case "\t": quoted += "\\t"
            case "\u{8}": quoted += "\\b"
            case "\u{C}": quoted += "\\f"
            case "\0"..<" ": quoted += "\\u00" + hexadecimal([UInt8(scalar.value)])
            default: quoted.unicodeScalars.append(scalar)
            }
        }
        return quoted + "\""
    }

    private static func id(_ prefix: String, _ high: Int64, _ low: Int64) -> String {
        let digits = Array("0123456789abcdefghjkmnpqrstvwxyz")
        var value = UInt128(UInt64(bitPattern: high)) * (UInt128(UInt64.max) + 1) + UInt128(UInt64(bitPattern: low))
        var text = ""
        for _ in 0..<26 {
            text = String(digits[Int(value % 32)]) + text
            value /= 32
        }
        return prefix + "_" + text
    }

    private static func text(_ instant: Instant) -> String {
        var seconds = Int(instant.microseconds / 1_000_000)
        var fraction = instant.microseconds % 1_000_000
        if fraction < 0 {
            seconds -= 1
            fraction += 1_000_000
        }
        var parts = tm()
        gmtime_r(&seconds, &parts)
        func padded(_ number: some BinaryInteger, _ width: Int) -> String {
            let digits = String(number)
            return String(repeating: "0", count: max(0, width - digits.count)) + digits
        }
        let date = [(parts.tm_year + 1900, 4), (parts.tm_mon + 1, 2), (parts.tm_mday, 2)]
        let time = [parts.tm_hour, parts.tm_min, parts.tm_sec]
        return date.map { padded($0.0, $0.1) }.joined(separator: "-") + "T"
            + time.map { padded($0, 2) }.joined(separator: ":") + "."
            + (fraction % 1_000 == 0 ? padded(fraction / 1_000, 3) : padded(fraction, 6)) + "Z"
    }

    static func hexadecimal(_ bytes: [UInt8]) -> String {
        bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
    }
}
