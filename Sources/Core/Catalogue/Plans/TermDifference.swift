package import JSON

/// A term of a variant that another version has differently.
package struct TermDifference: Equatable, Sendable {
    /// The name of the term in answers.
    package let term: String
    package let from: JSONValue
    package let to: JSONValue
}

extension VariantTerms {
    /// The terms that differ from those of another version, in the order in which terms are shown.
    package func differences(to other: VariantTerms) -> [TermDifference] {
        zip(json.members, other.json.members).compactMap { own, other in
            own.value == other.value ? nil : TermDifference(term: own.key, from: own.value, to: other.value)
        }
    }
}
