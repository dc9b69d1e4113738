import Credits
import Storage

/// The due deliveries of an endpoint that a worker has in hand, as one line for each end user.
///
/// A line's deliveries are sent one after another, in their order. A line whose delivery has failed is dropped: its other
/// deliveries wait in the database for the next attempt. An account stays in hand until the outcomes of its line are
/// recorded, because the database shows its deliveries as due until then.
struct DeliveryWindow {
    private var lines: [AccountID: ArraySlice<DueDelivery>] = [:]
    /// The lines whose first delivery can be sent.
    private var ready: [AccountID] = []
    private var readyStart = 0
    /// Finished lines with outcomes that are not recorded yet.
    private var settling: Set<AccountID> = []

    var busy: [AccountID] { Array(lines.keys) + settling }
    var lineCount: Int { lines.count + settling.count }
    var readyCount: Int { ready.count - readyStart }

    /// - Parameter due: The deliveries of an account follow each other. No account is in hand.
    mutating func add(_ due: [DueDelivery]) {
        var index = due.startIndex
        while index < due.endIndex {
            let account = due[index].account
            let end = due[index...].firstIndex { $0.account != account } ?? due.endIndex
            lines[account] = due[index..<end]
            ready.append(account)
            index = end
        }
    }

    /// The next delivery to send. Its line waits until `finished` is called.
    mutating func next() -> DueDelivery? {
        guard readyStart < ready.count else { return nil }
        let account = ready[readyStart]
        readyStart += 1
        if readyStart > 256 {
            ready.removeFirst(readyStart)
            readyStart = 0
        }
        return lines[account]?.first
    }

    mutating func finished(_ account: AccountID, isSuccess: Bool) {
        lines[account]?.removeFirst()
        if isSuccess, lines[account]?.isEmpty == false {
            ready.append(account)
        } else {
            lines[account] = nil
            settling.insert(account)
        }
    }

    /// All outcomes so far are recorded.
    mutating func recorded() {
        settling.removeAll(keepingCapacity: true)
    }
}
