package import Credits
package import Ledger
import Metering
package import Postgres

/// The counters of accounts, and the usage of before a limit was set, as the ledger worker reads them. The accounts are
/// locked, so nobody else changes their counters.
package enum CounterStore {
    /// Loads what the actions of a batch need beside their accounts. Makes no round trip when nothing is needed, and one
    /// otherwise; one more for an account that is full of counters, and two for each limit that is set or deleted.
    package static func load(
        _ needs: [Int: CounterNeeds], into drafts: inout [AccountDraft], now: Instant,
        on connection: PostgresConnection
    ) async throws {
        for (index, need) in needs.sorted(by: { $0.key < $1.key }) {
            for query in need.usage where drafts[index].history.usage[query] == nil {
                drafts[index].history.usage[query] = try await usage(query, of: drafts[index], on: connection)
            }
        }
        try await loadCounters(needs, into: &drafts, now: now, on: connection)
        // The counters of ended windows may have been deleted before.
        for (index, need) in needs where !need.generations.isEmpty {
            try await count(need.generations, of: &drafts[index], on: connection)
        }
    }

    private static func loadCounters(
        _ needs: [Int: CounterNeeds], into drafts: inout [AccountDraft], now: Instant,
        on connection: PostgresConnection
    ) async throws {
        let wanted = needs.mapValues { $0.counters }.filter { !$0.value.isEmpty }
        guard !wanted.isEmpty else { return }
        var keys: [(account: Account, id: CounterID)] = []
        for (index, ids) in wanted { keys += ids.sorted().map { (drafts[index].account, $0) } }
        let rows = try await connection.run(
            PostgresQuery(
                find,
                [
                    .int32s(keys.map(\.account.environmentID.rawValue)), .int64s(keys.map(\.account.id.rawValue)),
                    .uuids(keys.map { PostgresUUID($0.id.bits) }),
                ]))
        let found = Dictionary(grouping: try CounterRow.all(rows), by: \.accountID)
        for (index, ids) in wanted {
            let own = found[drafts[index].account.id] ?? []
            drafts[index].load(
                Dictionary(uniqueKeysWithValues: own.map { ($0.id, $0.counter) }), lookedFor: ids)
            let missing = ids.count - own.count
            if drafts[index].mayForgetCounters(toAdd: missing, at: max(now, drafts[index].account.advancedTo)) {
                try await forget(&drafts[index], now: now, on: connection)
            }
        }
    }

    static let find = PostgresStatement(
        """
        select \(CounterRow.columns(of: "c"))
        from unnest($1::integer[], $2::bigint[], $3::uuid[]) as k (environment_id, account_id, counter_id)
        join counters c using (environment_id, account_id, counter_id)
        """)

    /// Counts the stored counters of definitions of limits, which may be deleted. Costs a walk over the account's counters.
    private static func count(
        _ generations: Set<Int32>, of draft: inout AccountDraft, on connection: PostgresConnection
    ) async throws {
        let rows = try await connection.run(
            PostgresQuery(
                """
                select generation, count(*) from counters
                where environment_id = $1 and account_id = $2 and generation = any ($3::integer[])
                group by generation
                """,
                [.id(draft.account.environmentID), .id(draft.account.id), .int32s(generations.sorted())]))
        for generation in generations { draft.history.counterCounts[generation] = 0 }
        for row in rows { draft.history.counterCounts[try row.int32(0)] = Int(try row.int64(1)) }
    }

    /// Deletes the counters of windows that have ended, and counts the others. Costs a walk over the account's counters,
    /// at most 10,000, and happens at most once for each end of a window, because the new count is written.
    private static func forget(
        _ draft: inout AccountDraft, now: Instant, on connection: PostgresConnection
    ) async throws {
        let account = draft.account
        let now = max(now, account.advancedTo)
        let key: [PostgresValue] = [.int32(account.environmentID.rawValue), .int64(account.id.rawValue)]
        let kept = account.counters.counters.keys.map { PostgresUUID($0.bits) }
        let results = try await connection.run([
            PostgresQuery(
                """
                delete from counters
                where environment_id = $1 and account_id = $2 and window_end <= $3 and counter_id <> all ($4::uuid[])
                """, key + [.timestamp(microseconds: now.microseconds), .uuids(kept)]),
            PostgresQuery(
                """
                select count(*) filter (where not (window_end = 'infinity' and window_start = 'epoch')),
                    min(window_end) filter (where window_end > $3)
                from counters where environment_id = $1 and account_id = $2
                """, key + [.timestamp(microseconds: now.microseconds)]),
        ])
        guard let row = results.last?.first else { throw StorageError.missingRow("the number of counters") }
        var fields = RowFields(row)
        draft.forgetCounters(leaving: Int(try fields.int64()), endingAt: try fields.instantOrNil())
    }

    /// The usage of an end user since an instant under the terms of a limit, by the value of its `per`.
    ///
    /// Uses count as they were recorded, and reservations that have ended count with their usage in the window in which
    /// they were made. Active ones are left to the account. Costs the account's entries and reservations since then.
    static func usage(
        _ query: UsageQuery, of draft: AccountDraft, on connection: PostgresConnection
    ) async throws -> [AttributeValue?: Int64] {
        var sums = UsageSums(query.limit)
        let key: [PostgresValue] = [
            .int32(draft.account.environmentID.rawValue), .int64(draft.account.id.rawValue),
            .timestamp(microseconds: query.since.microseconds),
        ]
        let results = try await connection.run([
            PostgresQuery(usesSince, key + [.int64(draft.account.version), .text(query.limit.dimension ?? "")]),
            PostgresQuery(reservationsSince, key + [.int64(Int64(draft.book.reservationCount))]),
        ])
        for row in results[0] {
            var fields = RowFields(row)
            guard let feature = try fields.textOrNil().flatMap({ FeatureKey($0) }) else { continue }
            let details = try EntryDetails(storedJSON: "{\"attributes\":\(try fields.text())}")
            sums.count(
                feature, details.attributes, units: try fields.int64(), quantity: try fields.int64(),
                credits: try fields.int64())
        }
        for row in results[1] {
            var fields = RowFields(row)
            let reservation = try ReservationRow(&fields, keeping: nil).reservation
            let units = try fields.int64OrNil()
            let details = try fields.textOrNil().map { try EntryDetails(storedJSON: $0) }
            var measure: Measure?
            if let quantities = details?.quantities, !quantities.isEmpty { measure = .quantities(quantities) }
            if let units { measure = .units(units) }
            // A commit counts by its own attributes, and by those of the reservation if it has none.
            var attributes = details?.attributes ?? .none
            if attributes.values.isEmpty { attributes = reservation.estimate.attributes }
            sums.count(reservation, attributes, measure.map { .measured($0, attributes) })
        }
        return sums.byValue
    }

    /// The start of a statement that finds, by bisection, the last of an account's rows that is older than the instant
    /// `$3`: the largest `before` of `bounds`. The rows are numbered without gaps from 1 to `$4`, in the order of time.
    private static func bisection(of table: String, by number: String, at instant: String) -> String {
        """
        with recursive bounds (before, after) as (
            select 0::bigint, $4::bigint + 1
            union all
            select case when t.\(instant) < $3 then t.\(number) else before end,
                case when t.\(instant) < $3 then after else t.\(number) end
            from bounds
            join \(table) t on t.environment_id = $1 and t.account_id = $2 and t.\(number) = (before + after) / 2
            where after - before > 1
        )
        """
    }

    /// The uses from an instant on, added up by feature and attributes.
    static let usesSince = PostgresStatement(
        """
        \(bisection(of: "entries", by: "sequence", at: "recorded_at"))
        select e.feature_key, coalesce((d.details -> 'attributes')::text, '{}'),
            least(sum(coalesce(e.units, (
                select sum(q.value::numeric) from jsonb_each_text(d.details -> 'quantities') q), 0)),
                9223372036854775807)::bigint,
            least(sum(coalesce((d.details -> 'quantities' ->> $5)::numeric, 0)), 9223372036854775807)::bigint,
            least(sum(-e.amount), 9223372036854775807)::bigint
        from entries e
        -- No jsonb has the character NUL, which an attribute may have.
        cross join lateral (select replace(e.details, '\\u0000', '\\ufffd')::jsonb as details) d
        where e.environment_id = $1 and e.account_id = $2 and e.type = 'use'
            and e.sequence > (select max(before) from bounds)
        group by 1, 2
        """)

    /// The ended reservations that were made from an instant on, with the measure of their commit.
    static let reservationsSince = PostgresStatement(
        """
        \(bisection(of: "reservations", by: "number", at: "created_at"))
        select \(ReservationRow.columns(of: "r")), c.units, c.details
        from reservations r
        left join lateral (
            -- The negative number is the key of `entries_reservation`.
            select e.units, e.details from entries e
            where -e.account_id = -r.account_id and e.reservation = r.number and e.type = 'commit'
                and r.status = 'committed'
            order by e.sequence desc
            limit 1
        ) c on true
        where r.environment_id = $1 and r.account_id = $2 and r.number > (select max(before) from bounds)
            and r.status <> 'active'
        """)
}

/// The usage under the terms of a limit, by the value of its `per`.
private struct UsageSums {
    let limit: Limit
    /// The values as text, in which form counters tell them apart.
    var byValue: [AttributeValue?: Int64] = [:]

    init(_ limit: Limit) {
        self.limit = limit
    }

    mutating func count(
        _ feature: FeatureKey, _ attributes: Attributes, units: Int64, quantity: Int64, credits: Int64
    ) {
        switch limit.unit {
        case .credits: add([feature], attributes, credits)
        case .units: add([feature], attributes, limit.dimension == nil ? units : quantity)
        case .concurrent: break
        }
    }

    /// - Parameter committed: The total of the commit; nil when there is none.
    mutating func count(_ reservation: Reservation, _ attributes: Attributes, _ committed: Demand?) {
        add(reservation.featureKeys, attributes, reservation.counted(by: limit, committed: committed))
    }

    private mutating func add(_ features: [FeatureKey], _ attributes: Attributes, _ amount: Int64) {
        guard amount > 0, features.contains(where: { limit.covers($0, attributes) }) else { return }
        let value = limit.per.flatMap { attributes.values[$0]?.text }.map { AttributeValue.string($0) }
        byValue[value] = byValue[value, default: 0].addingSaturated(amount)
    }
}
