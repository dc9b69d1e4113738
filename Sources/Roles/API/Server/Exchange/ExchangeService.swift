import Hummingbird
import Logging
import NIOCore
import Runtime

/// The things that the connections of a server share: the routes, the counts of memory, and the records of what happens.
struct ExchangeService: Sendable {
    let routes: RouterResponder<APIContext>
    /// Answers plain checks at once; nil on a node without them.
    let checks: CheckLaneService?
    /// How long a connection without a request stays open.
    let idle: TimeAmount
    let bodies = MemoryShares(ConnectionLimits.bodies)
    let answers: MemoryShares
    let metrics: ConnectionMetrics
    let log: SparseLog
    let logger: Logger
}
