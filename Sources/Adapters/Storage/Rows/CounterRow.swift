package import Credits
package import Ledger
package import Postgres

/// A row of `counters`: the usage of an account in one window of a limit or of a period tier, or the remainder of a price.
package struct CounterRow: TableRow, Sendable {
    package let environmentID: EnvironmentID
    package let accountID: AccountID
    package let id: CounterID
    package let counter: WindowCounter

    package static let table = "counters"
    package static let columns = [
        "environment_id", "account_id", "counter_id", "window_start", "window_end", "used", "generation", "told",
    ]

    package static let unreplicatedColumns: Set = ["generation", "told"]

    package init(_ fields: inout RowFields, keeping old: CounterRow?) throws {
        environmentID = try fields.environmentID(or: old?.environmentID)
        accountID = try fields.accountID(or: old?.accountID)
        id = CounterID(bits: try fields.bits(or: old?.id.bits))
        let window = old?.counter.window
        counter = WindowCounter(
            window: TimeWindow(
                start: try fields.instant(or: window?.start), end: try fields.instant(or: window?.end)),
            used: try fields.int64(or: old?.counter.used),
            generation: try fields.int32OrNil(or: old.map { .some($0.counter.generation) }) ?? 0,
            told: Int16(truncatingIfNeeded: try fields.int32OrNil(or: old.map { .some(Int32($0.counter.told)) }) ?? 0))
    }

    package init(environmentID: EnvironmentID, accountID: AccountID, id: CounterID, counter: WindowCounter) {
        self.environmentID = environmentID
        self.accountID = accountID
        self.id = id
        self.counter = counter
    }
}

/// A counter to write, with its account.
struct CounterToWrite {
    let account: Account
    let id: CounterID
    let counter: WindowCounter
}

extension BulkStatement<CounterToWrite> {
    static let upsertCounters = BulkStatement.insert(
        into: "counters",
        [
            .int32("environment_id") { $0.account.environmentID.rawValue as Int32 },
            .int64("account_id") { $0.account.id.rawValue as Int64 },
            .bits("counter_id") { $0.id.bits as Bits128 },
            .instant("window_start") { $0.counter.window.start as Instant },
            .instant("window_end") { $0.counter.window.end as Instant },
            .int64("used") { $0.counter.used as Int64 },
            .int32("generation") { $0.counter.generation as Int32 },
            .int32("told") { Int32($0.counter.told) as Int32 },
            .bool("is_on_test_clock") { $0.account.settings.testClock != nil },
        ],
        suffix: """
            on conflict (environment_id, account_id, counter_id) do update set window_start = excluded.window_start,
                window_end = excluded.window_end, used = excluded.used, generation = excluded.generation,
                told = excluded.told, is_on_test_clock = excluded.is_on_test_clock
            """)
}
