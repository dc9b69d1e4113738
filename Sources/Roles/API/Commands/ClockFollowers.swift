import Answers
import Commands
import Credits
import Messaging
import Replica
import Storage

/// Advances the accounts on a test clock to the clock's instant.
struct ClockFollowers: Sendable {
    /// The number of accounts that are read, and sent their commands, at a time.
    private static let pageSize = CommandLimits.perRequest

    let services: APIServices
    let caller: Caller
    let headers: MutationHeaders

    /// Sends an `advance` command to every account on the clock and waits until this node shows the effects.
    ///
    /// A command that is not sent, because the node or a queue fails, is not lost work: the account advances with its
    /// next command, and checks and balances use the clock's instant already.
    ///
    /// - Returns: False when an account had not advanced by the deadline, or was not waited for.
    func advance(on clock: Bits128, until patience: CommandGateway.Patience) async throws -> Bool {
        var last: AccountID?
        var haveFollowed = true
        while true {
            let page = try await services.reads.lookUp(of: caller.environmentID) { [last] connection in
                try await TestClockStore.endUsers(
                    on: clock, environmentID: caller.environmentID, after: last, limit: Self.pageSize,
                    connection: connection)
            }
            let followed = await advance(page.map(\.endUserID), until: patience)
            haveFollowed = haveFollowed && followed
            guard page.count == Self.pageSize else { return haveFollowed }
            last = page.last?.accountID
        }
    }

    /// An account to which time has more to do than fits in one step is sent further commands.
    private func advance(_ endUsers: [EndUserID], until patience: CommandGateway.Patience) async -> Bool {
        var left = endUsers
        while !left.isEmpty {
            guard let behind = await step(left, until: patience) else { return false }
            left = behind
            if !left.isEmpty, patience.deadline <= .now { return false }
        }
        return true
    }

    /// Sends each account one command.
    ///
    /// - Returns: The end users that need another step; nil when one has not advanced by the deadline.
    private func step(_ endUsers: [EndUserID], until patience: CommandGateway.Patience) async -> [EndUserID]? {
        let queues = Dictionary(grouping: endUsers) { endUserID in
            services.mutations.topology.ledgerQueue(environmentID: caller.environmentID, endUserID: endUserID)
        }
        let replies = await withTaskGroup(of: (endUsers: [EndUserID], reply: CommandGateway.Reply).self) { group in
            for (queue, endUsers) in queues {
                let commands = endUsers.map { AccountCommand(advancing: $0) }
                group.addTask {
                    let reply = await services.mutations.gateway.send(
                        .account(commands), to: queue, from: headers.origin, wantsBodies: false,
                        until: patience)
                    return (endUsers, reply)
                }
            }
            return await group.reduce(into: []) { $0.append($1) }
        }
        var behind: [EndUserID] = []
        for (endUsers, reply) in replies {
            guard case .results(let results) = reply else { return nil }
            for (endUser, result) in zip(endUsers, results) {
                if result.status == Problem.catchingUp.code.status { behind.append(endUser) }
                guard await services.replica.reaches(result.position, by: max(patience.deadline, .now + .seconds(1)))
                else {
                    return nil
                }
            }
        }
        return behind
    }
}
