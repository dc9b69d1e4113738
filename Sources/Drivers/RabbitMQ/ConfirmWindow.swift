/// The messages under way on one confirming channel, by the sequence number that the broker confirms.
///
/// Sequence numbers start at 1 and have no gaps. A message leaves the window when the broker settles it. A message
/// whose deadline has passed keeps its place until then, so that a broker that confirms nothing is sent no more than
/// one window.
struct ConfirmWindow<Entry> {
    private struct Slot {
        var entry: Entry?
        var deadline: UInt64
        var returned: String?
        var settled = false
    }

    private var slots: [Slot] = []

    /// The slots before this index are settled.
    private var head = 0

    /// The slots before this index hold no entry: settled or expired.
    private var live = 0

    private var firstSequence: UInt64 = 1

    /// Messages that the broker has not settled, expired ones included.
    private(set) var unsettled = 0

    /// Messages that the broker has not settled and whose deadline has passed.
    private(set) var expired = 0

    /// The earliest deadline of a message that is neither settled nor expired; nil for none.
    var nextDeadline: UInt64? { live < slots.count ? slots[live].deadline : nil }

    /// The sequence number of the message that `append` will take next.
    var nextSequence: UInt64 { firstSequence + UInt64(slots.count) }

    /// Deadlines must not decrease from one message to the next.
    mutating func append(_ entry: Entry, deadline: UInt64) {
        slots.append(Slot(entry: entry, deadline: deadline))
        unsettled += 1
    }

    /// Notes that a message was returned; the confirmation that follows settles it.
    mutating func markReturned(sequence: UInt64, text: String) {
        guard let index = index(of: sequence), !slots[index].settled else { return }
        slots[index].returned = text
    }

    /// Settles one message, or with `multiple` every one up to it (all of them when `sequence` is 0).
    ///
    /// - Parameter each: Called for every settled message that has not expired, with the text of its return, if any.
    mutating func settle(sequence: UInt64, multiple: Bool, _ each: (Entry, _ returned: String?) -> Void) {
        if multiple {
            let end = sequence == 0 ? slots.count : min(slots.count, Int(clamping: sequence &+ 1 &- firstSequence))
            guard sequence == 0 || sequence >= firstSequence else { return }
            for index in head..<max(head, end) { settle(index, each) }
        } else if let index = index(of: sequence) {
            settle(index, each)
        }
        while head < slots.count, slots[head].settled { head += 1 }
        live = max(live, head)
        skipEmpty()
        compact()
    }

    /// Takes out the messages whose deadline is not after `now`.
    mutating func expire(now: UInt64) -> [Entry] {
        var entries: [Entry] = []
        while live < slots.count, slots[live].deadline <= now {
            if let entry = slots[live].entry {
                entries.append(entry)
                slots[live].entry = nil
                expired += 1
            }
            live += 1
        }
        skipEmpty()
        return entries
    }

    /// The messages that are neither settled nor expired, in order.
    var entries: [Entry] { slots[head...].compactMap(\.entry) }

    /// Takes out all messages and starts again at sequence number 1, as a new channel does.
    mutating func reset() -> [Entry] {
        let entries = slots[head...].compactMap(\.entry)
        self = ConfirmWindow()
        return entries
    }

    private func index(of sequence: UInt64) -> Int? {
        guard sequence >= firstSequence, sequence < nextSequence else { return nil }
        let index = Int(sequence - firstSequence)
        return index >= head ? index : nil
    }

    private mutating func settle(_ index: Int, _ each: (Entry, String?) -> Void) {
        guard !slots[index].settled else { return }
        slots[index].settled = true
        unsettled -= 1
        if let entry = slots[index].entry {
            slots[index].entry = nil
            each(entry, slots[index].returned)
        } else {
            expired -= 1
        }
    }

    private mutating func skipEmpty() {
        while live < slots.count, slots[live].entry == nil { live += 1 }
    }

    private mutating func compact() {
        guard head >= 256, head * 2 >= slots.count else { return }
        slots.removeFirst(head)
        firstSequence += UInt64(head)
        live -= head
        head = 0
    }
}

/// A first-in, first-out queue that does not move its elements at every step.
struct Fifo<Element> {
    private var elements: [Element?] = []
    private var head = 0

    var count: Int { elements.count - head }
    var isEmpty: Bool { count == 0 }
    var first: Element? { isEmpty ? nil : elements[head] }

    mutating func append(_ element: Element) { elements.append(element) }

    mutating func popFirst() -> Element? {
        guard head < elements.count else { return nil }
        defer {
            elements[head] = nil
            head += 1
            if head == elements.count || head >= 1_024 && head * 2 >= elements.count {
                elements.removeFirst(head)
                head = 0
            }
        }
        return elements[head]
    }

    /// Takes out all elements, in order.
    mutating func removeAll() -> [Element] {
        defer { self = Fifo() }
        return elements[head...].compactMap { $0 }
    }
}
