import Credits
import Logging
import Postgres

/// Everything that the database holds about the environments under torture, read behind the product's back.
struct Books {
    struct Command {
        let environment: Int32
        let identifier: Bits128
        let account: Int64?
        let revision: Int64
        let status: Int
        /// Of the entry, when the answer is made from it.
        let sequence: Int64?
        let response: [UInt8]?
        let decidedAt: Instant
    }

    struct Account {
        let environment: Int32
        let number: Int64
        let endUserID: String
        let version: Int64
        let revision: Int64
        let balance: Int64
        let lifetime: Int64
        let name: String?
    }

    struct Block {
        let number: Int
        let original: Int64
        let remaining: Int64
        let priority: Int64
        let expiresAt: Instant?
        let features: [String]
    }

    struct Entry {
        let sequence: Int64
        let type: String
        let amount: Int64
        let balanceAfter: Int64
        let blocks: [Int32]
        let amounts: [Int64]
        let feature: String?
        let units: Int64?
        let key: String?
        let effectiveAt: Instant
        let recordedAt: Instant
    }

    private(set) var commands: [Command] = []
    private(set) var accounts: [Account] = []
    private(set) var blocks: [Int64: [Block]] = [:]
    /// By account, in order of sequence.
    private(set) var entries: [Int64: [Entry]] = [:]
    private(set) var parkedCommands: [String] = []

    /// Reads everything in one snapshot.
    static func read(_ url: String) async throws -> Books {
        let connection = try await PostgresConnection.connect(
            try PostgresConfiguration(url: url), logger: Logger(label: "torture"))
        defer { connection.close() }
        try await connection.script("begin isolation level repeatable read read only")
        var books = Books()
        try await books.readCommands(connection)
        try await books.readAccounts(connection)
        try await books.readBlocks(connection)
        try await books.readEntries(connection)
        let parked = try await connection.run("select queue, error from parked_commands order by parked_id limit 20")
        books.parkedCommands = try parked.map { "\(try $0.text(0)): \(try $0.text(1))" }
        try await connection.script("commit")
        return books
    }

    /// The number of each environment, in the order in which they were made.
    static func environments(_ url: String) async throws -> [(identifier: Int32, tenant: Bits128, kind: String)] {
        let connection = try await PostgresConnection.connect(
            try PostgresConfiguration(url: url), logger: Logger(label: "torture"))
        defer { connection.close() }
        let result = try await connection.run(
            "select environment_id, tenant_id, kind from environments order by environment_id")
        return try result.map { row in
            let tenant = try row.uuid(1)
            return (try row.int32(0), Bits128(high: tenant.high, low: tenant.low), try row.text(2))
        }
    }

    private mutating func readCommands(_ connection: PostgresConnection) async throws {
        let result = try await connection.run(
            """
            select environment_id, command_id, account_id, revision, status, sequence, response, decided_at
            from commands where environment_id > 0
            """)
        for row in result {
            let identifier = try row.uuid(1)
            commands.append(
                Command(
                    environment: try row.int32(0), identifier: Bits128(high: identifier.high, low: identifier.low),
                    account: try row.int64OrNil(2), revision: try row.int64(3), status: Int(try row.int16(4)),
                    sequence: try row.int64OrNil(5), response: try row.bytesOrNil(6),
                    decidedAt: Instant(microseconds: try row.timestamp(7))))
        }
    }

    private mutating func readAccounts(_ connection: PostgresConnection) async throws {
        let result = try await connection.run(
            """
            select environment_id, account_id, end_user_id, version, revision, balance, lifetime_granted, name
            from accounts where revision > 0
            """)
        for row in result {
            accounts.append(
                Account(
                    environment: try row.int32(0), number: try row.int64(1), endUserID: try row.text(2),
                    version: try row.int64(3), revision: try row.int64(4), balance: try row.int64(5),
                    lifetime: try row.int64(6), name: try row.textOrNil(7)))
        }
    }

    private mutating func readBlocks(_ connection: PostgresConnection) async throws {
        let result = try await connection.run(
            """
            select account_id, number, original, remaining, priority, expires_at, feature_keys
            from blocks order by account_id, number
            """)
        for row in result {
            blocks[try row.int64(0), default: []].append(
                Block(
                    number: Int(try row.int32(1)), original: try row.int64(2), remaining: try row.int64(3),
                    priority: Int64(try row.int16(4)),
                    expiresAt: try row.timestampOrNil(5).map { Instant(microseconds: $0) },
                    features: try row.texts(6)))
        }
    }

    private mutating func readEntries(_ connection: PostgresConnection) async throws {
        let result = try await connection.run(
            """
            select account_id, sequence, type, amount, balance_after, allocation_blocks, allocation_amounts, feature_key,
                units, idempotency_key, effective_at, recorded_at
            from entries order by account_id, sequence
            """)
        for row in result {
            entries[try row.int64(0), default: []].append(
                Entry(
                    sequence: try row.int64(1), type: try row.text(2), amount: try row.int64(3),
                    balanceAfter: try row.int64(4), blocks: try row.int32s(5), amounts: try row.int64s(6),
                    feature: try row.textOrNil(7), units: try row.int64OrNil(8), key: try row.textOrNil(9),
                    effectiveAt: Instant(microseconds: try row.timestamp(10)),
                    recordedAt: Instant(microseconds: try row.timestamp(11))))
        }
    }
}

extension PostgresConnection {
    fileprivate func run(_ statement: PostgresStatement) async throws -> PostgresResult {
        try await run(PostgresQuery(statement), within: .seconds(600))
    }
}
