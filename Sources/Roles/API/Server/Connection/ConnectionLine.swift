/// The open connections of one address, in a line: the one that was added or looked at longest ago comes first.
///
/// The costs do not grow with the number of connections. A client that opens connections without end makes each new one
/// take the place of an idle one, and a search of thousands for each held the lock that all connections share.
struct ConnectionLine<Connection> {
    /// The largest number of connections that one search looks at. Each closed one is passed once.
    static var looks: Int { 256 }

    private var open: [UInt64: Connection] = [:]
    /// The numbers of the connections in their order, from `head` on. That of a closed one stays until it is passed.
    private var line: [UInt64] = []
    private var head = 0

    var isEmpty: Bool { open.isEmpty }
    var connections: some Collection<Connection> { open.values }

    /// - Parameter number: One that no connection of the line has had.
    mutating func add(_ connection: Connection, number: UInt64) {
        if line.count - head > 2 * open.count + Self.looks || head > line.count / 2 {
            line = line[head...].filter { open[$0] != nil }
            head = 0
        }
        open[number] = connection
        line.append(number)
    }

    /// - Returns: False when the connection was removed before.
    mutating func remove(_ number: UInt64) -> Bool {
        open.removeValue(forKey: number) != nil
    }

    /// Looks for the first idle connection, which stays open. The connections that were looked at go to the end of the
    /// line, so that the next search looks at others first.
    ///
    /// - Returns: Nil when none of the first `looks` in the line is idle.
    mutating func firstIdle(_ isIdle: (Connection) -> Bool) -> Connection? {
        for _ in 0..<min(Self.looks, open.count) {
            while open[line[head]] == nil { head += 1 }
            let number = line[head]
            head += 1
            line.append(number)
            if let connection = open[number], isIdle(connection) { return connection }
        }
        return nil
    }
}
