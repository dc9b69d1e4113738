package import Catalogue

/// A kind of mutation in the audit log. The kinds of the commands for accounts stand beside `AccountCommand`, those of
/// the catalogue beside `CatalogueCommand`.
package struct AuditAction: Hashable, Sendable {
    /// A noun and a verb, such as `credits.grant`.
    package let name: String
    /// The area of the mutation. A key with the right to read the area may see the operation.
    package let area: AccessArea
    /// The secret that a successful answer shows and the ledger does not know; nil for actions without a secret.
    package let secret: SecretKind?

    init(_ name: String, _ area: AccessArea, secret: SecretKind? = nil) {
        self.name = name
        self.area = area
        self.secret = secret
    }

    package static let all = accountActions + catalogueActions

    private static let byName = Dictionary(uniqueKeysWithValues: all.map { ($0.name, $0) })

    /// Nil for a name that this release does not know.
    package init?(named name: String) {
        guard let action = Self.byName[name] else { return nil }
        self = action
    }
}

/// A secret that an answer shows once. The ledger stores only digests; the API derives the secret from the command's
/// id.
package enum SecretKind: Hashable, Sendable {
    /// `key`: the text of a new API key.
    case apiKey
    /// `api_keys`: the keys of a new tenant's environments.
    case tenantKeys
    /// `secret`: the signing secret of a webhook endpoint.
    case webhookSecret
}
