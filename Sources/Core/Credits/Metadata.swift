/// What a tenant attaches to a block, an entry or an end user: a JSON object in canonical form (keys sorted, no white space).
///
/// The ledger stores it, returns it and includes it in an entry's hash; it never looks inside. Values are strings,
/// integers and booleans, so that the canonical form is the same in every language.
package struct Metadata: Hashable, Sendable {
    /// The canonical JSON text, an object.
    package let canonicalJSON: String

    /// - Parameter canonicalJSON: Canonical already; the caller has validated it.
    package init(canonicalJSON: String) {
        self.canonicalJSON = canonicalJSON
    }
}
