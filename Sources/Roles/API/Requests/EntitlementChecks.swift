import Answers
import Catalogue
import Commands
import Credits
import JSON
import Ledger
import Replica
import Runtime

/// The checks of one request. All of them see the same state of an end user's account: it is read and advanced to now
/// once, and its spendable credits are summed once for each feature.
struct EntitlementChecks {
    private struct Known {
        let checked: CheckedAccount
        var spendable: [FeatureKey: Int64] = [:]
    }

    private let catalogue: Catalogue
    private let replica: Replica
    private let environmentID: EnvironmentID
    private let requests: [EndUserID: [EntitlementRequest]]
    private var accounts: [EndUserID: Known] = [:]

    /// - Parameter checks: All checks that will be written.
    /// - Throws: A problem when this node's memory is not fresh enough for the environment.
    init(_ checks: [CheckRequest], _ admission: Admission, _ caller: Caller) throws(Problem) {
        requests = Dictionary(grouping: checks, by: \.endUserID).mapValues { $0.map(\.request) }
        try admission.requireFreshMemory(for: caller)
        catalogue = try admission.catalogue(of: caller)
        replica = admission.replica
        environmentID = caller.environmentID
    }

    /// Writes the members of the answer to a check. It writes nothing when it throws.
    mutating func write(_ check: CheckRequest, into json: inout JSONWriter) throws(Problem) {
        var known: Known
        if let seen = accounts[check.endUserID] { known = seen } else { known = try read(check.endUserID) }
        let feature = check.request.feature
        let spendable = known.spendable[feature] ?? known.checked.account.spendable(for: feature)
        known.spendable[feature] = spendable
        accounts[check.endUserID] = known
        try known.checked.write(check.request, spendable: spendable, catalogue, replica, into: &json)
    }

    private func read(_ endUserID: EndUserID) throws(Problem) -> Known {
        Known(
            checked: try CheckedAccount(
                endUserID, for: requests[endUserID] ?? [], of: environmentID, catalogue, replica))
    }
}

/// An end user's account as the checks of one request see it: as of one instant.
struct CheckedAccount {
    let account: Account
    private let position: Position
    private let now: Instant

    /// Reads the account and advances it to now.
    ///
    /// - Parameter requests: The checks that will be written.
    init(
        _ endUserID: EndUserID, for requests: [EntitlementRequest], of environmentID: EnvironmentID,
        _ catalogue: Catalogue, _ replica: Replica
    ) throws(Problem) {
        let clock = Instant.now
        // The rest of an erased end user's credits cannot be spent: a check answers as for an unknown end user.
        let held =
            endUserID.isErased
            ? nil
            : replica.account(AccountKey(environmentID: environmentID, endUserID: endUserID)) { account in
                account.counterIDs(for: requests, catalogue, clock: clock)
            }
        let stored = held ?? Account(id: AccountID(0), environmentID: environmentID, endUserID: endUserID)
        let now = stored.currentInstant(clock: clock, catalogue: catalogue)
        var account = try Admission.advanced(stored, to: now, in: catalogue)
        if held == nil, !endUserID.isErased {
            // An end user that was never seen is answered like one whom the first command puts on the default plan.
            account = account.subscribed(at: now, isNew: true, catalogue)
        }
        self.account = account
        self.now = now
        position = held.map { .account($0.id, revision: $0.revision) } ?? .none
    }

    /// Writes the members of the answer to a check. It writes nothing when it throws.
    ///
    /// - Parameter spendable: The account's spendable credits for the feature.
    func write(
        _ request: EntitlementRequest, spendable: Int64, _ catalogue: Catalogue, _ replica: Replica,
        into json: inout JSONWriter
    ) throws(Problem) {
        let entitlement: Entitlement
        do throws(EntitlementFailure) {
            entitlement = try Entitlement.decide(
                account: account, spendable: spendable, catalogue: catalogue, request: request, now: now)
        } catch {
            throw Problem(error)
        }
        json.members(
            EntitlementAnswer(
                account: account.name, request: request, balances: account.balances,
                subscriptionStatus: account.subscriptionStatus, entitlement: entitlement))
        json.member("position", PositionToken.text(position))
        json.member("replica_age_ms", Int64(replica.age.seconds * 1_000))
    }
}
