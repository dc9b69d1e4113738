package import Credits

/// An area of the API. A key has separate scopes for reading and for changing it.
package enum AccessArea: String, Sendable, CaseIterable {
    case credits
    case usage
    case entitlements
    case reservations
    case subscriptions
    case catalog
    case webhooks
    case admin
}

/// The scopes of an API key: areas to read and areas to change. The right to change does not include the right to read.
package struct KeyScopes: OptionSet, Hashable, Sendable {
    package let rawValue: UInt32

    package init(rawValue: UInt32) {
        self.rawValue = rawValue
    }

    /// Every scope, including scopes that later releases add. A key that was created without a list of scopes has
    /// these.
    package static let all = KeyScopes(rawValue: .max)

    package static func read(_ area: AccessArea) -> KeyScopes {
        KeyScopes(rawValue: 1 << (2 * place(of: area)))
    }

    package static func write(_ area: AccessArea) -> KeyScopes {
        KeyScopes(rawValue: 2 << (2 * place(of: area)))
    }

    private static func place(of area: AccessArea) -> UInt32 {
        UInt32(AccessArea.allCases.firstIndex(of: area) ?? 0)
    }

    /// Every scope with its name, `credits:read`, `credits:write`, …, in the order in which they are shown.
    package static let named: [(name: String, scope: KeyScopes)] = AccessArea.allCases.flatMap { area in
        [("\(area.rawValue):read", .read(area)), ("\(area.rawValue):write", .write(area))]
    }

    /// One scope; nil for an unknown name.
    package init?(name: String) {
        guard let found = Self.named.first(where: { $0.name == name }) else { return nil }
        self = found.scope
    }

    /// The names of the scopes; nil for `all`.
    package var names: [String]? {
        self == .all ? nil : Self.named.filter { contains($0.scope) }.map(\.name)
    }
}

/// The rights of an API key: its scopes and its expiry.
package struct KeyRights: Hashable, Sendable {
    package let scopes: KeyScopes
    /// The key is refused from this instant on; nil means that it never expires.
    package let expiresAt: Instant?

    package init(scopes: KeyScopes, expiresAt: Instant?) {
        self.scopes = scopes
        self.expiresAt = expiresAt
    }

    /// All scopes, without expiry.
    package static let all = KeyRights(scopes: .all, expiresAt: nil)

    /// Whether a key with these rights may create a key with the other rights. A key cannot give more than it has.
    package func include(_ other: KeyRights) -> Bool {
        guard scopes.isSuperset(of: other.scopes) else { return false }
        guard let expiresAt else { return true }
        return other.expiresAt.map { $0 <= expiresAt } ?? false
    }
}
