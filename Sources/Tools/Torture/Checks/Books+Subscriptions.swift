import Credits
import JSON
import LedgerModel
import Postgres

extension Books {
    /// A subscription, as far as the model knows it.
    struct Subscription: Equatable {
        let number: Int
        let slot: String
        let variant: Int
        let quantity: Int64
        let status: String
        let index: Int64
        let start: Instant
        let end: Instant
        let graceEnd: Instant?
        let isRenewedAhead: Bool
        let cancels: Bool
        let revokesAtEnd: Bool
        let pending: ModelSubscription.Pending?
        let pausedAt: Instant?
        let resumeAt: Instant?
        /// The periods of the contract, and those of its present run that have begun.
        let contract: [Int64]
        let createdAt: Instant
        let endedAt: Instant?
    }

    /// An event of an account.
    struct Event {
        let sequence: Int64
        let type: String
        let data: JSONValue
        let at: Instant
        let recordedAt: Instant

        /// Whether it tells of a subscription or its contract.
        var isOfSubscription: Bool { type.hasPrefix("subscription.") || type.hasPrefix("contract.") }
    }

    /// The live subscriptions to a variant.
    static func subscriptions(
        to variant: String, _ url: String
    ) async throws -> [(environment: Int32, endUser: String, id: PublicID)] {
        let connection = try await connect(url)
        defer { connection.close() }
        let rows = try await connection.run(
            PostgresStatement(
                """
                select s.environment_id, a.end_user_id, s.account_id, s.number
                from subscriptions s join accounts a using (environment_id, account_id)
                join plan_variants v on (v.environment_id, v.variant_id, v.version) = (s.environment_id, s.variant_id, 1)
                where s.ended_at is null and v.variant_key = '\(variant)'
                """))
        return try rows.map { row in
            let account = AccountID(try row.int64(2))
            let id = PublicID(.subscription, account: account, number: Int64(try row.int32(3)))
            return (try row.int32(0), try row.text(1), id)
        }
    }

    mutating func readVariants(_ connection: PostgresConnection) async throws {
        let rows = try await connection.run("select variant_id, variant_key from plan_variants")
        for row in rows { variants[try row.bits(0)] = try row.textOrNil(1).flatMap(Market.variant) }
    }

    mutating func readSubscriptions(_ connection: PostgresConnection) async throws {
        let rows = try await connection.run(
            """
            select account_id, number, slot, variant_id, quantity, status, state, created_at, ended_at
            from subscriptions order by account_id, number
            """)
        for row in rows {
            let state = try JSONParser.parse(Array(try row.text(6).utf8))
            subscriptions[try row.int64(0), default: []].append(
                Subscription(
                    number: Int(try row.int32(1)), slot: try row.text(2), variant: variants[try row.bits(3)] ?? 0,
                    quantity: Int64(try row.int32(4)), status: try row.text(5), state: state, variants: variants,
                    createdAt: try row.instant(7), endedAt: try row.instantOrNil(8)))
        }
    }

    mutating func readEvents(_ connection: PostgresConnection) async throws {
        let rows = try await connection.run(
            "select account_id, sequence, type, data, at, recorded_at from events order by account_id, sequence")
        for row in rows {
            events[try row.int64(0), default: []].append(
                Event(
                    sequence: try row.int64(1), type: try row.text(2),
                    data: try JSONParser.parse(Array(try row.text(3).utf8)), at: try row.instant(4),
                    recordedAt: try row.instant(5)))
        }
    }
}

extension Books.Subscription {
    /// - Parameter state: The column `state`.
    fileprivate init(
        number: Int, slot: String, variant: Int, quantity: Int64, status: String, state: JSONValue,
        variants: [Bits128: Int], createdAt: Instant, endedAt: Instant?
    ) {
        func instant(_ value: JSONValue?) -> Instant? { value?.integer.map { Instant(microseconds: $0) } }
        func parts(_ name: String) -> [JSONValue] { state[name]?.items ?? [] }
        self.number = number
        self.slot = slot
        self.variant = variant
        self.quantity = quantity
        self.status = status
        self.createdAt = createdAt
        self.endedAt = endedAt
        index = state["period_index"]?.integer ?? 0
        start = instant(parts("period").first) ?? createdAt
        end = instant(parts("period").last) ?? createdAt
        graceEnd = instant(state["grace_ends_at"])
        isRenewedAhead = state["is_renewed_ahead"] != nil
        cancels = state["cancels_at_period_end"] != nil
        revokesAtEnd = state["revokes_credits"] != nil
        let pendingParts = parts("pending_change")
        pending =
            pendingParts.count == 3
            ? ModelSubscription.Pending(
                variant: pendingParts[0].text.flatMap { PublicID(.planVariant, parsing: $0) }
                    .flatMap { variants[$0.bits] } ?? 0, quantity: pendingParts[2].integer ?? 0) : nil
        pausedAt = instant(parts("pause").first)
        resumeAt = parts("pause").count > 1 ? instant(parts("pause")[1]) : nil
        contract =
            state["contract"].map { contract in
                [
                    contract["periods"]?.integer ?? 0,
                    (state["period_index"]?.integer ?? 0) - (contract["first_period"]?.integer ?? 0) + 1,
                ]
            } ?? []
    }

    /// The state of a subscription of the model.
    init(_ model: ModelSubscription) {
        number = model.number
        slot = model.slot
        variant = model.variant
        quantity = model.quantity
        status = model.status.rawValue
        index = Int64(model.index)
        start = model.start
        end = model.end
        graceEnd = model.graceEnd
        isRenewedAhead = model.renewedAhead && !model.isFinal
        cancels = model.cancels
        revokesAtEnd = model.revokesAtEnd
        pending = model.pending
        pausedAt = model.pausedAt
        resumeAt = model.resumeAt
        contract = model.contract.map { [$0.periods, $0.begun] } ?? []
        createdAt = model.createdAt
        endedAt = model.endedAt
    }
}
