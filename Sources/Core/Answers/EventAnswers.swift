package import Credits
package import JSON

extension JSONWriter {
    /// Writes an event in its envelope, which the feed and deliveries share.
    ///
    /// - Parameters:
    ///   - data: The data as canonical JSON.
    ///   - at: The instant at which the event was due; `recordedAt` is the one at which the ledger wrote it.
    ///   - environment: Nil is not a tenant's.
    ///   - endUserID: Nil for an event of the environment, whose account is 0.
    package mutating func event(
        _ sequence: Int64, type: String, data: String, at: Instant, recordedAt: Instant, environment: EnvironmentKind?,
        of account: AccountID, _ endUserID: EndUserID?
    ) {
        beginObject()
        member("id", PublicID(.event, account: account, number: sequence))
        member("type", type)
        member("timestamp", at as Instant?)
        member("created_at", recordedAt as Instant?)
        member("environment", environment?.rawValue)
        member("end_user_id", endUserID?.rawValue)
        member("sequence", sequence)
        member("previous_sequence", sequence - 1)
        key("data")
        raw(Array(data.utf8))
        endObject()
    }
}
