/// The preferences of a client about the answer to its mutation (RFC 7240). Preferences that are unknown or cannot be
/// read are ignored, as the RFC demands.
struct Preferences: Hashable, Sendable {
    /// The longest `wait`, in seconds.
    private static let longestWait = 60

    /// Whether the client takes a 202 as soon as the mutation is accepted, or when `wait` has passed.
    private(set) var respondsAsync = false
    /// The number of seconds that the client waits at most, in place of the server's own wait; nil when it says none.
    private(set) var wait: Int?

    /// - Parameter header: The value of `Prefer`; several headers are joined by commas. Of two preferences with the same
    ///   name the first counts.
    init(_ header: String?) {
        for preference in (header ?? "").split(separator: ",") {
            let parts = preference.prefix { $0 != ";" }.split(separator: "=", maxSplits: 1).map(\.trimmingBlanks)
            switch (parts.first?.lowercased(), parts.dropFirst().first) {
            case ("respond-async", nil): respondsAsync = true
            case ("wait", let seconds?) where wait == nil:
                wait = Int(seconds).flatMap { (0...Self.longestWait).contains($0) ? $0 : nil }
            default: break
            }
        }
    }

    /// The same preferences of a request that waits for its effect in any case.
    var waiting: Preferences {
        var copy = self
        copy.respondsAsync = false
        return copy
    }

    /// The value of `Preference-Applied`; nil when the client prefers nothing that is known.
    var applied: String? {
        let applied = (respondsAsync ? ["respond-async"] : []) + (wait.map { ["wait=\($0)"] } ?? [])
        return applied.isEmpty ? nil : applied.joined(separator: ", ")
    }

    /// How long a mutation waits.
    ///
    /// - Parameter usual: The server's own wait.
    func patience(usual: Duration) -> CommandGateway.Patience {
        switch wait {
        case nil where respondsAsync, 0: .accepted(by: .now + usual)
        case nil: .decided(by: .now + usual)
        case let seconds?: .decided(by: .now + .seconds(seconds))
        }
    }
}
