import Credits
import Ledger
import Metering
import Postgres

/// Checks the checkpoints of one account against its entries, span by span.
///
/// A wrong checkpoint is a violation of I24: the sums of the entries up to any sequence are those that are stored there.
struct CheckpointVerifier {
    private let connection: PostgresConnection
    private let account: AccountName
    private let environmentID: EnvironmentID
    private var sums = EntrySums()
    /// The reservations that have changed in the latest span in which they did, without having got a row.
    private var unstored: Set<Int32> = []

    private init(_ account: AccountName, of environmentID: EnvironmentID, on connection: PostgresConnection) {
        self.connection = connection
        self.account = account
        self.environmentID = environmentID
    }

    /// The first wrong checkpoint of an account; nil when all are right. It reads the entries up to the last one.
    static func violation(
        of account: AccountName, in environmentID: EnvironmentID, on connection: PostgresConnection
    ) async throws -> Violation? {
        var verifier = CheckpointVerifier(account, of: environmentID, on: connection)
        var last: Int64 = 0
        while let stored = try await verifier.checkpoint(after: last) {
            if let detail = try await verifier.fault(of: stored) {
                return Violation(
                    invariant: "I24", environmentID: environmentID, endUserID: account.endUserID,
                    entry: account.id(.entry, stored.sequence),
                    detail: "the checkpoint at this entry \(detail); delete the account's checkpoints, "
                        + "which are made again when it gets new entries")
            }
            last = stored.sequence
        }
        return nil
    }

    // MARK: - Reading

    /// A checkpoint as it is stored, each of its facts as a text.
    private struct Stored {
        let sequence: Int64
        let previous: Int64
        let facts: Set<String>
        let reservations: [Int32: String]
        /// The attributes by which it sums the usage of features.
        let attributes: [FeatureKey?: Set<String>]
    }

    private func checkpoint(after last: Int64) async throws -> Stored? {
        let key: [PostgresValue] = [.id(environmentID), .id(account.id), .int64(last)]
        let found = try await connection.run(PostgresQuery(Self.findCheckpoint, key), within: .seconds(600))
        guard let row = found.first else { return nil }
        let sequence = try row.int64(0)
        let parts = try await connection.run(
            [Self.findBlocks, Self.findReservations, Self.findUsage].map {
                PostgresQuery($0, [.id(environmentID), .id(account.id), .int64(sequence)])
            }, within: .seconds(600))
        var facts: Set<String> = [
            Self.granted(try row.int64(2)), Self.list("open blocks", try row.int32s(3)),
            Self.list("reservations that hold credits", try row.int32s(4)),
        ]
        for row in parts[0] { facts.insert("block \(try row.int32(0)): \(try row.text(1))") }
        var attributes: [FeatureKey?: Set<String>] = [:]
        for row in parts[2] {
            let attribute = try row.text(1)
            if !attribute.isEmpty { attributes[FeatureKey(try row.text(0)), default: []].insert(attribute) }
            facts.insert("usage \(try row.text(2))")
        }
        var reservations: [Int32: String] = [:]
        for row in parts[1] { reservations[try row.int32(0)] = try row.text(1) }
        return Stored(
            sequence: sequence, previous: try row.int64(1), facts: facts, reservations: reservations,
            attributes: attributes)
    }

    private static let findCheckpoint: PostgresStatement = """
        select sequence, coalesce(previous, 0), lifetime_granted, open_blocks, held_reservations
        from checkpoints
        where environment_id = $1 and account_id = $2 and sequence > $3
        order by sequence
        limit 1
        """

    private static let findBlocks: PostgresStatement = """
        select c.block, (
            select string_agg(concat_ws(' ', p.type, p.amount, p.held, p.count, p.first, p.last), ', ' order by p.first)
            from unnest(c.types, c.amounts, c.holds, c.counts, c.firsts, c.lasts)
                as p (type, amount, held, count, first, last)
        )
        from checkpoint_blocks c
        where c.environment_id = $1 and c.account_id = $2 and c.sequence = $3
        """

    private static let findReservations: PostgresStatement = """
        select c.reservation, concat_ws(' ', coalesce(c.feature_key, '-'), coalesce(c.units::text, '-'), (
            select string_agg(concat_ws(' ', p.block, p.held, p.first, p.last), ', ' order by p.block)
            from unnest(c.blocks, c.holds, c.firsts, c.lasts) as p (block, held, first, last)
        ))
        from checkpoint_reservations c
        where c.environment_id = $1 and c.account_id = $2 and c.sequence = $3
        """

    private static let findUsage: PostgresStatement = """
        select c.feature_key, c.attribute, concat_ws(' ', coalesce(nullif(c.feature_key, ''), '-'),
            coalesce(nullif(c.attribute, ''), '-'), coalesce(c.value, '-'), c.charges, c.units, c.cost,
            (extract(epoch from c.first_quarter) * 1000000)::bigint, (extract(epoch from c.last_quarter) * 1000000)::bigint,
            (
                select string_agg(
                    concat_ws(' ', (extract(epoch from p.quarter) * 1000000)::bigint, p.charges, p.units, p.cost), ', '
                    order by p.quarter)
                from unnest(c.quarters, c.quarter_charges, c.quarter_units, c.quarter_costs)
                    as p (quarter, charges, units, cost)
            ))
        from checkpoint_usage c
        where c.environment_id = $1 and c.account_id = $2 and c.sequence = $3
        """

