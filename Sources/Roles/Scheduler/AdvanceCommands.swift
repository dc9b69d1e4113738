import Commands
import Credits
import Ledger
import Messaging
import RabbitMQ
import Runtime
import Storage

/// Sends `advance` commands, which bring accounts to their current instant.
struct AdvanceCommands: Sendable {
    let publisher: AMQPPublisher
    let topology: Topology

    /// Sends one command per account to the queue of its end user. The commands for one queue go in one message.
    ///
    /// - Parameter accounts: At most `CommandLimits.perMessage`, so that one message per queue takes them all.
    /// - Returns: The accounts whose message the broker has confirmed.
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
    /// The origin of the scheduler's commands, which have neither an API key nor a client address.
    fileprivate static func scheduler(_ environmentID: EnvironmentID) -> RequestOrigin {
        RequestOrigin(
            environmentID: environmentID, actor: Actor(keyID: nil, address: nil), requestID: "scheduler")
    }
}
