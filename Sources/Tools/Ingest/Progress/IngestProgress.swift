/// The progress of a run. Within a phase the numbers only grow.
package struct IngestProgress: Sendable, Equatable {
    package enum Phase: Sendable, Equatable {
        /// The file is read for the first time; nothing is sent.
        case checking
        case sending
    }

    package var phase: Phase
    /// Rows checked or rows answered, depending on the phase.
    package var rowsDone: Int
    /// The number of rows to send; nil during the check.
    package var rowsTotal: Int?
    package var bytesDone: Int
    package var bytesTotal: Int
    package var accepted = 0
    package var replayed = 0
    package var rejected = 0
    /// The time since the phase began.
    package var elapsed: Duration

    package init(
        phase: Phase, rowsDone: Int, rowsTotal: Int?, bytesDone: Int, bytesTotal: Int, accepted: Int = 0,
        replayed: Int = 0, rejected: Int = 0, elapsed: Duration
    ) {
        self.phase = phase
        self.rowsDone = rowsDone
        self.rowsTotal = rowsTotal
        self.bytesDone = bytesDone
        self.bytesTotal = bytesTotal
        self.accepted = accepted
        self.replayed = replayed
        self.rejected = rejected
        self.elapsed = elapsed
    }

    /// The mean rate since the phase began; 0 before any time has passed.
    package var rowsPerSecond: Int { rowsDone.perSecond(over: elapsed) }

    /// The share of the bytes that are done, 0 to 1.
    package var fraction: Double {
        bytesTotal == 0 ? 1 : min(1, Double(bytesDone) / Double(bytesTotal))
    }
}

extension Int {
    func perSecond(over elapsed: Duration) -> Int {
        let seconds = elapsed / .seconds(1)
        return seconds > 0 ? Int(Double(self) / seconds) : 0
    }
}
