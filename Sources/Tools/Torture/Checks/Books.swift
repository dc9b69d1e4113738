import Credits
import JSON
import LedgerModel
import Logging
import Postgres

/// The whole content of the database about the environments under torture, read from the tables and not through the
/// API.
struct Books {
    struct Command {
        let environment: Int32
        let identifier: Bits128
        let account: Int64?
        let revision: Int64
        let status: Int
        /// The entry from which the answer is made; nil when the answer is stored.
        let sequence: Int64?
        let response: [UInt8]?
        let decidedAt: Instant

        /// Whether the command was refused.
        var isRefusal: Bool { status >= 400 }
    }

    struct Account {
        let environment: Int32
        let number: Int64
        let endUserID: String
        let version: Int64
        let revision: Int64
        let balance: Int64
        let reserved: Int64
        let overage: Int64
        let lifetime: Int64
        let name: String?
    }

    struct Block {
        let number: Int
        let original: Int64
        let remaining: Int64
        let held: Int64
        let priority: Int64
        let expiresAt: Instant?
        let isPaid: Bool
        let features: [String]
        let source: String
        let revokedAt: Instant?
        let arrivesAt: Instant
        let isAwaited: Bool
        let subscription: Int?
        let line: Int?
    }

    struct Reservation {
        let number: Int
        let feature: String
        let status: String
        let version: Int?
        let estimatedCost: Int64
        let holds: [ModelLedger.Share]
        let uncovered: Int64
        let charged: Int64
        let expiresAt: Instant
        let createdAt: Instant
        let finishedAt: Instant?
    }

    struct Payment {
        let command: Bits128
        let account: Int64
        let block: Int
        let status: Int
        let response: [UInt8]
        let createdAt: Instant
    }

    private(set) var commands: [Command] = []
    private(set) var accounts: [Account] = []
    private(set) var blocks: [Int64: [Block]] = [:]
    private(set) var reservations: [Int64: [Reservation]] = [:]
    /// The entries by account, in order of sequence.
    private(set) var entries: [Int64: [ModelLedger.Entry]] = [:]
    /// The payments by environment and by the payment provider's id.
    private(set) var payments: [Int32: [String: Payment]] = [:]
    /// The subscriptions by account, in order of their numbers.
    var subscriptions: [Int64: [Subscription]] = [:]
    /// The events by account, in order of sequence.
    var events: [Int64: [Event]] = [:]
    /// The numbers of the variants in the model, by variant id.
    var variants: [Bits128: Int] = [:]
    private(set) var parkedCommands: [String] = []
    /// The versions of metering rules, by rule id.
    private var versions: [Bits128: Int] = [:]

    /// Reads everything in one snapshot.
    static func read(_ url: String) async throws -> Books {
        let connection = try await connect(url)
        defer { connection.close() }
        try await connection.script("begin isolation level repeatable read read only")
        var books = Books()
        try await books.readVariants(connection)
        for row in try await connection.run("select rule_id, version, plan_variant_id from metering_rules") {
            // See `ModelLedger.version(of:at:)`.
            let variant = row.isNull(2) ? nil : books.variants[try row.bits(2)]
            books.versions[try row.bits(0)] = Int(try row.int32(1)) + (variant ?? 0) * 1_000
        }
        try await books.readCommands(connection)
        try await books.readAccounts(connection)
        try await books.readBlocks(connection)
        try await books.readReservations(connection)
        try await books.readPayments(connection)
        try await books.readEntries(connection)
        try await books.readSubscriptions(connection)
        try await books.readEvents(connection)
        let parked = try await connection.run("select queue, error from parked_commands order by parked_id limit 20")
        books.parkedCommands = try parked.map { "\(try $0.text(0)): \(try $0.text(1))" }
        try await connection.script("commit")
        return books
    }

    /// The number, the tenant and the kind of each environment, in order of their numbers.
    static func environments(_ url: String) async throws -> [(identifier: Int32, tenant: Bits128, kind: String)] {
        let connection = try await connect(url)
        defer { connection.close() }
        let result = try await connection.run(
            "select environment_id, tenant_id, kind from environments order by environment_id")
        return try result.map { (try $0.int32(0), try $0.bits(1), try $0.text(2)) }
    }

