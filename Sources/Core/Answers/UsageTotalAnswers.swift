import Credits
package import JSON
package import Ledger

extension JSONWriter {
    package mutating func usageTotal(_ total: UsageTotal) {
        beginObject()
        member("day", total.day)
        member("feature_key", total.featureKey?.rawValue)
        member("charges", total.charges)
        member("units", total.units)
        member("cost", total.cost)
        endObject()
    }
}
