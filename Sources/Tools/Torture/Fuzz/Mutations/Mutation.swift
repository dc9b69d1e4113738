import SeededRandom

/// One way to break a request.
struct Mutation: Sendable {
    /// The part of a request that a mutation breaks. The mutations of one request are applied in this order, because the
    /// framing is made from the body, and all bytes are made from the parts.
    enum Stage: Int {
        case body, head, framing, bytes
    }

    typealias Change = @Sendable (inout FuzzRequest, inout SeededGenerator) -> Void

    let name: String
    let stage: Stage
    /// Whether the node still sees where the request ends, or refuses it and closes the connection.
    private let keepsFraming: Bool
    private let change: Change

    init(_ name: String, _ stage: Stage, keepsFraming: Bool = true, _ change: @escaping Change) {
        self.name = name
        self.stage = stage
        self.keepsFraming = keepsFraming
        self.change = change
    }

    /// Breaks a request.
    func apply(to request: inout FuzzRequest, _ generator: inout SeededGenerator) {
        change(&request, &generator)
        request.mutations.append(name)
        if !keepsFraming { request.isSound = false }
    }

    /// All groups of mutations, each as often as it is to be drawn.
    static let drawn: [[Mutation]] = [
        (30, json), (10, bytesOfBody), (26, headers), (12, requestLine), (5, lengths), (8, chunks), (9, bytes),
    ].flatMap { Array(repeating: $0.1, count: $0.0) }
}