    /// The number of accounts that are due within the given seconds.
    static func accountsDue(_ url: String, withinSeconds seconds: Int) async throws -> Int64 {
        let connection = try await connect(url)
        defer { connection.close() }
        let result = try await connection.run(
            PostgresStatement(
                "select count(*) from accounts where due_at <= clock_timestamp() + interval '\(seconds) seconds'"))
        return try result.first?.int64(0) ?? 0
    }

    static func connect(_ url: String) async throws -> PostgresConnection {
        try await PostgresConnection.connect(try PostgresConfiguration(url: url), logger: Logger(label: "torture"))
    }

    private mutating func readCommands(_ connection: PostgresConnection) async throws {
        let result = try await connection.run(
            """
            select environment_id, command_id, account_id, revision, status, sequence, response, decided_at
            from commands where environment_id > 0
            """)
        for row in result {
            commands.append(
                Command(
                    environment: try row.int32(0), identifier: try row.bits(1),
                    account: try row.int64OrNil(2), revision: try row.int64(3), status: Int(try row.int16(4)),
                    sequence: try row.int64OrNil(5), response: try row.bytesOrNil(6), decidedAt: try row.instant(7)))
        }
    }

    private mutating func readAccounts(_ connection: PostgresConnection) async throws {
        let result = try await connection.run(
            """
            select environment_id, account_id, end_user_id, version, revision, balance, reserved, overage,
                lifetime_granted, name
            from accounts where revision > 0
            """)
        for row in result {
            accounts.append(
                Account(
                    environment: try row.int32(0), number: try row.int64(1), endUserID: try row.text(2),
                    version: try row.int64(3), revision: try row.int64(4), balance: try row.int64(5),
                    reserved: try row.int64(6), overage: try row.int64(7), lifetime: try row.int64(8),
                    name: try row.textOrNil(9)))
        }
    }

    private mutating func readBlocks(_ connection: PostgresConnection) async throws {
        let result = try await connection.run(
            """
            select account_id, number, original, remaining, held, priority, expires_at, price_paid, feature_keys, source,
                revoked_at, greatest(created_at, starts_at), scheduled, subscription, line
            from blocks order by account_id, number
            """)
        for row in result {
            blocks[try row.int64(0), default: []].append(
                Block(
                    number: Int(try row.int32(1)), original: try row.int64(2), remaining: try row.int64(3),
                    held: try row.int64(4), priority: Int64(try row.int16(5)), expiresAt: try row.instantOrNil(6),
                    isPaid: (try row.int64OrNil(7) ?? 0) > 0, features: try row.texts(8), source: try row.text(9),
                    revokedAt: try row.instantOrNil(10), arrivesAt: try row.instant(11), isAwaited: try row.bool(12),
                    subscription: try row.int32OrNil(13).map { Int($0) },
                    line: row.isNull(14) ? nil : Int(try row.int16(14))))
        }
    }

    private mutating func readReservations(_ connection: PostgresConnection) async throws {
        let result = try await connection.run(
            """
            select account_id, number, feature_key, status, rule_id, estimated_cost, hold_blocks, hold_amounts, uncovered,
                charged, expires_at, created_at, finished_at
            from reservations order by account_id, number
            """)
        for row in result {
            reservations[try row.int64(0), default: []].append(
                Reservation(
                    number: Int(try row.int32(1)), feature: try row.text(2), status: try row.text(3),
                    version: row.isNull(4) ? nil : versions[try row.bits(4)], estimatedCost: try row.int64(5),
                    holds: try row.shares(6, 7), uncovered: try row.int64(8), charged: try row.int64(9),
                    expiresAt: try row.instant(10), createdAt: try row.instant(11),
                    finishedAt: try row.instantOrNil(12)))
        }
    }

    private mutating func readPayments(_ connection: PostgresConnection) async throws {
        let result = try await connection.run(
            """
            select environment_id, external_payment_id, command_id, account_id, block_number, status, response, created_at
            from payments
            """)
        for row in result {
            payments[try row.int32(0), default: [:]][try row.text(1)] = Payment(
                command: try row.bits(2), account: try row.int64(3), block: Int(try row.int32(4)),
                status: Int(try row.int16(5)), response: try row.bytes(6), createdAt: try row.instant(7))
        }
    }

