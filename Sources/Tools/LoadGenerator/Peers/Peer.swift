/// The reason why a peer could not be measured.
package struct PeerError: Error, CustomStringConvertible {
    package let description: String
}

/// The measured result of a peer.
package struct PeerResult: Sendable, Equatable {
    /// The name in the table.
    package let name: String
    package let perSecond: Double
    /// Nil where the peer's own program does not report it.
    package let latency: LatencySummary?
}
