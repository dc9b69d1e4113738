import Testing

@testable import RabbitMQ

@Suite struct ConfirmWindowTests {
    private func window(_ count: Int) -> ConfirmWindow<Int> {
        var window = ConfirmWindow<Int>()
        for number in 1...count { window.append(number, deadline: UInt64(number)) }
        return window
    }

    private func settled(_ window: inout ConfirmWindow<Int>, _ sequence: UInt64, multiple: Bool) -> [Int] {
        var entries: [Int] = []
        window.settle(sequence: sequence, multiple: multiple) { entry, _ in entries.append(entry) }
        return entries
    }

    @Test("a single confirmation settles its message only, once")
    func single() {
        var window = window(3)
        #expect(settled(&window, 2, multiple: false) == [2])
        #expect(settled(&window, 2, multiple: false) == [])
        #expect(window.unsettled == 2)
    }

    @Test("a multiple confirmation settles the open messages up to its number, and zero settles all")
    func multiple() {
        var window = window(5)
        #expect(settled(&window, 2, multiple: false) == [2])
        #expect(settled(&window, 3, multiple: true) == [1, 3])
        #expect(settled(&window, 1, multiple: true) == [])
        #expect(settled(&window, 0, multiple: true) == [4, 5])
        #expect(window.unsettled == 0)
        #expect(window.nextSequence == 6)
    }

    @Test("a number that was never sent settles only messages that were sent")
    func unknownNumbers() {
        var window = window(2)
        #expect(settled(&window, 9, multiple: false) == [])
        #expect(settled(&window, .max, multiple: false) == [])
        #expect(settled(&window, 9, multiple: true) == [1, 2])
        #expect(settled(&window, .max, multiple: true) == [])
    }

    @Test("a returned message is settled with the text of its return")
    func returned() {
        var window = window(2)
        window.markReturned(sequence: 2, text: "NO_ROUTE")
        var texts: [String?] = []
        window.settle(sequence: 2, multiple: true) { _, text in texts.append(text) }
        #expect(texts == [nil, "NO_ROUTE"])
    }

    @Test("an expired message keeps its place until the broker settles it")
    func expired() {
        var window = window(4)
        #expect(settled(&window, 1, multiple: false) == [1])
        #expect(window.nextDeadline == 2)
        #expect(window.expire(now: 3) == [2, 3])
        #expect(window.expire(now: 3) == [])
        #expect(window.nextDeadline == 4)
        #expect(window.unsettled == 3)
        #expect(window.expired == 2)
        #expect(settled(&window, 3, multiple: true) == [])
        #expect(window.unsettled == 1)
        #expect(window.expired == 0)
    }

    @Test("a reset returns the open messages and counts from one again")
    func reset() {
        var window = window(3)
        _ = settled(&window, 2, multiple: false)
        #expect(window.reset() == [1, 3])
        #expect(window.nextSequence == 1)
        #expect(window.nextDeadline == nil)
    }

    @Test("random confirmations settle every message exactly once", arguments: 1...20)
    func random(seed: UInt64) {
        var random = Numbers(state: seed)
        var window = ConfirmWindow<UInt64>()
        var open: Set<UInt64> = []
        for step in 1...5_000 {
            if open.count < 300, random.next() % 2 == 0 {
                let sequence = window.nextSequence
                window.append(sequence, deadline: UInt64(step))
                open.insert(sequence)
            } else if let sequence = open.randomElement(using: &random) {
                let multiple = random.next() % 4 == 0
                let expected: Set<UInt64> = multiple ? open.filter { $0 <= sequence } : [sequence]
                var got: Set<UInt64> = []
                window.settle(sequence: sequence, multiple: multiple) { entry, _ in got.insert(entry) }
                #expect(got == expected)
                open.subtract(expected)
            }
            #expect(window.unsettled == open.count)
        }
    }
}

@Suite struct FifoTests {
    @Test("the first element in is the first out, however long the queue becomes")
    func order() {
        var fifo = Fifo<Int>()
        var out: [Int] = []
        for number in 0..<10_000 {
            fifo.append(number)
            if number % 3 == 0, let first = fifo.popFirst() { out.append(first) }
        }
        #expect(fifo.count == 10_000 - out.count)
        while fifo.count > 10, let first = fifo.popFirst() { out.append(first) }
        #expect(fifo.first == 9_990)
        out += fifo.removeAll()
        #expect(out == Array(0..<10_000))
        #expect(fifo.isEmpty)
        #expect(fifo.popFirst() == nil)
    }
}

@Suite struct AcknowledgementLedgerTests {
    private typealias Frame = AcknowledgementLedger.Acknowledgement

    private func ledger(_ count: UInt64) -> AcknowledgementLedger {
        var ledger = AcknowledgementLedger()
        for number in 1...count { ledger.deliver(number) }
        return ledger
    }

    @Test("a whole prefix is acknowledged in one frame")
    func prefix() {
        var ledger = ledger(5)
        #expect(ledger.acknowledge([3, 1, 2]) == [Frame(number: 3, multiple: true)])
        #expect(ledger.acknowledge([4]) == [Frame(number: 4, multiple: false)])
    }

    @Test("a gap is never covered")
    func gap() {
        var ledger = ledger(5)
        #expect(
            ledger.acknowledge([2, 1, 4, 5]) == [
                Frame(number: 2, multiple: true), Frame(number: 4, multiple: false), Frame(number: 5, multiple: false),
            ])
        #expect(ledger.acknowledge([3]) == [Frame(number: 3, multiple: false)])
        #expect(ledger.count == 0)
    }

    @Test("a delivery is acknowledged once, an unknown one never")
    func once() {
        var ledger = ledger(2)
        #expect(ledger.acknowledge([1, 1]) == [Frame(number: 1, multiple: false)])
        #expect(ledger.acknowledge([1, 7, 0]) == [])
        #expect(ledger.acknowledge([2]) == [Frame(number: 2, multiple: false)])
    }

    @Test("a multiple frame names a delivery that was not acknowledged individually before")
    func numberOfMultiple() {
        var ledger = ledger(4)
        #expect(ledger.acknowledge([3]) == [Frame(number: 3, multiple: false)])
        #expect(ledger.acknowledge([1, 2]) == [Frame(number: 2, multiple: true)])
    }
}

@Suite struct ReconnectScheduleTests {
    @Test("pauses double from 0.1 s to 5 s and start again after a connection that lasted")
    func pauses() {
        var schedule = ReconnectSchedule()
        let milliseconds = (0..<8).map { _ in schedule.nextPause(now: 0, random: 0) / 1_000_000 }
        #expect(milliseconds == [100, 200, 400, 800, 1_600, 3_200, 5_000, 5_000])
        schedule.succeeded(now: 0)
        #expect(schedule.nextPause(now: 4_999_999_999, random: 0) == 5_000_000_000)
        schedule.succeeded(now: 0)
        #expect(schedule.nextPause(now: 5_000_000_000, random: 0) == 100_000_000)
    }

    @Test("randomness shortens a pause by up to a half")
    func chance() {
        for random in [0, 1, 49_999_999, 50_000_000, 50_000_001, UInt64.max] {
            var schedule = ReconnectSchedule()
            let pause = schedule.nextPause(now: 0, random: random)
            #expect((50_000_000...100_000_000).contains(pause))
        }
    }
}

/// A small seeded generator (SplitMix64).
private struct Numbers: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }
}
