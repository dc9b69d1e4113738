import SeededRandom

/// A fault of one process, drawn from the seed alone.
struct Fault: Sendable {
    enum Target: Hashable, Sendable {
        case node(Node.Role)
        case server(Server.Name)
    }

    enum Blow: Hashable, Sendable {
        /// SIGKILL: for PostgreSQL the postmaster, for RabbitMQ the whole node.
        case kill
        /// SIGTERM; for PostgreSQL SIGINT, its fast shutdown.
        case stop
        /// SIGQUIT, PostgreSQL's immediate shutdown, after which it recovers as from a crash.
        case stopImmediately
        /// SIGSTOP, followed by SIGCONT after a while.
        case freeze
    }

    let target: Target
    let blow: Blow
    /// Selects one of the nodes of a role, modulo their number.
    let index: Int
    /// The time after the previous fault.
    let pause: Duration
    /// The duration of a freeze, or the time from the end of a process to its next start.
    let lasts: Duration

    var name: String {
        let who =
            switch target {
            case .node(let role): role.rawValue
            case .server(let name): name.rawValue
            }
        let what =
            switch blow {
            case .kill: "kill"
            case .stop: "stop"
            case .stopImmediately: "stop immediate"
            case .freeze: "freeze"
            }
        return "\(what) \(who)"
    }
}

/// The faults of a seed. The same seed gives the same faults in the same order, whatever happens in the storm.
struct FaultSchedule {
    private struct Row {
        let target: Fault.Target
        let blow: Fault.Blow
        /// The share in the sum of all weights.
        let weight: Int
        let milliseconds: ClosedRange<Int>

        init(_ blow: Fault.Blow, _ target: Fault.Target, weight: Int, milliseconds: ClosedRange<Int> = 0...1_000) {
            self.target = target
            self.blow = blow
            self.weight = weight
            self.milliseconds = milliseconds
        }
    }

    /// The longest freeze costs a worker its queues: the broker closes a connection that has been silent for two
    /// heartbeats of 10 s, another worker gets the deliveries, and the frozen worker wakes with the same deliveries.
    private static let rows = [
        Row(.kill, .node(.ledger), weight: 380),
        Row(.stop, .node(.ledger), weight: 60),
        Row(.freeze, .node(.ledger), weight: 90, milliseconds: 1_000...3_000),
        Row(.freeze, .node(.ledger), weight: 8, milliseconds: 21_000...26_000),
        Row(.kill, .node(.api), weight: 110),
        Row(.stop, .node(.api), weight: 40),
        Row(.freeze, .node(.api), weight: 50, milliseconds: 500...3_000),
        Row(.kill, .node(.entitlements), weight: 60),
        Row(.stop, .node(.entitlements), weight: 25),
        Row(.freeze, .node(.entitlements), weight: 30, milliseconds: 500...3_000),
        Row(.kill, .node(.scheduler), weight: 40),
        Row(.freeze, .node(.scheduler), weight: 20, milliseconds: 500...8_000),
        Row(.kill, .node(.webhooks), weight: 50),
        Row(.stop, .node(.webhooks), weight: 20),
        Row(.freeze, .node(.webhooks), weight: 20, milliseconds: 500...8_000),
        Row(.kill, .server(.postgres), weight: 32),
        Row(.stop, .server(.postgres), weight: 15),
        Row(.stopImmediately, .server(.postgres), weight: 18),
        Row(.freeze, .server(.postgres), weight: 25, milliseconds: 500...6_000),
        Row(.kill, .server(.rabbitmq), weight: 12),
        Row(.stop, .server(.rabbitmq), weight: 4),
        Row(.freeze, .server(.rabbitmq), weight: 6, milliseconds: 2_000...15_000),
    ]

    private static let totalWeight = rows.reduce(0) { $0 + $1.weight }

    private var random: SeededGenerator
    private let meanPause: Int

    /// - Parameter meanPause: The average time from one fault to the next, in milliseconds.
    init(seed: UInt64, meanPause: Int) {
        random = SeededGenerator(seed: seed)
        self.meanPause = meanPause
    }

    /// Draws the next fault. It always draws four numbers, so that the row does not shift the numbers of later faults.
    mutating func next() -> Fault {
        var place = Int.random(in: 0..<Self.totalWeight, using: &random)
        let index = Int.random(in: 0..<1 << 20, using: &random)
        let pause = Int.random(in: 0...2 * meanPause, using: &random)
        let share = Double.random(in: 0..<1, using: &random)
        var chosen = Self.rows[0]
        for row in Self.rows {
            chosen = row
            if place < row.weight { break }
            place -= row.weight
        }
        let span = Double(chosen.milliseconds.upperBound - chosen.milliseconds.lowerBound)
        return Fault(
            target: chosen.target, blow: chosen.blow, index: index, pause: .milliseconds(pause),
            lasts: .milliseconds(chosen.milliseconds.lowerBound + Int(share * span)))
    }
}
