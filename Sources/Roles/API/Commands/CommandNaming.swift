import Commands
import Credits
import Runtime

/// The id of a command, which exists before the command's content: a digest of the environment and the client's
/// idempotency key, or random without such a key.
///
/// The id must exist first because the API keys that a command creates are derived from it.
struct CommandNaming: Sendable {
    let id: Bits128
    private let idempotencyKey: String?

    init(environmentID: EnvironmentID, idempotencyKey: String?) {
        self.idempotencyKey = idempotencyKey
        id =
            idempotencyKey.map { CommandKey(environmentID: environmentID, idempotencyKey: $0).id }
            ?? Bits128(at: Instant.now, random: (.random(in: 0...UInt64.max), .random(in: 0...UInt64.max)))
    }

    /// The identity of the command.
    ///
    /// - Parameter content: The command's content, whose digest is the fingerprint. It is evaluated only with an
    ///   idempotency key.
    func identity(content: @autoclosure () -> [UInt8]) -> CommandIdentity {
        CommandIdentity(
            id: id,
            idempotencyKey: idempotencyKey.map {
                IdempotencyKey(text: $0, fingerprint: Bits128(digestOf: content()))
            })
    }
}
