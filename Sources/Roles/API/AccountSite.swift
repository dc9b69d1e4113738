import Credits
import Hummingbird
import JSON
import Ledger
import Messaging
import Metering
import Replica
import Answers
import Storage

extension Gate {
    /// The account of an end user in the caller's environment, as of the last change that this node has seen.
    func account(_ endUserID: EndUserID, of caller: Caller) throws(Problem) -> Account {
        let key = AccountKey(environmentID: caller.environmentID, endUserID: endUserID)
        guard let account = replica.account(key) else { throw .unknownEndUser }
        return account
    }

    /// What the caller's environment sells.
    func catalogue(of caller: Caller) throws(Problem) -> Catalogue {
        guard let catalogue = replica.catalogue(caller.environmentID) else {
            throw Problem(.unavailable, "This node is still loading. Try again in a moment.")
        }
        return catalogue
    }
}

extension Problem {
    static let unknownEndUser = Problem(
        .unknownEndUser, "No end user has that id in this environment. Create it, or check the id.")
}

extension Site {
    /// Sends a mutation of one end user's account, whose key stands for its method, path and body.
    func mutate(
        _ action: AccountAction, of endUserID: EndUserID, _ caller: Caller, _ request: Request, _ body: JSONValue,
        _ headers: MutationHeaders
    ) async throws -> Response {
        let identity = CommandIdentity(
            environmentID: caller.environmentID, idempotencyKey: headers.idempotencyKey
        ) { CommandIdentity.content(request, body) }
        return try await mutations.account(action, of: endUserID, identity: identity, caller: caller, headers: headers)
    }

    /// The end user whose account an id carries.
    ///
    /// - Throws: `unknown` for an account of another environment, or of none.
    func owner(of account: AccountID, _ caller: Caller, unknown: Problem) async throws -> EndUserID {
        if let known = replica.endUserID(of: account, in: caller.environmentID) { return known }
        let found = try await reads.read(of: caller.environmentID) { connection in
            try await AccountReads.endUserIDs([account], environmentID: caller.environmentID, on: connection)
        }
        guard let endUserID = found[account] else { throw unknown }
        return endUserID
    }

    /// The account, after the database has written what time has done to it: a list of entries or blocks shows an
    /// expiry from the instant at which it was due. When the queue cannot be reached the list is given as it is.
    func settledAccount(
        _ endUserID: EndUserID, _ caller: Caller, _ context: APIContext
    ) async throws -> Account {
        let account = try gate.account(endUserID, of: caller)
        let now = account.present(clock: systemNow(), catalogue: try gate.catalogue(of: caller))
        guard account.hasDue(at: now) else { return account }
        _ = await mutations.gateway.send(
            to: mutations.topology.ledgerQueue(environmentID: caller.environmentID, endUserID: endUserID),
            requestID: context.requestID, traceParent: nil,
            actor: Actor(keyID: caller.keyID, address: context.clientAddress), environmentID: caller.environmentID,
            wantsBodies: false,
            commands: .account([
                AccountCommand(
                    identity: CommandIdentity(environmentID: caller.environmentID, idempotencyKey: nil) { [] },
                    endUserID: endUserID, action: .advance)
            ]), deadline: .now + .seconds(2), returnsWhenAccepted: false)
        return account
    }
}
