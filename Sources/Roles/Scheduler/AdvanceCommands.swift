import Commands
import Credits
import Ledger
import Messaging
import RabbitMQ
import Runtime
import Storage

/// Sends accounts the command that brings them to the present.
struct AdvanceCommands: Sendable {
    let publisher: AMQPPublisher
    let topology: Topology

    /// Sends each account its command, through the queue of its end user, those of one queue together.
    ///
    /// - Parameter accounts: A page of them: one message for each queue takes them all.
    /// - Returns: Those whose queue has confirmed the message.
    func send(_ accounts: [DueAccount]) async -> [DueAccount] {
        let now = Instant.now
        let queues = Dictionary(grouping: accounts) { account in
            topology.ledgerQueue(environmentID: account.key.environmentID, endUserID: account.key.endUserID)
        }
        return await withTaskGroup(of: [DueAccount].self) { group in
            for (queue, accounts) in queues {
                let message = AMQPMessage(routingKey: queue, body: message(accounts, now: now).encoded())
                group.addTask {
                    do throws(AMQPError) {
                        try await publisher.publish(message)
                        return accounts
                    } catch {
                        return []
                    }
                }
            }
            return await group.reduce(into: []) { $0 += $1 }
        }
    }

    private func message(_ accounts: [DueAccount], now: Instant) -> CommandMessage {
        let environments = Dictionary(grouping: accounts, by: \.key.environmentID)
        return CommandMessage(
            sentAt: now,
            requests: environments.map { environmentID, accounts in
                CommandRequest(
                    token: 0, origin: .scheduler(environmentID), wantsBodies: false,
                    commands: .account(
                        accounts.map { account in
                            AccountCommand(
                                identity: CommandIdentity(id: account.commandID, idempotencyKey: nil),
                                endUserID: account.key.endUserID, action: .advance)
                        }))
            })
    }
}

extension RequestOrigin {
    /// The origin of what the clock asks for, which nobody requested.
    fileprivate static func scheduler(_ environmentID: EnvironmentID) -> RequestOrigin {
        RequestOrigin(
            environmentID: environmentID, actor: Actor(keyID: nil, address: nil), requestID: "scheduler")
    }
}
