package import Credits

/// A part of the API that a key can be given, apart for reading and for changing.
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

/// What an API key may do: areas to read, and areas to change. Changing does not include reading.
package struct KeyScopes: OptionSet, Hashable, Sendable {
    package let rawValue: UInt32

    package init(rawValue: UInt32) {
        self.rawValue = rawValue
    }

    /// Everything, and whatever later releases add: the scopes of a key that was made without any.
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

    /// Every scope by its name, `credits:read`, `credits:write`, …, in the order in which they are shown.
    package static let named: [(name: String, scope: KeyScopes)] = AccessArea.allCases.flatMap { area in
        [("\(area.rawValue):read", .read(area)), ("\(area.rawValue):write", .write(area))]
    }

    /// One scope; nil for a name that is none.
    package init?(name: String) {
        guard let found = Self.named.first(where: { $0.name == name }) else { return nil }
        self = found.scope
    }

    /// The names of the scopes; nil for a key that may do everything.
    package var names: [String]? {
        self == .all ? nil : Self.named.filter { contains($0.scope) }.map(\.name)
    }
}

/// What an API key may do, and until when.
package struct KeyRights: Hashable, Sendable {
    package let scopes: KeyScopes
    /// The key is refused from this instant on; nil means never.
    package let expiresAt: Instant?

    package init(scopes: KeyScopes, expiresAt: Instant?) {
        self.scopes = scopes
        self.expiresAt = expiresAt
    }

    /// Everything, for ever.
    package static let all = KeyRights(scopes: .all, expiresAt: nil)

    /// Whether a key with these rights may give a key with the others: nobody gives what they do not have.
    package func include(_ other: KeyRights) -> Bool {
        guard scopes.isSuperset(of: other.scopes) else { return false }
        guard let expiresAt else { return true }
        return other.expiresAt.map { $0 <= expiresAt } ?? false
    }
}
