import Commands
import Credits
import Runtime

/// The id that a command will have, before its contents are known: derived from the client's idempotency key, or fresh.
///
/// Keys that a command creates are derived from its id, so that the id must be there first.
struct CommandNaming: Sendable {
    let id: Bits128
    private let idempotencyKey: String?

    init(environmentID: EnvironmentID, idempotencyKey: String?) {
        self.idempotencyKey = idempotencyKey
        id =
            idempotencyKey.map { Bits128(digestOf: Array("\(environmentID.rawValue)\n\($0)".utf8)) }
            ?? Bits128(at: Instant.now, random: (.random(in: 0...UInt64.max), .random(in: 0...UInt64.max)))
    }

    /// The identity of the command.
    ///
    /// - Parameter content: The command as it is sent; digested for the fingerprint only where there is a key.
    func identity(content: @autoclosure () -> [UInt8]) -> CommandIdentity {
        CommandIdentity(
            id: id,
            idempotencyKey: idempotencyKey.map {
                IdempotencyKey(text: $0, fingerprint: Bits128(digestOf: content()))
            })
    }
}
