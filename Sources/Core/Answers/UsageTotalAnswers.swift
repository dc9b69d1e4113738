import Credits
package import JSON
package import Ledger
import Metering

extension JSONWriter {
    /// A row of totals. `day` and `feature_key` are always there; `hour`, `month` and the attribute, whose name is the
    /// member's, are there in the rows that are grouped by them.
    package mutating func usageTotal(_ total: UsageTotal) {
        var day: String?
        var featureKey: FeatureKey?
        switch total.group {
        case .day(let date): day = date
        case .feature(let key): featureKey = key
        case .all, .hour, .month, .attribute: break
        }
        beginObject()
        member("day", day)
        member("feature_key", featureKey?.rawValue)
        switch total.group {
        case .hour(let start): member("hour", start as Instant?)
        case .month(let month): member("month", month)
        case .attribute(let name, let value):
            key(name)
            if let value { self.value(value.json) } else { null() }
        case .all, .day, .feature: break
        }
        member("charges", total.charges)
        member("units", total.units)
        member("cost", total.cost)
        endObject()
    }
}