    private mutating func readEntries(_ connection: PostgresConnection) async throws {
        let result = try await connection.run(
            """
            select account_id, sequence, type, amount, reserved_delta, overage_delta, balance_after, reserved_after,
                overage_after, allocation_blocks, allocation_amounts, hold_blocks, hold_amounts, feature_key, units, rule_id,
                reservation, refunds, idempotency_key, details, effective_at, recorded_at
            from entries order by account_id, sequence
            """)
        for row in result { entries[try row.int64(0), default: []].append(try entry(row)) }
    }

    private func entry(_ row: PostgresRow) throws -> ModelLedger.Entry {
        var entry = ModelLedger.Entry(
            sequence: try row.int64(1), type: try row.text(2), amount: try row.int64(3),
            balanceAfter: try row.int64(6), allocation: try row.shares(9, 10))
        entry.reservedDelta = try row.int64(4)
        entry.overageDelta = try row.int64(5)
        entry.reservedAfter = try row.int64(7)
        entry.overageAfter = try row.int64(8)
        entry.holds = row.isNull(11) ? [] : try row.shares(11, 12)
        entry.feature = try row.textOrNil(13)
        entry.units = try row.int64OrNil(14)
        entry.version = row.isNull(15) ? nil : versions[try row.bits(15)]
        entry.reservation = try row.int32OrNil(16).map { Int($0) }
        entry.refunds = try row.int64OrNil(17)
        entry.key = try row.textOrNil(18)
        entry.effectiveAt = try row.instant(20)
        entry.recordedAt = try row.instant(21)
        if let text = try row.textOrNil(19) {
            let details = try JSONParser.parse(Array(text.utf8))
            entry.attributes = details["attributes"]?.members.compactMapValues(\.text) ?? [:]
            entry.quantities = details["quantities"]?.members.compactMapValues(\.integer) ?? [:]
            let other = details["counterparty_entry"]?.text.flatMap { PublicID(.entry, parsing: $0)?.account.rawValue }
            entry.counterparty = accounts.first { $0.number == other }?.endUserID
            entry.payment = details["external_payment_id"]?.text
            entry.forfeited = details["forfeited"]?.integer ?? 0
            entry.isDeadline = details["trigger"]?.text == "deadline"
            entry.isSettlement = details["trigger"]?.text == "settlement"
            let origin = details["subscription"]?.items?.map { Int($0.integer ?? -1) } ?? []
            if origin.count >= 2 { (entry.subscription, entry.period) = (origin[0], origin[1]) }
            if origin.count == 3 { entry.line = origin[2] }
        }
        return entry
    }
}

extension Books.Command {
    /// The stored answer; null when the answer is made from the entry.
    var json: JSONValue {
        response.flatMap { try? JSONParser.parse($0) } ?? .null
    }
}

extension JSONValue {
    fileprivate var members: [String: JSONValue] {
        guard case .object(let object) = self else { return [:] }
        return Dictionary(object.members.map { ($0.key, $0.value) }) { $1 }
    }
}

extension PostgresConnection {
    func run(_ statement: PostgresStatement) async throws -> PostgresResult {
        try await run(PostgresQuery(statement), within: .seconds(600))
    }
}

extension PostgresRow {
    func bits(_ column: Int) throws -> Bits128 {
        let identifier = try uuid(column)
        return Bits128(high: identifier.high, low: identifier.low)
    }

    func instant(_ column: Int) throws -> Instant {
        Instant(microseconds: try timestamp(column))
    }

    func instantOrNil(_ column: Int) throws -> Instant? {
        try timestampOrNil(column).map { Instant(microseconds: $0) }
    }

    fileprivate func shares(_ blocks: Int, _ amounts: Int) throws -> [ModelLedger.Share] {
        zip(try int32s(blocks), try int64s(amounts)).map { ModelLedger.Share(block: Int($0), amount: $1) }
    }
}
