/// The deliveries of one channel that are not acknowledged yet.
///
/// It turns acknowledgements in any order into few frames. `multiple` is used only for a prefix of the deliveries that
/// is acknowledged completely, so it never covers a message that is still being worked on. Each delivery is
/// acknowledged once, because the broker closes the channel at a second acknowledgement.
struct AcknowledgementLedger {
    struct Acknowledgement: Equatable {
        let number: UInt64
        let multiple: Bool
    }

    private var outstanding: Set<UInt64> = []

    /// Every delivery before this one was acknowledged. Numbers start at 1 and have no gaps.
    private var firstOutstanding: UInt64 = 1
    private var lastDelivered: UInt64 = 0

    var count: Int { outstanding.count }

    mutating func deliver(_ number: UInt64) {
        outstanding.insert(number)
        lastDelivered = max(lastDelivered, number)
    }

    /// The frames to write. Numbers that were never delivered, or are acknowledged already, are left out.
    mutating func acknowledge(_ numbers: some Sequence<UInt64>) -> [Acknowledgement] {
        var fresh = numbers.filter { outstanding.remove($0) != nil }
        guard !fresh.isEmpty else { return [] }
        while firstOutstanding <= lastDelivered, !outstanding.contains(firstOutstanding) { firstOutstanding += 1 }
        fresh.sort()
        let prefix = fresh.prefix { $0 < firstOutstanding }
        var acknowledgements: [Acknowledgement] = []
        if let last = prefix.last {
            acknowledgements.append(Acknowledgement(number: last, multiple: prefix.count > 1))
        }
        for number in fresh.dropFirst(prefix.count) {
            acknowledgements.append(Acknowledgement(number: number, multiple: false))
        }
        return acknowledgements
    }
}
