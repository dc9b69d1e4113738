package import Postgres

/// The reads of one environment that an API node takes on at once: the bounds that keep one tenant's reads from taking
/// what other tenants need.
///
/// The arithmetic, with the default of 8 connections for reads (`QUOTASTACK_READ_CONNECTIONS`):
///
/// | | connections | of 8 |
/// |---|---|---|
/// | an environment, all its reads | a half | 4 |
/// | an environment, its large reads | a quarter | 2 |
/// | all environments, their large reads (`largeReads`) | a half | 4 |
///
/// Large reads therefore leave at least a half for small ones, and no environment can have all of that half. A free
/// connection goes to the environment that has the fewest. An environment that reads alone thus has a half, and when
/// several wait, each comes to an equal part.
///
/// A node has 8 connections beside those, which tenants' reads never take: 2 for look-ups that mutations need, 1 for
/// the look-up of lost replies, 1 for the readiness check, and 2 for the pages of exports, of which an environment has 1. It
/// has 2 more for the streams of the ledger: 1 for what is new, which is read once for all watchers of an environment, and 1
/// for what a watcher has missed.
///
/// Every environment has these limits. A limit that an operator sets for one environment replaces its value here.
package struct ReadLimits: Hashable, Sendable {
    /// The connections for tenants' reads.
    package var reads: PoolShare
    /// The connections for look-ups that mutations need.
    package var lookUps: PoolShare
    /// The connections for the pages of exports.
    package var exportPages: PoolShare
    /// The connection for what is new in the ledgers, and that for what watchers have missed.
    package var streamPages: PoolShare
    /// Exports that may be under way at once. Each keeps one page of entries in memory (`LedgerReads.export`), about
    /// 256 KiB, as long as its client takes to read it, and takes its turn with the others for each page.
    package var exports: Int
    /// The longest time of one statement of a small read.
    package var smallStatement: Duration
    /// The longest time of one statement of a large read, and of one for a page of an export.
    package var largeStatement: Duration

    /// - Parameter connections: The number of connections for tenants' reads.
    package init(connections: Int) {
        reads = PoolShare(
            atOnce: max(1, connections / 2), longAtOnce: max(1, connections / 4), waiting: 256,
            patience: .seconds(2), longPatience: .seconds(10))
        lookUps = PoolShare(
            atOnce: Self.lookUpConnections / 2, longAtOnce: 1, waiting: 1_024, patience: .seconds(2),
            longPatience: .seconds(2))
        exports = 4
        exportPages = PoolShare(
            atOnce: Self.exportConnections / 2, longAtOnce: 1, waiting: exports, patience: .seconds(60),
            longPatience: .seconds(60))
        streamPages = PoolShare(
            atOnce: 1, longAtOnce: 1, waiting: 1_024, patience: .seconds(60), longPatience: .seconds(60))
        smallStatement = .seconds(5)
        largeStatement = .seconds(20)
    }

    /// The connections that the large reads of all environments may have at once.
    static func largeReads(ofConnections connections: Int) -> Int { max(1, connections / 2) }

    /// The connections for look-ups that mutations need. Each takes a row or a page by its index.
    static let lookUpConnections = 2
    /// The connections for the pages of exports.
    static let exportConnections = 2
}

/// The cost of a read, which decides its share and its time limit.
package enum ReadSize: Sendable {
    /// Reads a page or a row by its index.
    case small
    /// Reads more with the size of an account or of a log, such as an explanation or a filtered list.
    case large
}
