import Commands
import Credits
import JSON

/// Adds secrets to the answers that show them. The answers of the ledger lack the secrets, because the ledger knows
/// only digests.
///
/// A secret is derived from the command's id, so every repetition of an answer shows the same secret.
struct SecretAnswers: Sendable {
    let keys: KeyDerivation

    /// The JSON of a command's answer, with the secret that a success shows.
    ///
    /// - Parameters:
    ///   - action: Nil for an action that this release does not know, which shows no secret.
    ///   - kind: The kind of the environment; nil for the installation.
    func json(
        of result: CommandResult, action: AuditAction?, commandID: Bits128, kind: EnvironmentKind?
    ) -> [UInt8] {
        guard result.isSuccess, let secret = action?.secret, var answer = try? JSONParser.parse(result.json).object
        else { return result.json }
        switch (secret, kind) {
        case (.tenantKeys, _):
            answer.append(
                "api_keys",
                .object([
                    "live": .string(keys.key(.live, commandID: commandID)),
                    "test": .string(keys.key(.test, commandID: commandID)),
                ]))
        case (.apiKey, let kind?):
            answer.append("key", .string(keys.key(APIKey.Kind(kind), commandID: commandID)))
        case (.apiKey, nil): break
        }
        var json = JSONWriter()
        JSONValue.object(answer).write(into: &json)
        return json.bytes
    }
}

extension JSONValue {
    fileprivate var object: JSONObject? {
        if case .object(let object) = self { object } else { nil }
    }
}

extension JSONObject {
    fileprivate mutating func append(_ key: String, _ value: JSONValue) {
        members.append((key: key, value: value))
    }
}
