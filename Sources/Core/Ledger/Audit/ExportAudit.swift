import Credits
import JSON
import Metering

/// Checks a ledger export without the database that it came from. The export has one entry per line, in the API's form.
///
/// The lines of one account must be in order of sequence, from the first entry on. Lines of several accounts may be
/// mixed.
package struct ExportAudit {
    /// A problem of one line.
    package struct Finding: Hashable, Sendable, CustomStringConvertible {
        /// Counted from 1.
        package let line: Int
        package let detail: String

        package var description: String { "line \(line): \(detail)" }
    }

    private var audits: [AccountID: AccountAudit] = [:]
    private var brokenAccounts: Set<AccountID> = []
    package private(set) var lines = 0
    /// The first problem of each account, and every line that is not an entry.
    package private(set) var findings: [Finding] = []

    package init() {}

    package var accounts: Int { audits.count }

    /// The entries whose text an erasure has removed, and with it the proof of their hash: those of `EntryVersion.clear`.
    package var unprovable: Int { audits.values.reduce(0) { $0 + $1.unprovable } }

    /// - Parameter line: One line without its line feed.
    package mutating func take(_ line: [UInt8]) {
        lines += 1
        let exported: ExportedEntry
        do {
            exported = try ExportedEntry(line)
        } catch {
            findings.append(Finding(line: lines, detail: "\(error)"))
            return
        }
        let account = exported.owner.account
        guard !brokenAccounts.contains(account) else { return }
        var audit =
            audits[account]
            ?? AccountAudit(owner: exported.owner, environmentID: EnvironmentID(0))
        audit.take(exported.entry, of: exported.owner)
        audits[account] = audit
        if let violation = audit.violation {
            blame(account, "\(violation.invariant), entry \(exported.id): \(violation.detail)")
        } else if exported.entry.exportLine(of: exported.owner, isErased: exported.isErased) != line {
            blame(account, "I9, entry \(exported.id): the line is not in the canonical form that the hash covers")
        }
    }

    private mutating func blame(_ account: AccountID, _ detail: String) {
        brokenAccounts.insert(account)
        findings.append(Finding(line: lines, detail: detail))
    }
}

/// An entry read from an export.
struct ExportedEntry {
    /// Without a salt for a line without the personal part.
    let owner: EntryOwner
    /// Whether the line says that its end user was erased.
    let isErased: Bool
    let entry: Entry
    let id: PublicID

    /// - Throws: `NoEntry` for anything that is not an entry in the API's form.
    init(_ line: [UInt8]) throws(NoEntry) {
        let value: JSONValue
        do throws(JSONError) {
            value = try JSONParser.parse(line)
        } catch {
            throw NoEntry(detail: "the line is not JSON")
        }
        do throws(JSONProblems) {
            self = try JSONReader.read(value) { reader in Self(&reader) }
        } catch {
            let problem = error.problems.first
            throw NoEntry(detail: "the line is not an entry: \(problem?.pointer ?? "") \(problem?.detail ?? "")")
        }
    }

    struct NoEntry: Error, CustomStringConvertible {
        let detail: String
        var description: String { detail }
    }

    private init?(_ reader: inout JSONReader) {
        let type = reader.choice("type", of: EntryType.self)
        let id = reader.string("id", expected: "an entry's id") { PublicID(.entry, parsing: $0) }
        let endUserID = reader.optionalString("end_user_id", expected: "an end user's id") { EndUserID($0) }
        let salt = reader.optionalString("salt", expected: "32 bytes in base64") { Salt(base64: $0) }
        _ = reader.optionalString("personal")
        let digest = reader.optionalString("personal_digest", expected: "64 hexadecimal digits") {
            EntryHash(hexadecimal: $0)
        }
        let number = reader.optionalInt64("version") ?? Int64(EntryVersion.clear.rawValue)
        let sequence = reader.int64("sequence")
        let amount = reader.int64("amount")
        let reservedDelta = reader.int64("reserved_delta")
        let overageDelta = reader.int64("overage_delta")
        let balanceAfter = reader.int64("balance_after")
        let reservedAfter = reader.int64("reserved_after")
        let overageAfter = reader.int64("overage_after", default: 0)
        let allocations = reader.allocations("allocation")
        let holds = reader.allocations("hold_allocation")
        let effectiveAt = reader.string("effective_at", expected: "an instant") { Instant(rfc3339: $0) }
        let recordedAt = reader.string("recorded_at", expected: "an instant") { Instant(rfc3339: $0) }
        let hash = reader.string("hash", expected: "64 hexadecimal digits") { EntryHash(hexadecimal: $0) }
        let cause = reader.entryCause()
        guard let version = Int16(exactly: number).flatMap({ EntryVersion(rawValue: $0) }) else {
            reader.report("version", "is not 1 or 2")
            return nil
        }
        guard let type, let id, let sequence, let amount, let reservedDelta, let overageDelta,
            let balanceAfter, let reservedAfter, let overageAfter, let effectiveAt, let recordedAt, let hash
        else { return nil }
        // A salted line without a salt states the digest. With a salt it follows from the personal members, so that the
        // line in its canonical form shows whether both and `personal` agree.
        isErased = endUserID == nil
        owner = EntryOwner(
            account: id.account, endUserID: endUserID ?? EndUserID(erased: id.account),
            salt: endUserID == nil ? nil : salt)
        self.id = id
        entry = Entry(
            sequence: sequence, type: type, amount: amount, reservedDelta: reservedDelta, overageDelta: overageDelta,
            balanceAfter: balanceAfter, reservedAfter: reservedAfter, overageAfter: overageAfter,
            allocations: allocations, holds: holds, cause: cause, effectiveAt: effectiveAt, recordedAt: recordedAt,
            hash: hash, version: version, personalDigest: isErased ? digest : nil)
    }
}

