import Credits
import Testing

@Suite("Names are checked once and are then what the tenant wrote")
struct IdentifierTests {
    @Test(
        "An end user id is 1 to 256 bytes of anything but NUL",
        arguments: [
            "a", "user_123", " ", "user/with?odd#characters%", "Ünïcödé", "👩‍👩‍👧", "\n",
            String(repeating: "x", count: 256), String(repeating: "é", count: 128),
        ])
    func endUserIDs(text: String) {
        #expect(EndUserID(text)?.rawValue == text)
    }

    @Test(
        "An empty text, one that is too long and one with NUL are not end user ids",
        arguments: [
            "", "\u{0}", "a\u{0}b", String(repeating: "x", count: 257), String(repeating: "é", count: 129),
            String(repeating: "x", count: 255) + "é",
        ])
    func notEndUserIDs(text: String) {
        #expect(EndUserID(text) == nil)
    }

    @Test("Ids that differ in their bytes are different end users, as in the database")
    func canonicallyEquivalentEndUsers() throws {
        let composed = try #require(EndUserID("ren\u{E9}"))
        let decomposed = try #require(EndUserID("rene\u{301}"))
        #expect(composed != decomposed)
        #expect(Set([composed, decomposed]).count == 2)
        #expect((composed < decomposed) != (decomposed < composed))
    }

    @Test("End users sort by their bytes, so that every process locks accounts in the same order")
    func endUserOrder() throws {
        let ids = try ["A", "Z", "a", "e\u{301}", "ea", "z", "\u{E9}", "\u{FF21}", "\u{1F600}"].map {
            try #require(EndUserID($0))
        }
        let byBytes = ids.sorted { $0.rawValue.utf8.lexicographicallyPrecedes($1.rawValue.utf8) }
        #expect(ids.sorted().map { Array($0.rawValue.utf8) } == byBytes.map { Array($0.rawValue.utf8) })
    }

    @Test(
        "A feature key is 1 to 64 of letters, digits and four signs",
        arguments: ["a", "api_calls", "GPT-4.1:input", "0", "_", "-", ".", ":", String(repeating: "k", count: 64)])
    func featureKeys(text: String) {
        #expect(FeatureKey(text)?.rawValue == text)
    }

    @Test(
        "Any other text is not a feature key",
        arguments: [
            "", " ", "a b", "a/b", "é", "a\u{0}", "a\n", "a,b", "a;b", "@", "[", "`", "{",
            String(repeating: "k", count: 65),
        ])
    func notFeatureKeys(text: String) {
        #expect(FeatureKey(text) == nil)
    }

    @Test("Environments and accounts sort by number")
    func numbers() {
        #expect([EnvironmentID(3), EnvironmentID(1)].min() == EnvironmentID(1))
        #expect([AccountID(10), AccountID(9)].min() == AccountID(9))
        #expect(EnvironmentKind(rawValue: "live") == .live)
        #expect(EnvironmentKind.allCases.map(\.rawValue) == ["live", "test"])
    }
}
