import Catalogue
import Credits
import Postgres
import Storage

/// The catalogues that one lane has loaded, by environment, with the version of each. The cache only saves reads: a
/// batch reads the current versions under its account locks and calls `refresh`.
struct CatalogueCache: Sendable {
    private var catalogues: [EnvironmentID: (version: Int64, catalogue: Catalogue)] = [:]

    subscript(environmentID: EnvironmentID) -> Catalogue {
        catalogues[environmentID]?.catalogue ?? Catalogue()
    }

    /// Loads every catalogue whose version differs from the given one.
    mutating func refresh(to versions: [EnvironmentID: Int64], on connection: PostgresConnection) async throws {
        for (environmentID, version) in versions where catalogues[environmentID]?.version != version {
            catalogues[environmentID] = try await CatalogueStore.load(environmentID, on: connection)
        }
    }
}
