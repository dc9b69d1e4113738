import Catalogue
import Credits
import Failpoints
import Postgres
import Storage
import Synchronization

/// The catalogues that the lanes have loaded, by environment, with the version of each. The cache only saves reads: a
/// batch reads the current versions under its account locks, and decides with catalogues that are as new or newer.
final class CatalogueCache: Sendable {
    /// When this many environments are cached, those that were not used for longest are dropped.
    private static let capacity = 4_096

    fileprivate struct Cached {
        var version: Int64
        var catalogue: Catalogue
        var lastUse: Int
    }

    fileprivate struct State {
        var cached: [EnvironmentID: Cached] = [:]
        var uses = 0
    }

    private let state = Mutex(State())

    /// The catalogues at the given versions or newer; nil when one of them must be loaded first.
    func catalogues(_ versions: [EnvironmentID: Int64]) -> [EnvironmentID: Catalogue]? {
        state.withLock { state in
            state.uses += 1
            var found: [EnvironmentID: Catalogue] = [:]
            for (environmentID, version) in versions {
                guard let cached = state.cached[environmentID], cached.version >= version else { return nil }
                state.cached[environmentID]?.lastUse = state.uses
                found[environmentID] = cached.catalogue
            }
            return found
        }
    }

    /// Loads what has changed of the catalogues since their cached versions. The first load of a catalogue reads all of
    /// it, and later ones read the changed items.
    ///
    /// - Returns: The catalogues at the given versions or newer.
    @discardableResult
    func refresh(
        to versions: [EnvironmentID: Int64], on connection: PostgresConnection
    ) async throws -> [EnvironmentID: Catalogue] {
        var current: [EnvironmentID: Catalogue] = [:]
        for (environmentID, version) in versions {
            let cached = state.withLock { $0.cached[environmentID] }
            if let cached, cached.version >= version {
                current[environmentID] = cached.catalogue
                continue
            }
            let loaded = try await CatalogueStore.load(
                environmentID,
                changedSince: KnownBug.wholeCatalogues.isActive ? nil : cached.map { ($0.version, $0.catalogue) },
                on: connection)
            current[environmentID] = loaded.catalogue
            state.withLock { state in
                // Another lane may have loaded a newer one in the meantime.
                if let current = state.cached[environmentID], current.version >= loaded.version { return }
                state.cached[environmentID] = Cached(
                    version: loaded.version, catalogue: loaded.catalogue, lastUse: state.uses)
                state.dropOldest(above: Self.capacity)
            }
        }
        return current
    }
}

extension CatalogueCache.State {
    /// Keeps three quarters of the catalogues when there are too many.
    fileprivate mutating func dropOldest(above capacity: Int) {
        guard cached.count > capacity else { return }
        let kept = cached.sorted { $0.value.lastUse > $1.value.lastUse }.prefix(capacity * 3 / 4)
        cached = Dictionary(uniqueKeysWithValues: kept.map { ($0.key, $0.value) })
    }
}
