import Catalogue
import Credits
import Postgres
import Storage

/// The catalogues that a worker has read, by environment and version. It only saves reading: a batch reads the versions
/// under its locks and refreshes what is older.
struct CatalogueCache: Sendable {
    private var catalogues: [EnvironmentID: (version: Int64, catalogue: Catalogue)] = [:]

    subscript(environmentID: EnvironmentID) -> Catalogue {
        catalogues[environmentID]?.catalogue ?? Catalogue()
    }

    mutating func refresh(to versions: [EnvironmentID: Int64], on connection: PostgresConnection) async throws {
        for (environmentID, version) in versions where catalogues[environmentID]?.version != version {
            catalogues[environmentID] = try await CatalogueStore.load(environmentID, on: connection)
        }
    }
}
