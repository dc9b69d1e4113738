import Credits
import Testing

@testable import API

@Suite("API keys")
struct APIKeyTests {
    /// The expected text was computed independently: base 62 of 32 bytes of 0xFF, then of the first four bytes of the
    /// SHA-256 of the text before it.
    @Test("a key is its prefix, 43 digits of the secret and 6 of the checksum")
    func golden() {
        let key = APIKey.text(.live, secret: Array(repeating: 0xFF, count: 32))
        #expect(key == "qs_live_yhjskwdA6OZ1AL1YmHWZWm8LLG7HjnuCA2j5rOw8Xp12zsNIu")
        #expect(APIKey.kind(of: key) == .live)
    }

    @Test("leading zeros of a secret are kept", arguments: APIKey.Kind.allCases)
    func zeros(kind: APIKey.Kind) {
        let key = APIKey.text(kind, secret: Array(repeating: 0, count: 32))
        #expect(key.contains("_0000000000000000000000000000000000000000000"))
        #expect(APIKey.kind(of: key) == kind)
    }

    @Test("a key with one mistyped character is refused")
    func mistyped() {
        let key = Array(APIKey.random(.test))
        for index in key.indices {
            var wrong = key
            wrong[index] = key[index] == "a" ? "b" : "a"
            #expect(APIKey.kind(of: String(wrong)) == nil, "character \(index)")
        }
        #expect(APIKey.kind(of: String(key.dropLast())) == nil)
        #expect(APIKey.kind(of: String(key) + "a") == nil)
        #expect(APIKey.kind(of: "") == nil)
    }

    @Test("the same command makes the same key; another command, kind or secret key makes another one")
    func derivation() {
        let keys = KeyDerivation(secretKey: "qs_root_one")
        let id = Bits128(high: 1, low: 2)
        let key = keys.key(.live, commandID: id)
        #expect(keys.key(.live, commandID: id) == key)
        #expect(APIKey.kind(of: key) == .live)
        let others = [
            keys.key(.test, commandID: id), keys.key(.live, commandID: Bits128(high: 2, low: 1)),
            KeyDerivation(secretKey: "qs_root_two").key(.live, commandID: id),
        ]
        #expect(Set(others.map { $0.suffix(49) } + [key.suffix(49)]).count == 4)
    }
}
