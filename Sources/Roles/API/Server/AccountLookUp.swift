import Answers
import Catalogue
import Commands
import Credits
import Ledger
import Messaging
import Replica
import Runtime
import Storage

extension Admission {
    /// The account of an end user in the caller's environment, as of the last change that this node has seen.
    ///
    /// - Parameter counters: Names the counters that the caller needs.
    func account(
        _ endUserID: EndUserID, of caller: Caller, counters: (Account) -> [CounterID] = { _ in [] }
    ) throws(Problem) -> Account {
        let key = AccountKey(environmentID: caller.environmentID, endUserID: endUserID)
        guard let account = replica.account(key, counters: counters) else { throw .unknownEndUser }
        return account
    }

    /// The account advanced to now, with the counters of all its limits.
    ///
    /// - Parameter value: The value of `per` whose counters are wanted.
    func limitedAccount(
        _ endUserID: EndUserID, perValue value: String? = nil, of caller: Caller
    ) throws(Problem) -> (account: Account, catalogue: Catalogue, now: Instant) {
        let catalogue = try catalogue(of: caller)
        let clock = Instant.now
        let account = try account(endUserID, of: caller) { account in
            account.counterIDs(ofAllLimitsFor: value, catalogue, clock: clock)
        }
        let now = account.currentInstant(clock: clock, catalogue: catalogue)
        return (try Self.advanced(account, to: now, in: catalogue), catalogue, now)
    }

    /// An account at an instant.
    ///
    /// - Throws: `catchingUp` if time has more to do to it than fits in one step.
    static func advanced(_ account: Account, to now: Instant, in catalogue: Catalogue) throws(Problem) -> Account {
        let advanced = account.advanced(to: now, in: catalogue)
        guard advanced.advancedTo >= now || !account.hasDue(at: now) else { throw .catchingUp }
        return advanced
    }

    /// The catalogue of the caller's environment, as of the last change that this node has seen.
    func catalogue(of caller: Caller) throws(Problem) -> Catalogue {
        guard let catalogue = replica.catalogue(caller.environmentID) else {
            throw Problem(.unavailable, "This node is still loading. Try again in a moment.")
        }
        return catalogue
    }
}

extension APIServices {
    /// The end user of an account, from the replica or else from the database.
    ///
    /// - Throws: `unknown` when the caller's environment has no such account.
    func owner(of account: AccountID, _ caller: Caller, unknown: Problem) async throws -> EndUserID {
        if let known = replica.endUserID(of: account, in: caller.environmentID) { return known }
        let found = try await reads.lookUp(of: caller.environmentID) { connection in
            try await AccountReads.endUserIDs([account], environmentID: caller.environmentID, on: connection)
        }
        guard let endUserID = found[account] else { throw unknown }
        return endUserID
    }

    /// Returns an end user's account. When something is due, it first waits up to 2 seconds until the ledger has
    /// written it, so that a list of entries or blocks shows an expiry from its due instant on. The returned account is
    /// the one from before the wait. When the queue cannot be reached, the list shows the rows as they are.
    func settledAccount(
        _ endUserID: EndUserID, _ caller: Caller, _ context: APIContext,
        counters: (Account) -> [CounterID] = { _ in [] }
    ) async throws -> Account {
        let account = try admission.account(endUserID, of: caller, counters: counters)
        let now = account.currentInstant(clock: Instant.now, catalogue: try admission.catalogue(of: caller))
        guard account.hasDue(at: now) else { return account }
        let origin = RequestOrigin(
            environmentID: caller.environmentID, actor: Actor(keyID: caller.keyID, address: context.clientAddress),
            requestID: context.requestID)
        _ = await mutations.gateway.send(
            .account([AccountCommand(advancing: endUserID)]),
            to: mutations.topology.ledgerQueue(environmentID: caller.environmentID, endUserID: endUserID),
            from: origin, wantsBodies: false, until: .decided(by: .now + .seconds(2)))
        return account
    }
}

extension AccountCommand {
    /// Makes a command that brings an account to its current instant. The command is idempotent and is not stored as
    /// decided.
    init(advancing endUserID: EndUserID) {
        self.init(
            identity: CommandIdentity(
                id: Bits128(at: Instant.now, random: (.random(in: 0...UInt64.max), .random(in: 0...UInt64.max))),
                idempotencyKey: nil),
            endUserID: endUserID, action: .advance)
    }
}
