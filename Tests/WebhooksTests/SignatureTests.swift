import Catalogue
import Credits
import Testing

@testable import Webhooks

@Suite("Signatures and secrets")
struct SignatureTests {
    /// The secret of the worked example of Standard Webhooks: MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw in base 64.
    private static let example: [UInt8] = [
        0x31, 0xF2, 0x90, 0xF6, 0xBF, 0x06, 0x29, 0x8A, 0xAB, 0x4F, 0x08, 0xD4, 0x3C, 0x3F, 0x08, 0x2C, 0xF6, 0x48,
        0xA3,
        0x62, 0xDA, 0x2D, 0xA4, 0xB0,
    ]
    private static let counting = Array(UInt8(0)..<32)
    private static let beyondASCII = Array("{\"name\":\"Zoë 日本 🎉\"}".utf8)

    private func sign(_ id: String, _ seconds: Int64, _ body: [UInt8], _ secrets: [UInt8]...) -> String {
        WebhookSignature(
            id: id, at: Instant(microseconds: seconds * 1_000_000 + 999_999), body: body,
            secrets: secrets.map { WebhookSecret(bytes: $0) }
        ).signature
    }

    @Test("a message is signed as in the worked example of Standard Webhooks")
    func example() {
        #expect(WebhookSecret(bytes: Self.example).text == "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
        #expect(
            sign("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, Array(#"{"test": 2432232314}"#.utf8), Self.example)
                == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=")
    }

    @Test("the bytes of a body beyond ASCII are signed as they are sent")
    func beyondASCII() {
        #expect(
            sign("evt_1", 1_700_000_000, Self.beyondASCII, Self.example)
                == "v1,Ph0WQhbl08h2VrmtYJqZcumHoVvbm/W0SdAXzX+7Hug=")
    }

    @Test("two valid secrets make two signatures, the newest first")
    func rotation() {
        #expect(WebhookSecret(bytes: Self.counting).text == "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=")
        #expect(
            sign("evt_1", 1_700_000_000, Self.beyondASCII, Self.counting, Self.example)
                == "v1,McndZniwtR0se6bQaf0z81opB/4FC9xLtegf+U2DxB8= v1,Ph0WQhbl08h2VrmtYJqZcumHoVvbm/W0SdAXzX+7Hug=")
    }

    @Test(
        "base 64 pads the last group",
        arguments: [
            ("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg=="), ("fooba", "Zm9vYmE="),
            ("foobar", "Zm9vYmFy"),
        ])
    func base64(text: String, expected: String) {
        #expect(Webhooks.base64(Array(text.utf8)) == expected)
    }

    @Test("a sealed secret opens under the same key and environment only, and is the same each time")
    func seal() {
        let (seal, environment) = (SecretSeal(key: "the installation's key"), EnvironmentID(7))
        let secret = WebhookSecret(bytes: Self.counting)
        let sealed = seal.sealed(secret, of: environment)
        #expect(seal.opened(sealed, of: environment) == secret)
        #expect(seal.sealed(secret, of: environment) == sealed)
        #expect(seal.sealed(WebhookSecret(bytes: Self.example), of: environment)[1..<13] != sealed[1..<13])
        #expect(SecretSeal(key: "another key").opened(sealed, of: environment) == nil)
        #expect(seal.opened(sealed, of: EnvironmentID(8)) == nil)
        #expect(seal.opened([], of: environment) == nil)
        for index in sealed.indices {
            var damaged = sealed
            damaged[index] ^= 1
            #expect(seal.opened(damaged, of: environment) == nil, "byte \(index)")
        }
        #expect("\(secret)" == "***" && String(reflecting: secret) == "***")
    }
}
