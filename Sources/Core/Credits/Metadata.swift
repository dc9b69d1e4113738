/// A tenant's metadata for a block, an entry or an end user: a JSON object in canonical form (keys sorted, no white
/// space).
///
/// The ledger stores and returns it and includes it in an entry's hash, but never interprets it. Values are strings,
/// integers and booleans, so the canonical form is the same in every language.
package struct Metadata: Hashable, Sendable {
    /// The canonical JSON text of an object.
    package let canonicalJSON: String

    /// - Parameter canonicalJSON: Must be valid and canonical; the caller has checked it.
    package init(canonicalJSON: String) {
        self.canonicalJSON = canonicalJSON
    }
}
