package import Credits
package import Messaging
import Metering
package import Postgres
package import Answers

/// The packages in which an environment sells credits.
package enum PackageStore {
    package static func find(
        _ key: PackageKey, environmentID: EnvironmentID, on connection: PostgresConnection
    ) async throws -> PackageRecord? {
        let result = try await connection.run(
            PostgresQuery(
                """
                select package_key, name, credits, price, currency, expires_after, priority, archived_at is not null,
                    created_at, updated_at
                from topup_packages where environment_id = $1 and package_key = $2
                """, [.int32(environmentID.rawValue), .text(key.rawValue)]))
        return try result.first.map { try decodeRecord($0) }
    }

    /// A page of packages, newest first, beginning after one.
    package static func list(
        environmentID: EnvironmentID, after: (createdAt: Instant, key: PackageKey)?, limit: Int,
        on connection: PostgresConnection
    ) async throws -> [PackageRecord] {
        let result = try await connection.run(
            PostgresQuery(
                """
                select package_key, name, credits, price, currency, expires_after, priority, archived_at is not null,
                    created_at, updated_at
                from topup_packages
                where environment_id = $1 and ($2::timestamptz is null or (created_at, package_key) < ($2, $3::text))
                order by created_at desc, package_key desc limit $4
                """,
                [
                    .int32(environmentID.rawValue), .optionalTimestamp(microseconds: after?.createdAt.microseconds),
                    .optional(after?.key.rawValue), .int64(Int64(limit)),
                ]))
        return try result.map { try decodeRecord($0) }
    }

    private static func decodeRecord(_ row: PostgresRow) throws -> PackageRecord {
        PackageRecord(
            package: try decode(row), createdAt: Instant(microseconds: try row.timestamp(8)),
            updatedAt: Instant(microseconds: try row.timestamp(9)))
    }

    /// - Parameter row: Begins with key, name, credits, price, currency, expiry, priority and whether it is archived.
    static func decode(_ row: PostgresRow) throws -> TopupPackage {
        guard let key = PackageKey(try row.text(0)) else { throw StorageError.unknownValue(column: "package_key") }
        let expiresAfter = try row.textOrNil(5).map { text in
            guard let duration = CalendarDuration(iso8601: text) else {
                throw StorageError.unknownValue(column: "expires_after")
            }
            return duration
        }
        return TopupPackage(
            key: key, name: try row.text(1), credits: try Millicredits(row.int64(2)), price: try row.int64(3),
            currency: try row.text(4), expiresAfter: expiresAfter, priority: try row.int16OrNil(6),
            isArchived: try row.bool(7))
    }

    // MARK: - Changes, inside the catalogue worker's transaction

    package static func insert(
        _ record: PackageRecord, environmentID: EnvironmentID, on connection: PostgresConnection
    ) async throws {
        _ = try await connection.run(
            PostgresQuery(
                """
                insert into topup_packages (environment_id, package_key, name, credits, price, currency, expires_after,
                    priority, created_at, updated_at)
                values ($1, $2, $3, $4, $5, $6, $7::text, $8::smallint, $9, $9)
                """,
                parameters(record, environmentID) + [.timestamp(microseconds: record.createdAt.microseconds)]))
    }

    /// Changes a package, under the lock of its catalogue.
    package static func update(
        _ key: PackageKey, _ change: PackageChange, environmentID: EnvironmentID, now: Instant,
        on connection: PostgresConnection
    ) async throws -> PackageRecord? {
        guard let record = try await find(key, environmentID: environmentID, on: connection) else { return nil }
        let changed = PackageRecord(
            package: change.applied(to: record.package), createdAt: record.createdAt, updatedAt: now)
        _ = try await connection.run(
            PostgresQuery(
                """
                update topup_packages
                set name = $3, credits = $4, price = $5, currency = $6, expires_after = $7::text,
                    priority = $8::smallint, updated_at = $9,
                    archived_at = case when $10 then coalesce(archived_at, $9) end
                where environment_id = $1 and package_key = $2
                """,
                parameters(changed, environmentID) + [
                    .timestamp(microseconds: now.microseconds), .bool(changed.package.isArchived),
                ]))
        return changed
    }

    private static func parameters(_ record: PackageRecord, _ environmentID: EnvironmentID) -> [PostgresValue] {
        let package = record.package
        return [
            .int32(environmentID.rawValue), .text(package.key.rawValue), .text(package.name),
            .int64(package.credits.rawValue), .int64(package.price), .text(package.currency),
            .optional(package.expiresAfter?.iso8601), .optional(package.priority),
        ]
    }
}
