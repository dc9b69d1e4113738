/// A tenant's metadata for a block, an entry or an end user: a JSON object in canonical form. Its members are sorted by
/// the UTF-8 bytes of their names at every level, there is no white space, and every number has the literal that was
/// sent.
///
/// The ledger stores and returns it and includes it in an entry's hash, but never interprets it. The canonical form is
/// part of the hash and never changes.
package struct Metadata: Hashable, Sendable {
    /// The length of the longest accepted canonical text, in bytes.
    package static let maximumBytes = 4_096
    /// The number of objects and arrays inside each other. `{}` has one level.
    package static let maximumLevels = 8

    /// The canonical JSON text of an object.
    package let canonicalJSON: String

    /// - Parameter canonicalJSON: Must be valid and canonical; the caller has checked it.
    package init(canonicalJSON: String) {
        self.canonicalJSON = canonicalJSON
    }
}
