/// A revision of the Model Context Protocol, named by its date.
///
/// The revisions up to 2025-11-25 begin with a handshake (`initialize`). From 2026-07-28 on there is none: every request
/// says in `_meta` which revision it follows.
package enum ProtocolRevision: String, Sendable, CaseIterable {
    case march2025 = "2025-03-26"
    case june2025 = "2025-06-18"
    case november2025 = "2025-11-25"
    case july2026 = "2026-07-28"

    /// The latest revision with a handshake: the answer to a client that asks for an unknown one.
    static let latestOfHandshake = november2025

    var hasHandshake: Bool { self != .july2026 }
    /// Whether a message can be an array of messages.
    var hasBatches: Bool { self == .march2025 }
}
