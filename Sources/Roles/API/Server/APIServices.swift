import Commands
import Hummingbird
import Replica
import Storage

/// The services that the API's routes share: admission, reads from the database, and mutations.
struct APIServices: Sendable {
    let admission: Admission
    let reads: TenantReads
    let mutations: Mutations
    let webhooks: WebhookSetup
    let streams: LedgerStreams

    var replica: Replica { admission.replica }

    /// Sends a change of the catalogue of the caller's environment.
    func changeCatalogue(
        _ action: CatalogueAction, _ caller: Caller, _ headers: MutationHeaders
    ) async throws -> Response {
        try await mutations.catalogue({ _ in action }, headers)
    }
}