extension JSONReader {
    fileprivate mutating func allocations(_ key: String) -> [Allocation] {
        optionalObjects(key) { reader in
            let block = reader.string("block_id", expected: "a block's id") { PublicID(.block, parsing: $0) }
            let amount = reader.int64("amount")
            guard let block, let amount, let number = Int32(exactly: block.number) else { return nil }
            return Allocation(block: number, amount: amount)
        } ?? []
    }

    private mutating func subscriptionCause() -> SubscriptionOrigin? {
        let id = optionalString("subscription_id", expected: "a subscription's id") { text in
            PublicID(.subscription, parsing: text).flatMap { Int32(exactly: $0.number) }
        }
        let line = optionalInt64("subscription_line").flatMap { Int16(exactly: $0) }
        let index = optionalInt64("period_index").flatMap { Int32(exactly: $0) }
        guard let id, let index else { return nil }
        return SubscriptionOrigin(subscription: id, line: line, periodIndex: index)
    }

    fileprivate mutating func entryCause() -> EntryCause {
        var cause = EntryCause()
        cause.featureKey = optionalString("feature_key", expected: "a feature's key") { FeatureKey($0) }
        cause.units = optionalInt64("units")
        cause.ruleID = optionalString("rule_id", expected: "a rule's id") { PublicID(.rule, parsing: $0) }
        cause.reservation = optionalString("reservation_id", expected: "a reservation's id") { text in
            PublicID(.reservation, parsing: text).flatMap { Int32(exactly: $0.number) }
        }
        cause.refunds = optionalString("refunds", expected: "an entry's id") { PublicID(.entry, parsing: $0)?.number }
        cause.idempotencyKey = optionalString("idempotency_key")
        cause.reason = optionalString("reason")
        cause.metadata = optionalObject("metadata").map { object in
            Metadata(canonicalJSON: String(decoding: JSONValue.object(object).canonicalBytes, as: UTF8.self))
        }
        if value("attributes") != nil { cause.details.attributes = attributes("attributes") ?? .none }
        if value("quantities") != nil { cause.details.quantities = quantities("quantities") ?? [:] }
        cause.details.externalPaymentID = optionalString("external_payment_id")
        cause.details.counterparty = optionalString("counterparty", expected: "an end user's id") { EndUserID($0) }
        cause.details.counterpartyEntry = optionalString("counterparty_entry_id", expected: "an entry's id") {
            PublicID(.entry, parsing: $0)
        }
        cause.details.forfeited = optionalInt64("forfeited") ?? 0
        cause.details.featureKeys =
            optionalStrings(
                "feature_keys", count: 1...Reservation.maximumFeatures, expected: FeatureKey.expectation
            ) { FeatureKey($0) } ?? []
        cause.details.addedUnits = optionalInt64("added_units")
        cause.details.subscription = subscriptionCause()
        let trigger = optionalString("trigger", expected: "\"deadline\" or \"settlement\"") { text in
            text == "deadline" || text == "settlement" ? text : nil
        }
        cause.details.isDeadline = trigger == "deadline"
        cause.details.isSettlement = trigger == "settlement"
        return cause
    }
}

extension EntryHash {
    /// Nil unless the text is 64 lower-case hexadecimal digits.
    fileprivate init?(hexadecimal text: String) {
        let digits = Array("0123456789abcdef".utf8)
        var bytes: [UInt8] = []
        var high: UInt8?
        for byte in text.utf8 {
            guard let value = digits.firstIndex(of: byte).map(UInt8.init) else { return nil }
            if let first = high {
                bytes.append(first << 4 | value)
                high = nil
            } else {
                high = value
            }
        }
        guard high == nil else { return nil }
        self.init(bytes: bytes)
    }
}
