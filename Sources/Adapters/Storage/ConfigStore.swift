package import Credits
package import Messaging
package import Postgres

/// What an environment is set to.
extension CatalogueStore {
    /// Reads the seven columns of a config, beginning at one.
    static func decodeConfig(_ row: PostgresRow, from column: Int) throws -> EnvironmentConfig {
        let policy = try row.textOrNil(column + 2).map { name in
            guard let policy = OveragePolicy(rawValue: name) else {
                throw StorageError.unknownValue(column: "overage_policy")
            }
            return policy
        }
        let timeZone = try row.textOrNil(column + 4)
        return EnvironmentConfig(
            rateLimitPerSecond: try row.int32OrNil(column), failClosedOverMilliseconds: try row.int32OrNil(column + 1),
            overagePolicy: policy, overageLimit: try row.int64OrNil(column + 3).map { try Millicredits($0) },
            timeZone: timeZone,
            zone: timeZone == nil
                ? .utc
                : try ZoneRules(storedStarts: try row.timestamps(column + 5), offsets: try row.int32s(column + 6)))
    }

    /// Whether the database knows a time zone of that name. `posix/` and `right/` are spellings of the same zones, and
    /// `localtime` and `posixrules` are whatever the database's machine is set to.
    package static func isTimeZone(_ name: String, on connection: PostgresConnection) async throws -> Bool {
        let result = try await connection.run(
            PostgresQuery(
                """
                select from pg_timezone_names
                where name = $1 and name !~ '^(posix|right)/' and name not in ('localtime', 'posixrules', 'Factory')
                """, [.text(name)]))
        return result.rowCount > 0
    }

    /// Changes what an environment is set to, under the lock of its catalogue.
    ///
    /// A time zone that is named anew gets the calendar that the database has of it at that moment.
    ///
    /// - Parameter change: Its time zone must be one.
    /// - Returns: What it is then; nil when there is no such environment.
    package static func updateConfig(
        _ change: ConfigChange, environmentID: EnvironmentID, on connection: PostgresConnection
    ) async throws -> EnvironmentConfig? {
        let environment = PostgresValue.int32(environmentID.rawValue)
        guard let row = try await connection.run(PostgresQuery(selectConfig, [environment])).first else { return nil }
        var config = try decodeConfig(row, from: 0)
        config.rateLimitPerSecond = change.rateLimitPerSecond.applied(to: config.rateLimitPerSecond)
        config.failClosedOverMilliseconds = change.failClosedOverMilliseconds.applied(
            to: config.failClosedOverMilliseconds)
        config.overagePolicy = change.overagePolicy.applied(to: config.overagePolicy)
        config.overageLimit = change.overageLimit.applied(to: config.overageLimit)
        var queries = [
            PostgresQuery(
                """
                update environments
                set rate_limit_per_second = $2::integer, fail_closed_over_ms = $3::integer, overage_policy = $4::text,
                    overage_limit = $5::bigint
                where environment_id = $1
                """,
                [
                    environment, .optional(config.rateLimitPerSecond), .optional(config.failClosedOverMilliseconds),
                    .optional(config.overagePolicy?.rawValue), .optional(config.overageLimit?.rawValue),
                ])
        ]
        if case .set(let name) = change.timeZone {
            queries.append(
                PostgresQuery(
                    """
                    update environments set timezone = $2::text, zone_starts = zone.starts, zone_offsets = zone.offsets
                    from zone_transitions($2::text) as zone
                    where environment_id = $1
                    """, [environment, .optional(name)]))
        }
        queries.append(PostgresQuery(selectConfig, [environment]))
        guard let changed = try await connection.run(queries).last?.first else { return nil }
        return try decodeConfig(changed, from: 0)
    }

    private static let selectConfig: PostgresStatement = """
        select rate_limit_per_second, fail_closed_over_ms, overage_policy, overage_limit, timezone, zone_starts,
            zone_offsets
        from environments where environment_id = $1
        """
}

extension ZoneRules {
    /// The rules as a row has them: the offset before the first start comes first.
    package init(storedStarts starts: [Int64], offsets: [Int32]) throws {
        guard let initial = offsets.first, offsets.count == starts.count + 1 else {
            throw StorageError.unknownValue(column: "zone_offsets")
        }
        self.init(
            transitions: zip(starts, offsets.dropFirst()).map { (at: Instant(microseconds: $0), offsetSeconds: $1) },
            initialOffsetSeconds: initial)
    }
}
