import Credits

/// The attributes of events by which the usage of a metered feature is reported: `report_by` of the feature.
///
/// Checkpoints sum usage by these attributes from the declaration on.
package struct ReportAttributes: Hashable, Sendable {
    package static let maximumCount = 8

    /// The members that a row of totals has beside the attribute. No attribute can have one of these names.
    package static let reservedNames = ["day", "hour", "month", "feature_key", "charges", "units", "cost"]

    /// The valid names, in the form that completes "must be …".
    package static let expectation =
        "\(FeatureKey.expectation), and none of \(reservedNames.joined(separator: ", ")), which name other members of a row"

    package static let none = ReportAttributes(names: [])

    /// In the order of the declaration, each once.
    package let names: [String]

    /// Nil unless there are at most eight valid names, each once.
    package init?(_ names: [String]) {
        guard names.count <= Self.maximumCount, names.allSatisfy(Self.isName), Set(names).count == names.count else {
            return nil
        }
        self.init(names: names)
    }

    private init(names: [String]) {
        self.names = names
    }

    package var isEmpty: Bool { names.isEmpty }

    /// Whether an attribute can be declared: whether the text can be an attribute's name and no other member of a row of
    /// totals has it.
    package static func isName(_ text: String) -> Bool {
        text.isCatalogueName && !reservedNames.contains(text)
    }
}
