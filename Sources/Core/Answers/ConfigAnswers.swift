package import Catalogue
import Credits
package import JSON

extension JSONWriter {
    /// Writes the configuration of an environment; null stands for the default.
    package mutating func config(_ config: EnvironmentConfig) {
        beginObject()
        member("overage_policy", config.overagePolicy?.rawValue)
        member("overage_limit", config.overageLimit?.rawValue)
        member("timezone", config.timeZone)
        member("rate_limit_per_second", config.rateLimitPerSecond.map { Int64($0) })
        member("fail_closed_over_ms", config.failClosedOverMilliseconds.map { Int64($0) })
        endObject()
    }
}
