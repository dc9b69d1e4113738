package import Catalogue
package import Credits
package import Postgres

/// The configuration of an environment.
extension CatalogueStore {
    /// Whether the database knows a time zone of that name. `posix/` and `right/` are refused because they are
    /// spellings of the same zones, `localtime` and `posixrules` because they depend on the database's machine.
    package static func isTimeZone(_ name: String, on connection: PostgresConnection) async throws -> Bool {
        let result = try await connection.run(
            PostgresQuery(
                """
                select from pg_timezone_names
                where name = $1 and name !~ '^(posix|right)/' and name not in ('localtime', 'posixrules', 'Factory')
                """, [.text(name)]))
        return result.rowCount > 0
    }

    /// Changes the configuration of an environment. The caller must hold the lock of its catalogue.
    ///
    /// A time zone that is set gets the transitions that the database knows for it at that moment.
    ///
    /// - Parameters:
    ///   - change: Its time zone must have passed `isTimeZone`.
    ///   - defaultVariant: The change's default variant, looked up.
    ///   - fallbackVariant: The change's fallback variant, looked up.
    /// - Returns: The new configuration; nil when there is no such environment.
    package static func updateConfig(
        _ change: ConfigChange, defaultVariant: FieldChange<PublicID> = .keep,
        fallbackVariant: FieldChange<PublicID> = .keep,
        environmentID: EnvironmentID, on connection: PostgresConnection
    ) async throws -> EnvironmentConfig? {
        let environment = PostgresValue.id(environmentID)
        let found = try await connection.run(PostgresQuery(loadEnvironment, [environment]))
        guard var config = try EnvironmentRow.all(found).first?.config else { return nil }
        config.rateLimitPerSecond = change.rateLimitPerSecond.applied(to: config.rateLimitPerSecond)
        config.failClosedOverMilliseconds = change.failClosedOverMilliseconds.applied(
            to: config.failClosedOverMilliseconds)
        config.overagePolicy = change.overagePolicy.applied(to: config.overagePolicy)
        config.overageLimit = change.overageLimit.applied(to: config.overageLimit)
        config.defaultVariantID = defaultVariant.applied(to: config.defaultVariantID)
        config.fallbackVariantID = fallbackVariant.applied(to: config.fallbackVariantID)
        config.balanceLowThresholds = change.balanceLowThresholds.applied(to: config.balanceLowThresholds)
        config.expiringSoonHours = change.expiringSoonHours.applied(to: config.expiringSoonHours)
        config.recordedEventTypes = change.recordedEventTypes.applied(to: config.recordedEventTypes)
        config.createEndUsers = change.createEndUsers.applied(to: config.createEndUsers)
        var queries = [
            PostgresQuery(
                """
                update environments
                set rate_limit_per_second = $2::integer, fail_closed_over_ms = $3::integer, overage_policy = $4::text,
                    overage_limit = $5::bigint, create_end_users = $6::text, default_variant_id = $7::uuid,
                    fallback_variant_id = $8::uuid, balance_low_thresholds = $9::text,
                    expiring_soon_hours = $10::integer, recorded_event_types = $11::text
                where environment_id = $1
                """,
                [
                    environment, .optional(config.rateLimitPerSecond), .optional(config.failClosedOverMilliseconds),
                    .optional(config.overagePolicy?.rawValue), .optional(config.overageLimit?.rawValue),
                    .optional(config.createEndUsers?.rawValue), .bits(config.defaultVariantID?.bits),
                    .bits(config.fallbackVariantID?.bits), .optional(config.balanceLowThresholds?.canonicalJSON),
                    .optional(config.expiringSoonHours), .optional(config.recordedEventTypes?.names),
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
        queries.append(PostgresQuery(loadEnvironment, [environment]))
        guard let changed = try await connection.run(queries).last else { return nil }
        return try EnvironmentRow.all(changed).first?.config
    }
}