    private static let findEntries = EntryRow.select(
        where: """
            t.environment_id = $1 and t.account_id = $2 and t.sequence > $3 and t.sequence <= $4 order by t.sequence
            """)

    // MARK: - Comparing

    /// The fault of the next checkpoint, as the end of a sentence; nil when it is right.
    private mutating func fault(of stored: Stored) async throws -> String? {
        sums.startSpan()
        let entries = try await connection.run(
            PostgresQuery(
                Self.findEntries,
                [.id(environmentID), .id(account.id), .int64(stored.previous), .int64(stored.sequence)]),
            within: .seconds(600))
        for row in entries { sums.take(try EntryRow(row).entry) }
        if entries.rowCount != stored.sequence - stored.previous { return "sums up entries that are missing" }
        let expected = facts(summedBy: stored.attributes)
        if let fact = stored.facts.subtracting(expected).min() { return "says \(fact), which the entries do not give" }
        if let fact = expected.subtracting(stored.facts).min() { return "lacks \(fact)" }
        return faultOfReservations(stored)
    }

    /// A reservation has a row when it may change again. Whether it may is known by the end of the books only, so a row
    /// that is missing shows when the reservation changes.
    private mutating func faultOfReservations(_ stored: Stored) -> String? {
        if let number = sums.changedReservations.intersection(unstored).min() {
            return "follows one that lacks reservation \(number)"
        }
        for (number, text) in stored.reservations {
            guard sums.changedReservations.contains(number), let expected = sums.reservations[number] else {
                return "has reservation \(number), which had not changed"
            }
            if text != Self.text(expected) {
                return "says \(text) of reservation \(number), but the entries give \(Self.text(expected))"
            }
        }
        let missing = sums.changedReservations.subtracting(stored.reservations.keys)
        if let number = missing.intersection(sums.heldReservations).min() {
            return "lacks reservation \(number), which holds credits"
        }
        unstored.subtract(stored.reservations.keys)
        unstored.formUnion(missing)
        return nil
    }

    /// The facts that a checkpoint has.
    ///
    /// - Parameter attributes: The attributes by which it sums the usage of features. Nothing else records which were
    ///   declared when it was made. Without the sums of one, reads add up the entries.
    private func facts(summedBy attributes: [FeatureKey?: Set<String>]) -> Set<String> {
        var facts: Set<String> = [
            Self.granted(sums.lifetimeGranted), Self.list("open blocks", sums.openBlocks.sorted()),
            Self.list("reservations that hold credits", sums.heldReservations.sorted()),
        ]
        for number in sums.changedBlocks {
            let parts = sums.blocks[number, default: [:]].sorted { $0.value.first < $1.value.first }.map { type, part in
                "\(type.rawValue) \(part.amount) \(part.held) \(part.count) \(part.first) \(part.last)"
            }
            facts.insert("block \(number): \(parts.joined(separator: ", "))")
        }
        for feature in sums.usedFeatures {
            facts.insert(Self.text(sums.usage(of: feature), feature: feature))
            for attribute in attributes[feature, default: []] {
                for (value, usage) in sums.usage(of: feature, by: attribute) {
                    facts.insert(Self.text(usage, feature: feature, attribute: attribute, value: value))
                }
            }
        }
        return facts
    }

    private static func text(
        _ usage: [Instant: EntrySums.Usage], feature: FeatureKey?, attribute: String = "-", value: AttributeValue? = nil
    ) -> String {
        let quarters = usage.sorted { $0.key < $1.key }
        let charges = quarters.reduce(0) { $0 + $1.value.charges }
        let units = quarters.reduce(0) { $0 + $1.value.units }
        let cost = quarters.reduce(0) { $0 + $1.value.cost }
        let (first, last) = (quarters.first?.key.microseconds ?? 0, quarters.last?.key.microseconds ?? 0)
        let parts = quarters.map { quarter, usage in
            "\(quarter.microseconds) \(usage.charges) \(usage.units) \(usage.cost)"
        }
        let name = "usage \(feature?.rawValue ?? "-") \(attribute) \(value?.canonicalJSON ?? "-")"
        return "\(name) \(charges) \(units) \(cost) \(first) \(last) \(parts.joined(separator: ", "))"
    }

    private static func granted(_ amount: some BinaryInteger) -> String { "\(amount) mc granted in all" }

    private static func list(_ name: String, _ numbers: [Int32]) -> String {
        "\(name) [\(numbers.map { "\($0)" }.joined(separator: " "))]"
    }

    private static func text(_ sums: EntrySums.ReservationSums) -> String {
        let holds = sums.holds.sorted { $0.key < $1.key }.map { block, hold in
            "\(block) \(hold.amount) \(hold.first) \(hold.last)"
        }
        let head = "\(sums.featureKey?.rawValue ?? "-") \(sums.units.map { "\($0)" } ?? "-")"
        return holds.isEmpty ? head : "\(head) \(holds.joined(separator: ", "))"
    }
}
