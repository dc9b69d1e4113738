import Commands
import Credits
import Ledger
import Messaging
import RabbitMQ
import Runtime
import Storage

/// Sends `advance` commands, which bring accounts to their current instant.
struct AdvanceCommands: Sendable {
    private let sender: CommandSender

    init(publisher: AMQPPublisher, topology: Topology) {
        sender = CommandSender(publisher: publisher, topology: topology)
    }

    /// Sends one command per account to the queue of its end user.
    ///
    /// - Parameter accounts: At most `CommandLimits.perMessage`, so that one message takes them all.
    /// - Returns: The accounts whose message the broker has confirmed.
    func send(_ accounts: [DueAccount]) async -> [DueAccount] {
        let commands = accounts.map { account in
            let command = AccountCommand(
                identity: CommandIdentity(id: account.commandID, idempotencyKey: nil),
                endUserID: account.key.endUserID, action: .advance)
            return (environmentID: account.key.environmentID, command: command)
        }
        return await sender.send(commands, as: "scheduler", now: Instant.now).map { accounts[$0] }
    }
}
