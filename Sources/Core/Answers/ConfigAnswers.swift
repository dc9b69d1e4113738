package import Catalogue
import Credits
package import JSON

extension JSONWriter {
    /// Writes the limits that the operator has set for a tenant. Null stands for "no limit".
    package mutating func tenantLimits(rateLimitPerSecond: Int32?) {
        beginObject()
        member("rate_limit_per_second", rateLimitPerSecond.map { Int64($0) })
        endObject()
    }

    /// Writes the configuration that is in force in an environment. Null stands for "no limit".
    package mutating func config(_ config: EnvironmentConfig) {
        beginObject()
        member("overage_policy", config.effectiveOveragePolicy.rawValue)
        member("overage_limit", config.overageLimit?.rawValue)
        member("timezone", config.effectiveTimeZone)
        member("rate_limit_per_second", config.rateLimitPerSecond.map { Int64($0) })
        member("fail_closed_over_ms", config.failClosedOverMilliseconds.map { Int64($0) })
        member("default_plan_variant_id", config.defaultVariantID?.description)
        member("fallback_variant_id", config.fallbackVariantID?.description)
        array("balance_low_thresholds", config.balanceLowThresholds ?? []) { $0.value($1.json) }
        member("expiring_soon_hours", Int64(config.effectiveExpiringSoonHours))
        if let types = config.recordedEventTypes {
            array("record_event_types", types.types) { $0.value(.string($1.rawValue)) }
        } else {
            member("record_event_types", nil as String?)
        }
        member("create_end_users", config.effectiveEndUserCreation.rawValue)
        endObject()
    }
}
