package import Credits

/// A key of the tenant's own for something that has an id too.
package protocol NamedByKey: Hashable, Sendable {
    /// The kind of the ids for which the keys stand.
    static var idKind: PublicIDKind { get }
    /// The valid texts of an id or a key, in the form that completes "must be …".
    static var nameExpectation: String { get }

    var rawValue: String { get }
    init?(_ rawValue: String)
}

/// A name of a plan or a variant in a request: its id or the tenant's key. No key begins like an id.
package enum CatalogueName<Key: NamedByKey>: Hashable, Sendable {
    case id(PublicID)
    case key(Key)

    /// Nil for a text that is neither an id nor a key.
    package init?(_ text: String) {
        if let id = PublicID(Key.idKind, parsing: text) {
            self = .id(id)
        } else if let key = Key(text) {
            self = .key(key)
        } else {
            return nil
        }
    }

    package var text: String {
        switch self {
        case .id(let id): id.description
        case .key(let key): key.rawValue
        }
    }
}

package typealias PlanName = CatalogueName<PlanKey>
package typealias VariantName = CatalogueName<VariantKey>

extension PlanKey: NamedByKey {
    package static var idKind: PublicIDKind { .plan }
    package static var nameExpectation: String { "the id or the key of a plan" }
}

extension VariantKey: NamedByKey {
    package static var idKind: PublicIDKind { .planVariant }
    package static var nameExpectation: String { "the id or the key of a plan variant" }
}
