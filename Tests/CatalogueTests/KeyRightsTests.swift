import Catalogue
import Credits
import Testing

@Suite("Rights of keys")
struct KeyRightsTests {
    @Test("every area has a scope to read and one to change, and neither includes the other")
    func scopes() {
        #expect(KeyScopes.named.count == 16)
        #expect(Set(KeyScopes.named.map(\.scope.rawValue)).count == 16)
        for (name, scope) in KeyScopes.named {
            #expect(KeyScopes(name: name) == scope)
            #expect(scope.names == [name])
            #expect(KeyScopes.all.isSuperset(of: scope))
        }
        #expect(!KeyScopes.write(.usage).contains(.read(.usage)))
        #expect(KeyScopes.all.names == nil)
    }

    @Test(
        "a text that is not a scope is refused",
        arguments: ["", "admin", "admin:", ":read", "admin:all", "Admin:read", "*"])
    func unknown(name: String) {
        #expect(KeyScopes(name: name) == nil)
    }

    @Test("a key with every scope has fewer rights than a key without scopes, which also gets later scopes")
    func everyScopeIsNotAll() {
        let every = KeyScopes.named.reduce(into: KeyScopes()) { $0.formUnion($1.scope) }
        #expect(every != .all && every.names?.count == 16)
        #expect(!KeyRights(scopes: every, expiresAt: nil).include(.all))
        #expect(KeyRights.all.include(KeyRights(scopes: every, expiresAt: nil)))
    }

    @Test("a key cannot give scopes or time that it does not have")
    func inclusion() {
        let early = Instant(microseconds: 1)
        let late = Instant(microseconds: 2)
        let cases: [(KeyRights, KeyRights, Bool)] = [
            (.all, .all, true),
            (.all, KeyRights(scopes: .read(.usage), expiresAt: early), true),
            (KeyRights(scopes: .read(.usage), expiresAt: nil), .all, false),
            (
                KeyRights(scopes: [.read(.usage), .write(.usage)], expiresAt: nil),
                KeyRights(scopes: .write(.usage), expiresAt: nil), true
            ),
            (
                KeyRights(scopes: .read(.usage), expiresAt: nil),
                KeyRights(scopes: .write(.usage), expiresAt: nil), false
            ),
            (KeyRights(scopes: .all, expiresAt: late), KeyRights(scopes: .all, expiresAt: late), true),
            (KeyRights(scopes: .all, expiresAt: late), KeyRights(scopes: .all, expiresAt: early), true),
            (KeyRights(scopes: .all, expiresAt: early), KeyRights(scopes: .all, expiresAt: late), false),
            (KeyRights(scopes: .all, expiresAt: early), .all, false),
        ]
        for (grantor, rights, isIncluded) in cases {
            #expect(grantor.include(rights) == isIncluded, "\(grantor) \(rights)")
        }
    }
}
