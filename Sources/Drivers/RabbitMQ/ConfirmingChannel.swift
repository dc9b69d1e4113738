/// A channel with confirmations, and the messages under way on it.
struct ConfirmingChannel<Entry> {
    /// A number comes round again after so many channels, when no frame of its earlier channel can be on its way.
    private static var numbers: ClosedRange<UInt16> { 3...500 }

    let number: UInt16
    var window = ConfirmWindow<Entry>()

    /// The first confirming channel of a connection.
    init() { self.init(number: 1) }

    private init(number: UInt16) { self.number = number }

    /// The channel that replaces this one.
    var successor: ConfirmingChannel {
        ConfirmingChannel(number: Self.numbers.contains(number + 1) ? number + 1 : Self.numbers.lowerBound)
    }

    /// Whether every message has its outcome.
    var awaitsNothing: Bool { window.unsettled == window.expired }
}

/// The plan to replace a confirming channel after a refusal, at most once a second. Instants are in nanoseconds of the
/// monotonic clock.
struct ChannelReplacement {
    private static let pause: UInt64 = 1_000_000_000

    private(set) var dueAt: UInt64?
    private var doneAt: UInt64?

    mutating func refused(now: UInt64) {
        if dueAt == nil { dueAt = max(now, doneAt.map { $0 + Self.pause } ?? 0) }
    }

    func isDue(now: UInt64) -> Bool { dueAt.map { $0 <= now } ?? false }

    mutating func done(now: UInt64) {
        (dueAt, doneAt) = (nil, now)
    }
}
