package import Credits
package import Ledger
package import Postgres

// Past sums that depend on subscriptions. The credits of a subscription that permits no use are frozen.

extension LedgerReads {
    /// Explains how an account stands, or stood at an instant.
    ///
    /// It costs the rows of `standing`, `blockHistories` and `holdHistories`, and the account's subscriptions.
    ///
    /// - Parameters:
    ///   - instant: Nil means the latest entry.
    ///   - now: The account's current instant.
    package static func explanation(
        of account: AccountName, environmentID: EnvironmentID, at instant: Instant?, now: Instant,
        on connection: PostgresConnection
    ) async throws -> LedgerExplanation {
        let standing = try await LedgerReads.standing(
            environmentID: environmentID, accountID: account.id, at: instant ?? Instant(microseconds: .max),
            on: connection)
        let subscriptions = try await SubscriptionStore.begun(
            by: instant ?? now, environmentID: environmentID, accountID: account.id, on: connection)
        return try await explanation(
            of: account, environmentID: environmentID, standing, subscriptions, asOf: instant ?? now, on: connection)
    }

    /// The sums of an account at an instant, with its frozen credits.
    ///
    /// It costs the rows of `standing` and the account's subscriptions, and those of an explanation if one of these
    /// permitted no use.
    package static func balances(
        of account: AccountName, environmentID: EnvironmentID, at instant: Instant, on connection: PostgresConnection
    ) async throws -> PastStanding {
        let standing = try await LedgerReads.standing(
            environmentID: environmentID, accountID: account.id, at: instant, on: connection)
        let subscriptions = try await SubscriptionStore.begun(
            by: instant, environmentID: environmentID, accountID: account.id, on: connection)
        guard subscriptions.contains(where: { $0.standing(at: instant)?.deniesUsage ?? false }) else {
            return standing
        }
        return try await explanation(
            of: account, environmentID: environmentID, standing, subscriptions, asOf: instant, on: connection
        ).standing
    }

    private static func explanation(
        of account: AccountName, environmentID: EnvironmentID, _ standing: PastStanding,
        _ subscriptions: [Subscription], asOf instant: Instant, on connection: PostgresConnection
    ) async throws -> LedgerExplanation {
        let blocks = try await blockHistories(
            environmentID: environmentID, accountID: account.id, version: standing.version, on: connection)
        let holds = try await holdHistories(
            environmentID: environmentID, accountID: account.id, version: standing.version, on: connection)
        return LedgerExplanation(
            account: account, asOf: instant, standing: standing, blocks: blocks, holds: holds,
            subscriptions: subscriptions)
    }
}
