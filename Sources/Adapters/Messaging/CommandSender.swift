package import Commands
package import Credits
package import RabbitMQ

/// Sends commands of the installation's own, for whose results no client waits, to the queues of their end users.
package struct CommandSender: Sendable {
    private let publisher: AMQPPublisher
    private let topology: Topology

    package init(publisher: AMQPPublisher, topology: Topology) {
        self.publisher = publisher
        self.topology = topology
    }

    /// Sends commands. Those of an environment for one queue go in one message.
    ///
    /// - Parameters:
    ///   - commands: At most `CommandLimits.perMessage`, so that one message takes them all.
    ///   - requestID: The sender, as logs and the audit log name it.
    ///   - now: The instant from which the age of the messages counts.
    /// - Returns: The indices of the commands whose message the broker has confirmed.
    package func send(
        _ commands: [(environmentID: EnvironmentID, command: AccountCommand)], as requestID: String, now: Instant
    ) async -> [Int] {
        let lanes = Dictionary(grouping: commands.indices) { index in
            let (environmentID, command) = commands[index]
            return Lane(
                queue: topology.ledgerQueue(environmentID: environmentID, endUserID: command.endUserID),
                environmentID: environmentID)
        }
        return await withTaskGroup(of: [Int].self) { group in
            for (lane, indices) in lanes {
                let request = CommandRequest(
                    token: 0,
                    origin: RequestOrigin(
                        environmentID: lane.environmentID, actor: Actor(keyID: nil, address: nil),
                        requestID: requestID),
                    wantsBodies: false, commands: .account(indices.map { commands[$0].command }))
                let message = CommandMessage(
                    sentAt: now, environmentID: lane.environmentID, requests: [EncodedRequest(request)])
                let packet = AMQPMessage(routingKey: lane.queue, body: message.encoded())
                group.addTask {
                    do throws(AMQPError) {
                        try await publisher.publish(packet)
                        return indices
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
}
