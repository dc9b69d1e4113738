import Storage
import Synchronization
import Testing

@testable import LedgerWorker
@testable import RabbitMQ

@Suite("Delivery inbox")
struct DeliveryInboxTests {
    @Test("one lane at a time takes from a queue, and the order of the queue is kept")
    func oneLanePerQueue() async throws {
        let inbox = DeliveryInbox()
        inbox.put((0..<6).map { delivery("a", number: $0, bytes: 60_000) })
        inbox.put((0..<6).map { delivery("b", number: $0, bytes: 60_000) })
        var seen: [String: [UInt64]] = [:]
        while seen["a", default: []].count < 6 || seen["b", default: []].count < 6 {
            let first = try #require(await inbox.take())
            let second = seen.isEmpty ? try #require(await inbox.take()) : []
            #expect(Set(first.map(\.queue)).isDisjoint(with: second.map(\.queue)))
            for delivery in first + second { seen[delivery.queue, default: []].append(delivery.tag.number) }
            inbox.finish(first)
            if !second.isEmpty { inbox.finish(second) }
        }
        #expect(seen == ["a": Array(0..<6), "b": Array(0..<6)])
    }

    @Test("while little waits, one lane takes all of it, from every queue")
    func oneLaneForLittle() async throws {
        let inbox = DeliveryInbox()
        inbox.put([delivery("a", number: 0, bytes: 10), delivery("b", number: 0, bytes: 10)])
        let taken = try #require(await inbox.take())
        #expect(Set(taken.map(\.queue)) == ["a", "b"])
    }

    @Test("a lane takes no more than a batch, and the same share of every queue")
    func bounds() async throws {
        let inbox = DeliveryInbox()
        inbox.put((0..<200).map { delivery("a", number: $0, bytes: 1) })
        inbox.put((0..<200).map { delivery("b", number: $0, bytes: 1) })
        let taken = try #require(await inbox.take())
        #expect(taken.filter { $0.queue == "a" }.count == 32)
        #expect(taken.filter { $0.queue == "b" }.count == 32)
    }

    @Test("a closed inbox gives nothing, neither to waiting lanes nor to later ones")
    func closing() async {
        let inbox = DeliveryInbox()
        async let waiting = inbox.take()
        inbox.close()
        #expect(await waiting?.count == nil)
        inbox.put([delivery("a", number: 0, bytes: 1)])
        #expect(await inbox.take()?.count == nil)
    }

    @Test(
        "a withdrawn queue is returned when no lane works on it, and no lane takes from it until it is admitted")
    func withdrawal() async throws {
        let inbox = DeliveryInbox()
        inbox.put([delivery("a", number: 0, bytes: 1)])
        let taken = try #require(await inbox.take())
        inbox.put([delivery("a", number: 1, bytes: 1)])
        let isWithdrawn = Flag()
        let withdrawing = Task {
            await inbox.withdraw("a")
            isWithdrawn.raise()
        }
        inbox.put([delivery("b", number: 0, bytes: 40_000)])
        let other = try #require(await inbox.take())
        #expect(other.map(\.queue) == ["b"])
        inbox.finish(other)
        #expect(!isWithdrawn.isRaised)
        inbox.finish(taken)
        await withdrawing.value
        inbox.put([delivery("a", number: 2, bytes: 1), delivery("b", number: 1, bytes: 1)])
        #expect(await inbox.take()?.map(\.tag.number) == [1])
        inbox.admit("a")
        inbox.put([delivery("a", number: 3, bytes: 40_000)])
        #expect(await inbox.take()?.map(\.tag.number) == [3])
    }

    @Test("redeliveries of a new channel replace the deliveries that still wait from the previous one")
    func newChannel() async throws {
        let inbox = DeliveryInbox()
        inbox.put((0..<3).map { delivery("a", number: $0, bytes: 1) })
        inbox.put((0..<4).map { delivery("a", number: $0, bytes: 1, epoch: 2) })
        let taken = try #require(await inbox.take())
        #expect(taken.map(\.tag) == (0..<4).map { delivery("a", number: $0, bytes: 1, epoch: 2).tag })
    }

    @Test("a queue with a standing backlog does not keep the other queues from their turn")
    func turns() async throws {
        let inbox = DeliveryInbox()
        let names = (0..<6).map { "q\($0)" }
        // Each batch is filled by one message of one queue, and each queue always has another one.
        var seen: Set<String> = []
        for name in names { inbox.put((0..<12).map { delivery(name, number: $0, bytes: 100_000) }) }
        for _ in names {
            let taken = try #require(await inbox.take())
            seen.formUnion(taken.map(\.queue))
            inbox.finish(taken)
        }
        #expect(seen == Set(names))
    }

    @Test("a suspect is taken alone, and no other lane works at the same time")
    func suspects() async throws {
        let inbox = DeliveryInbox()
        inbox.put([delivery("a", number: 0, bytes: 40_000)])
        let innocent = try #require(await inbox.take())
        inbox.put([delivery("b", number: 0, bytes: 40_000, deliveryCount: 3)])
        inbox.put([delivery("c", number: 0, bytes: 40_000)])
        async let next = inbox.take()
        inbox.finish(innocent)
        let suspect = try #require(await next)
        #expect(suspect.map(\.queue) == ["b"])
        async let last = inbox.take()
        inbox.finish(suspect)
        #expect(try #require(await last).map(\.queue) == ["c"])
    }

    @Test("every queue has exactly one worker, and the shares of the workers differ by one queue at most")
    func shares() {
        let queues = (0..<5).map { "q\($0)" }
        for count in Int32(1)...7 {
            let members = (0..<count).map { WorkerRegistry.Member(number: $0 * 3, revision: 1) }
            let shares = members.map { ShardKeeper.share(of: $0.number, among: members, queues: queues) }
            #expect(shares.flatMap { $0 }.sorted() == queues)
            let sizes = shares.map(\.count)
            #expect((sizes.max() ?? 0) - (sizes.min() ?? 0) <= 1)
        }
    }

    @Test("during an update only the workers of the newest message revision have queues")
    func sharesOfNewest() {
        let members = ([1, 1, 2, 2, 1] as [Int32]).enumerated().map { index, revision in
            WorkerRegistry.Member(number: Int32(index), revision: revision)
        }
        let queues = (0..<5).map { "q\($0)" }
        let shares = members.map { ShardKeeper.share(of: $0.number, among: members, queues: queues).sorted() }
        #expect(shares == [[], [], ["q0", "q2", "q4"], ["q1", "q3"], []])
    }

    private final class Flag: Sendable {
        private let state = Mutex(false)
        var isRaised: Bool { state.withLock { $0 } }
        func raise() { state.withLock { $0 = true } }
    }

    private func delivery(
        _ queue: String, number: Int, bytes: Int, epoch: UInt64 = 1, deliveryCount: Int = 0
    ) -> AMQPDelivery {
        AMQPDelivery(
            queue: queue, body: Array(repeating: 0, count: bytes), redelivered: false,
            deliveryCount: deliveryCount,
            correlationID: nil, replyTo: nil, messageID: nil, type: nil,
            tag: AMQPDeliveryTag(subscription: 0, epoch: epoch, number: UInt64(number)))
    }
}
