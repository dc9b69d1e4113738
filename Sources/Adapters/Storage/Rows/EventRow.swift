import Catalogue
import Credits
import Ledger
import Postgres

/// A row of `events`: an event with the account that it belongs to.
struct EventRow: Sendable {
    let environmentID: EnvironmentID
    let accountID: AccountID
    let event: Event

    init(account: Account, event: Event) {
        environmentID = account.environmentID
        accountID = account.id
        self.event = event
    }
}

extension BulkStatement<EventRow> {
    /// The database adds the number of the transaction, by which a feed reads the events in the order of the commits.
    static let insertEvents = BulkStatement.insert(
        into: "events",
        [
            .int32("environment_id") { $0.environmentID.rawValue as Int32 },
            .int64("account_id") { $0.accountID.rawValue as Int64 },
            .int64("sequence") { $0.event.sequence as Int64 },
            .text("type") { $0.event.content.type.rawValue as String },
            .text("data") { $0.event.content.storedJSON(of: $0.accountID) as String },
            .instant("at") { $0.event.at as Instant },
            .instant("recorded_at") { $0.event.recordedAt as Instant },
        ])
}
