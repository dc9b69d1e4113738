/// Notices that most replies do not arrive, although their commands are decided.
///
/// A RabbitMQ node that is alone in a partition goes on taking messages, but no other node knows the reply queue on it.
/// Replies are also lost when a connection breaks, so one bad period alone is no reason to reconnect: that would lose the
/// replies under way once more.
struct ReplyWatch {
    private static let period = Duration.seconds(5)
    /// Fewer lost replies than this in a period say nothing.
    private static let fewest = 10
    private static let badPeriodsToReconnect = 2

    private var end: ContinuousClock.Instant?
    private var arrived = 0
    private var lost = 0
    private var badPeriods = 0

    /// Whether the latest whole period was bad.
    var losesMost: Bool { badPeriods > 0 }

    mutating func arrived(_ count: Int) { arrived += count }

    /// Counts a request whose results were found in the database before a reply arrived.
    mutating func foundLost() { lost += 1 }

    /// Ends a period that is over. Called at least once a second.
    ///
    /// - Returns: True once for every two bad periods one after another.
    mutating func mustReconnect(at now: ContinuousClock.Instant) -> Bool {
        guard let end, now >= end else {
            if self.end == nil { self.end = now + Self.period }
            return false
        }
        let isBad = lost >= Self.fewest && lost > arrived
        (self.end, arrived, lost) = (now + Self.period, 0, 0)
        badPeriods = isBad ? badPeriods + 1 : 0
        return badPeriods > 0 && badPeriods % Self.badPeriodsToReconnect == 0
    }
}
