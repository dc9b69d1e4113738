package import Credits
package import Metering

/// The key by which usage is summed.
package enum UsageGrouping: Hashable, Sendable {
    /// One total for each hour, day or month of the environment's clocks.
    case hour
    case day
    case month
    case feature
    /// One total for each value of an attribute that the feature declares in `report_by`.
    case attribute(String)

    /// The valid texts, in the form that completes "must be …".
    package static let expectation = "hour, day, month, feature or attribute:<name>"

    /// Reads the text of a request: `day`, or `attribute:model`.
    package init?(_ text: String) {
        let prefix = "attribute:"
        switch text {
        case "hour": self = .hour
        case "day": self = .day
        case "month": self = .month
        case "feature": self = .feature
        case _ where text.hasPrefix(prefix):
            let name = String(text.dropFirst(prefix.count))
            guard name.isCatalogueName else { return nil }
            self = .attribute(name)
        default: return nil
        }
    }
}

/// The units and the cost of usage, summed. Later refunds are not subtracted.
package struct UsageTotal: Hashable, Sendable {
    /// The usage that a total sums.
    package enum Group: Hashable, Sendable {
        case all
        /// The instant at which the local hour begins. Where the clocks are changed, an hour begins with the change.
        case hour(Instant)
        /// A local date such as `2026-01-31`.
        case day(String)
        /// A local month such as `2026-01`.
        case month(String)
        /// Nil is usage without a feature.
        case feature(FeatureKey?)
        /// The value of the attribute with that name; nil is usage without the attribute.
        case attribute(String, AttributeValue?)
    }

    package let group: Group
    /// The number of entries that charged. A reservation with progress has several.
    package let charges: Int64
    /// Saturates at `Int64.max`.
    package let units: Int64
    /// In millicredits; saturates at `Int64.max`.
    package let cost: Int64

    package init(_ group: Group, charges: Int64, units: Int64, cost: Int64) {
        self.group = group
        self.charges = charges
        self.units = units
        self.cost = cost
    }
}
