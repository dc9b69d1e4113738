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

    /// Sends one command per account to the queue of its end user. The commands of an environment for one queue go in one
    /// message.
    ///
    /// - Parameter accounts: At most `CommandLimits.perMessage`, so that one message takes them all.
    /// - Returns: The accounts whose message the broker has confirmed.
    func send(_ accounts: [DueAccount]) async -> [DueAccount] {
        let now = Instant.now
        let lanes = Dictionary(grouping: accounts) { account in
            Lane(
                queue: topology.ledgerQueue(environmentID: account.key.environmentID, endUserID: account.key.endUserID),
                environmentID: account.key.environmentID)
        }
        return await withTaskGroup(of: [DueAccount].self) { group in
            for (lane, accounts) in lanes {
                let message = AMQPMessage(
                    routingKey: lane.queue, body: message(accounts, of: lane.environmentID, now: now).encoded())
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

    /// One environment's commands in one queue.
    private struct Lane: Hashable {
        let queue: String
        let environmentID: EnvironmentID
    }

    private func message(
        _ accounts: [DueAccount], of environmentID: EnvironmentID, now: Instant
    ) -> CommandMessage {
        let commands = accounts.map { account in
            AccountCommand(
                identity: CommandIdentity(id: account.commandID, idempotencyKey: nil),
                endUserID: account.key.endUserID, action: .advance)
        }
        let request = CommandRequest(
            token: 0, origin: .scheduler(environmentID), wantsBodies: false, commands: .account(commands))
        return CommandMessage(sentAt: now, environmentID: environmentID, requests: [EncodedRequest(request)])
    }
}

extension RequestOrigin {
    /// The origin of the scheduler's commands, which have neither an API key nor a client address.
    fileprivate static func scheduler(_ environmentID: EnvironmentID) -> RequestOrigin {
        RequestOrigin(
            environmentID: environmentID, actor: Actor(keyID: nil, address: nil), requestID: "scheduler")
    }
}
