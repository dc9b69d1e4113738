/// Why a peer could not be measured.
package struct PeerError: Error, CustomStringConvertible {
    package let description: String
}

/// What a peer reached.
package struct PeerResult: Sendable, Equatable {
    /// As the table shows it.
    package let name: String
    package let perSecond: Double
    /// Nil where the peer's own program does not tell.
    package let latency: LatencySummary?
}
