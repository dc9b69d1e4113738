import Credits
import JSON

/// Puts the secrets into the answers that show them: the ledger knows only their hashes, so its answers lack them.
///
/// They are derived from the command's id, so every repetition of such an answer shows the same.
struct ShownOnce: Sendable {
    let keys: KeyDerivation

    /// The answer to a command with the keys it made; any other answer as it is.
    ///
    /// - Parameter body: The ledger's answer to a success: an object that begins with the `id` of what was made.
    func completed(_ body: [UInt8], commandID: Bits128, kind: EnvironmentKind?) -> [UInt8] {
        if body.starts(with: Self.beginning(.tenant)) {
            return Self.appending(to: body) { json in
                json.object("api_keys") { json in
                    json.member("live", keys.key(.live, commandID: commandID))
                    json.member("test", keys.key(.test, commandID: commandID))
                }
            }
        }
        // Revoking a key answers with it too; only the new one has not been revoked.
        if let kind, body.starts(with: Self.beginning(.key)),
            body.suffix(Self.unrevoked.count).elementsEqual(Self.unrevoked)
        {
            return Self.appending(to: body) { $0.member("key", keys.key(APIKey.Kind(kind), commandID: commandID)) }
        }
        return body
    }

    private static let unrevoked = Array(#""revoked_at":null}"#.utf8)

    private static func beginning(_ kind: PublicIDKind) -> [UInt8] {
        Array("{\"id\":\"\(kind.rawValue)_".utf8)
    }

    /// A JSON object with further members at its end.
    private static func appending(to object: [UInt8], _ members: (inout JSONWriter) -> Void) -> [UInt8] {
        var json = JSONWriter()
        json.beginObject()
        members(&json)
        json.endObject()
        return object.dropLast() + [UInt8(ascii: ",")] + json.bytes.dropFirst()
    }
}
