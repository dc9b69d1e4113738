/// The numbers of a run, or of one thread of it.
struct FuzzTally: Sendable {
    /// The reason why a request has no answer.
    enum Unanswered: String, CaseIterable, Sendable {
        case cutOff = "cut off on purpose"
        case closed = "closed by the server"
        case late = "no bytes until the deadline"
        case tooLong = "answer too long to be read"
    }

    var requests = 0
    var connections = 0
    /// Connections that the node did not take.
    var refusedConnections = 0
    /// Exchanges that waited for the short deadline.
    var leftOpen = 0
    /// The number of final answers by status.
    var answers: [Int: Int] = [:]
    var unanswered: [Unanswered: Int] = [:]
    var mutations: [String: Int] = [:]

    mutating func add(_ exchange: FuzzExchange) {
        requests += exchange.requests.count
        if exchange.ending == .leftOpen { leftOpen += 1 }
        for mutation in exchange.mutations { mutations[mutation, default: 0] += 1 }
    }

    mutating func add(_ other: FuzzTally) {
        requests += other.requests
        connections += other.connections
        refusedConnections += other.refusedConnections
        leftOpen += other.leftOpen
        answers.merge(other.answers, uniquingKeysWith: +)
        unanswered.merge(other.unanswered, uniquingKeysWith: +)
        mutations.merge(other.mutations, uniquingKeysWith: +)
    }
}
