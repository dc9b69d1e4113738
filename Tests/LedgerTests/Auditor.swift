import Credits
import Crypto
import Glibc
import Ledger

/// Follows one account's ledger from outside and recomputes everything that it claims.
///
/// It shares no arithmetic, no text form and no order with the core: instants are written by the C library, ids by
/// division, the canonical JSON from an unordered list of members that is sorted here.
struct Auditor {
    private var sequence: Int64
    private var balance: Int64
    private var lifetimeGranted: Int64
    private var hash: [UInt8]
    private var recordedAt = Instant(microseconds: .min)
    /// Of every block ever seen, spent ones too.
    private var remaining: [Int32: Int64]
    private var original: [Int32: Int64]

    init(opening account: Account) {
        sequence = account.version
        balance = account.balance.rawValue
        lifetimeGranted = account.lifetimeGranted.rawValue
        hash = account.lastHash.bytes
        remaining = Dictionary(uniqueKeysWithValues: account.blocks.map { ($0.number, $0.remaining.rawValue) })
        original = Dictionary(uniqueKeysWithValues: account.blocks.map { ($0.number, $0.original.rawValue) })
    }

    /// Books the entries that were not seen before and compares the books with the account; what is wrong, in words.
    mutating func audit(_ entries: some Sequence<Entry>, of draft: AccountDraft) -> [String] {
        var problems: [String] = []
        for entry in entries { book(entry, of: draft.account, problems: &problems) }
        compare(draft, problems: &problems)
        return problems
    }

    private mutating func book(_ entry: Entry, of account: Account, problems: inout [String]) {
        func expect(_ condition: Bool, _ sentence: String) {
            if !condition { problems.append("entry \(entry.sequence): \(sentence)") }
        }
        expect(entry.sequence == sequence + 1, "must follow entry \(sequence)")
        expect(entry.balanceAfter == balance + entry.amount, "balance_after must be \(balance) + \(entry.amount)")
        expect(entry.allocations.reduce(0) { $0 + $1.amount } == entry.amount, "allocations must add up to the amount")
        expect(entry.reservedDelta == 0 && entry.reservedAfter == 0, "nothing is held")
        expect(entry.overageDelta == 0, "nothing is owed")
        expect(entry.recordedAt >= recordedAt, "recorded_at must not decrease")
        expect(Set(entry.allocations.map(\.block)).count == entry.allocations.count, "a block is allocated once")
        for allocation in entry.allocations {
            expect(allocation.amount != 0, "an allocation of nothing")
            if entry.type == .grant { original[allocation.block] = allocation.amount }
            remaining[allocation.block, default: 0] += allocation.amount
            let left = remaining[allocation.block] ?? 0
            let whole = original[allocation.block] ?? 0
            expect(left >= 0 && left <= whole, "block \(allocation.block) of \(whole) is left with \(left)")
        }
        if entry.type == .grant { lifetimeGranted += entry.amount }
        expect((entry.type == .grant) == (entry.amount > 0), "only a grant adds")
        let text = Self.canonicalText(entry, account: account)
        hash = Array(SHA256.hash(data: hash + Array(text.utf8)))
        expect(entry.hash.bytes == hash, "hash must cover \(text)")
        expect(
            String(decoding: entry.json(account: account.id, endUserID: account.endUserID), as: UTF8.self)
                == text.dropLast() + ",\"hash\":\"\(Self.hexadecimal(hash))\"}", "what is shown must be what is hashed")
        sequence = entry.sequence
        balance = entry.balanceAfter
        recordedAt = entry.recordedAt
    }

    private func compare(_ draft: AccountDraft, problems: inout [String]) {
        let account = draft.account
        func expect(_ condition: Bool, _ sentence: String) {
            if !condition { problems.append("account: \(sentence)") }
        }
        expect(account.version == sequence, "version \(account.version) must be \(sequence)")
        expect(account.balance.rawValue == balance, "balance \(account.balance.rawValue) must be \(balance)")
        expect(account.lastHash.bytes == hash, "the last hash must be the last entry's")
        expect(account.lifetimeGranted.rawValue == lifetimeGranted, "lifetime granted must be \(lifetimeGranted)")
        let open = remaining.filter { $0.value > 0 }
        expect(
            Dictionary(account.blocks.map { ($0.number, $0.remaining.rawValue) }) { first, _ in first } == open
                && account.blocks.count == open.count, "the open blocks must be \(open)")
        expect(open.values.reduce(0, +) == balance, "the open blocks must add up to \(balance)")
        for block in account.blocks {
            expect(block.original.rawValue == original[block.number], "block \(block.number) began with another amount")
            expect(block.held == .zero, "nothing is held")
            expect(block.expiresAt.map { $0 > account.advancedTo } ?? true, "block \(block.number) has expired")
        }
        for (number, block) in draft.changedBlocks {
            expect(block.number == number && block.remaining.rawValue == remaining[number], "block \(number) is stale")
        }
        for granted in draft.grantedBlocks {
            let present = draft.current(granted)
            expect(present.remaining.rawValue == remaining[present.number], "granted block \(present.number) is stale")
        }
    }
}

// MARK: - The documented form of an entry, written a second time

extension Auditor {
    static func canonicalText(_ entry: Entry, account: Account) -> String {
        let allocations = entry.allocations.map {
            object(["block_id": quoted(id("blk", account.id.rawValue, Int64($0.block))), "amount": "\($0.amount)"])
        }
        var members = [
            "allocation": "[" + allocations.joined(separator: ",") + "]",
            "amount": "\(entry.amount)",
            "balance_after": "\(entry.balanceAfter)",
            "effective_at": quoted(text(entry.effectiveAt)),
            "end_user_id": quoted(account.endUserID.rawValue),
            "id": quoted(id("ent", account.id.rawValue, entry.sequence)),
            "overage_delta": "\(entry.overageDelta)",
            "recorded_at": quoted(text(entry.recordedAt)),
            "reserved_after": "\(entry.reservedAfter)",
            "reserved_delta": "\(entry.reservedDelta)",
            "sequence": "\(entry.sequence)",
            "type": quoted(entry.type.rawValue),
        ]
        members["feature_key"] = entry.cause.featureKey.map { quoted($0.rawValue) }
        members["units"] = entry.cause.units.map { "\($0)" }
        members["rule_id"] = entry.cause.ruleID.map {
            quoted(id("rule", Int64(bitPattern: $0.bits.high), Int64(bitPattern: $0.bits.low)))
        }
        members["idempotency_key"] = entry.cause.idempotencyKey.map { quoted($0) }
        members["reason"] = entry.cause.reason.map { quoted($0) }
        members["metadata"] = entry.cause.metadata?.canonicalJSON
        return object(members)
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
