import Catalogue
import Commands
import Credits
import JSON
import Webhooks

/// Adds secrets to the answers that show them. The answers of the ledger lack the secrets, because the ledger knows
/// only digests.
///
/// A secret is derived from the command's id, so a repetition of an answer shows the same secret. It is shown in the
/// first answer, and in replays for `shownSeconds` after the decision. Later replays, operations and the audit log show
/// it to nobody.
struct SecretAnswers: Sendable {
    /// A client whose answer was lost repeats its request within minutes.
    static let shownSeconds: Int64 = 600

    let keys: KeyDerivation

    /// The JSON of the answer to a mutation, with the secret that a success shows.
    ///
    /// - Parameter now: The node's clock. The instant of the decision is of the database's clock.
    func json(of result: CommandResult, action: AuditAction, commandID: Bits128, now: Instant) -> [UInt8] {
        let isShown =
            !result.isReplay || result.decidedAt.map { now < $0.adding(seconds: Self.shownSeconds) } ?? false
        return Self.json(of: result, action.secret, from: isShown ? (keys, commandID) : nil)
    }

    /// The JSON of an answer that is shown later than to the request itself: without the secret.
    ///
    /// - Parameter action: Nil for an action that this release does not know, which shows no secret.
    static func jsonWithoutSecret(of result: CommandResult, action: AuditAction?) -> [UInt8] {
        json(of: result, action?.secret, from: nil)
    }

    /// - Parameter source: The derivation of the secret; nil when the secret is not shown.
    private static func json(
        of result: CommandResult, _ secret: SecretKind?, from source: (keys: KeyDerivation, commandID: Bits128)?
    ) -> [UInt8] {
        guard result.isSuccess, let secret, case .object(var answer)? = try? JSONParser.parse(result.json) else {
            return result.json
        }
        func shown(_ kind: APIKey.Kind) -> JSONValue {
            source.map { .string($0.keys.key(kind, commandID: $0.commandID)) } ?? .null
        }
        let secretMember: (key: String, value: JSONValue)
        switch secret {
        case .tenantKeys: secretMember = ("api_keys", .object(["live": shown(.live), "test": shown(.test)]))
        case .apiKey:
            guard let kind = answer["environment"]?.text.flatMap({ EnvironmentKind(rawValue: $0) }) else {
                return result.json
            }
            secretMember = ("key", shown(APIKey.Kind(kind)))
        case .webhookSecret:
            secretMember = (
                "secret", source.map { .string($0.keys.webhookSecret(commandID: $0.commandID).text) } ?? .null
            )
        }
        answer.members.append(secretMember)
        if source == nil {
            answer.members.append(
                secret == .webhookSecret
                    ? ("secret_notice", .string(webhookNotice)) : ("key_notice", .string(notice)))
        }
        return JSONValue.object(answer).bytes
    }

    private static let webhookNotice =
        "A secret is shown in the answer to the request that made it, and for 10 minutes when that request is repeated with its Idempotency-Key. If the secret is lost, rotate it."

    private static let notice =
        "A key is shown in the answer to the request that made it, and for 10 minutes when that request is repeated with its Idempotency-Key. If the key is lost, revoke it and create another one."
}
