/// Sentences and examples for the members that a reader reads. The reader itself knows their kinds and their bounds.
package struct JSONNotes: Sendable {
    /// One name of a member.
    package struct Field: Sendable {
        /// A sentence about the member, with its unit.
        package let sentence: String
        /// Values that the member can have, in the order of preference. A reader takes the first that it accepts.
        package let examples: [JSONValue]

        package init(_ sentence: String, examples: [JSONValue] = []) {
            self.sentence = sentence
            self.examples = examples
        }
    }

    /// By name.
    package let fields: [String: Field]
    /// The schemas of texts with a form of their own, by the words that complete "must be …".
    package let texts: [String: JSONSchema]

    package init(fields: [String: Field], texts: [String: JSONSchema]) {
        self.fields = fields
        self.texts = texts
    }

    package static let none = JSONNotes(fields: [:], texts: [:])
}
