/// One way in which a tenant or a caller without a key uses too much of an installation.
struct Abuse: Sendable {
    /// The name that `--only` takes.
    let name: String
    /// The reason for this abuse: its mechanism.
    let reason: String
    /// Prepares the data, which is not measured, and returns the work to be done at the same time.
    let prepare: @Sendable (Abuser) async throws -> [Abuser.Work]

    init(_ name: String, _ reason: String, _ prepare: @escaping @Sendable (Abuser) async throws -> [Abuser.Work]) {
        self.name = name
        self.reason = reason
        self.prepare = prepare
    }

    static let all: [Abuse] = connections + bodies + accounts + subscriptions + catalogues + reads + floods
}
