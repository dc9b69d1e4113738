import Commands
import Credits
import Ledger
import Messaging
import Storage
import Synchronization
import Testing

@testable import LedgerWorker
@testable import RabbitMQ

@Suite("Delivery inbox")
struct DeliveryInboxTests {
    private let inbox = DeliveryInbox(catalogueQueue: "catalogue")

    private func names(_ batch: DeliveryInbox.Batch?) -> [String] {
        batch?.messages.map { "\($0.delivery.queue)\($0.environmentID.map { ":\($0.rawValue)" } ?? "")" } ?? []
    }

    private func numbers(_ batch: DeliveryInbox.Batch?) -> [UInt64] {
        batch?.messages.map(\.delivery.tag.number) ?? []
    }

    @Test("one lane at a time takes from an environment's messages in a queue, and their order is kept")
    func oneLanePerGroup() async throws {
        inbox.put((0..<6).map { delivery("a", number: $0, bytes: 60_000) })
        inbox.put((0..<6).map { delivery("b", number: $0, bytes: 60_000) })
        var seen: [String: [UInt64]] = [:]
        while seen["a", default: []].count < 6 || seen["b", default: []].count < 6 {
            let first = try #require(await inbox.take())
            let second = seen.isEmpty ? await inbox.take() : nil
            #expect(Set(names(first)).isDisjoint(with: names(second)))
            for message in first.messages + (second?.messages ?? []) {
                seen[message.delivery.queue, default: []].append(message.delivery.tag.number)
            }
            inbox.finish(first)
            if let second { inbox.finish(second) }
        }
        #expect(seen == ["a": Array(0..<6), "b": Array(0..<6)])
    }

    @Test("while little waits, one lane takes all of it, from every queue and environment")
    func oneLaneForLittle() async throws {
        inbox.put([
            delivery("a", number: 0, bytes: 10), delivery("b", number: 0, bytes: 10),
            delivery("a", number: 1, bytes: 10, of: 2),
        ])
        #expect(Set(names(await inbox.take())) == ["a:1", "b:1", "a:2"])
    }

    @Test("a lane takes no more than a batch, the same share of every group, and one message of each before the next")
    func bounds() async throws {
        inbox.put((0..<200).map { delivery("a", number: $0, bytes: 1) })
        inbox.put((0..<200).map { delivery("b", number: $0, bytes: 1) })
        let taken = names(await inbox.take())
        #expect(taken.count == 64)
        for start in stride(from: 0, to: 64, by: 2) { #expect(Set(taken[start..<start + 2]) == ["a:1", "b:1"]) }
    }

    @Test("small messages come before large ones of other groups, and environments share a shorter transaction")
    func smallFirst() async throws {
        inbox.put([
            delivery("a", number: 0, bytes: 9_000), delivery("a", number: 1, bytes: 9_000),
            delivery("a", number: 2, bytes: 10, of: 2), delivery("b", number: 0, bytes: 5_000),
        ])
        let shared = try #require(await inbox.take())
        #expect(names(shared) == ["a:2", "b:1", "a:1", "a:1"] && numbers(shared) == [2, 0, 0, 1])
        #expect(shared.allowance == CommandLimits.perSharedTransaction)
        inbox.finish(shared)
        inbox.put([delivery("a", number: 3, bytes: 10), delivery("b", number: 1, bytes: 10)])
        #expect(await inbox.take()?.allowance == CommandLimits.perTransaction)
    }

    @Test("a closed inbox gives nothing, neither to waiting lanes nor to later ones")
    func closing() async {
        async let waiting = inbox.take()
        async let catalogues = inbox.take(.catalogues)
        inbox.close()
        #expect(await waiting == nil)
        #expect(await catalogues == nil)
        inbox.put([delivery("a", number: 0, bytes: 1)])
        #expect(await inbox.take() == nil)
    }

    @Test("what is left of a batch is decided before what has arrived since, in its order")
    func leftovers() async throws {
        inbox.put((0..<3).map { delivery("a", number: $0, bytes: 1) })
        let taken = try #require(await inbox.take())
        inbox.put([delivery("a", number: 3, bytes: 1)])
        inbox.finish(taken, left: Array(taken.messages.dropFirst()))
        #expect(numbers(await inbox.take()) == [1, 2, 3])
    }

    @Test("what is left of a closed channel is dropped, because the next channel delivers it again")
    func leftoversOfAnOldChannel() async throws {
        inbox.put((0..<3).map { delivery("a", number: $0, bytes: 1) })
        let taken = try #require(await inbox.take())
        inbox.put((0..<3).map { delivery("a", number: $0, bytes: 1, epoch: 2) })
        inbox.finish(taken, left: taken.messages)
        #expect(try #require(await inbox.take()).messages.map(\.delivery.tag.epoch) == [2, 2, 2])
    }

    @Test("a withdrawn queue is returned when no lane works on it, and no lane takes from it until it is admitted")
    func withdrawal() async throws {
        inbox.put([delivery("a", number: 0, bytes: 1), delivery("a", number: 1, bytes: 1)])
        let taken = try #require(await inbox.take())
        inbox.put([delivery("a", number: 2, bytes: 1)])
        let isWithdrawn = Flag()
        let withdrawing = Task {
            #expect(await inbox.withdraw("a", within: .seconds(60)))
            isWithdrawn.raise()
        }
        inbox.put([delivery("b", number: 0, bytes: 40_000)])
        let other = try #require(await inbox.take())
        #expect(names(other) == ["b:1"])
        inbox.finish(other)
        #expect(!isWithdrawn.isRaised)
        // The withdrawal may only begin after this line, and must then still end.
        inbox.finish(taken, left: [taken.messages[1]])
        await withdrawing.value
        inbox.put([delivery("a", number: 3, bytes: 1), delivery("b", number: 1, bytes: 1)])
        #expect(numbers(await inbox.take()) == [1])
        inbox.admit("a")
        inbox.put([delivery("a", number: 4, bytes: 40_000)])
        #expect(numbers(await inbox.take()) == [4])
    }

    @Test("a withdrawal ends at its deadline when a lane does not")
    func withdrawalDeadline() async throws {
        inbox.put([delivery("a", number: 0, bytes: 1)])
        let taken = try #require(await inbox.take())
        #expect(await !inbox.withdraw("a", within: .milliseconds(1)))
        inbox.finish(taken, left: taken.messages)
        inbox.put([delivery("b", number: 0, bytes: 1)])
        #expect(names(await inbox.take()) == ["b:1"])
    }

    @Test("redeliveries of a new channel replace the deliveries that still wait from the previous one")
    func newChannel() async throws {
        inbox.put((0..<3).map { delivery("a", number: $0, bytes: 1) })
        inbox.put((0..<4).map { delivery("a", number: $0, bytes: 1, epoch: 2) })
        let taken = try #require(await inbox.take())
        #expect(taken.messages.map(\.delivery.tag) == (0..<4).map { delivery("a", number: $0, bytes: 1, epoch: 2).tag })
    }

    @Test("a group with a standing backlog does not keep the other groups from their turn, nor they it")
    func turns() async throws {
        // Each batch is filled by one message of one queue, and each queue always has another one.
        let queues = (0..<6).map { "q\($0)" }
        var seen: Set<String> = []
        for name in queues { inbox.put((0..<12).map { delivery(name, number: $0, bytes: 100_000) }) }
        for _ in queues {
            let taken = try #require(await inbox.take())
            seen.formUnion(names(taken))
            inbox.finish(taken)
        }
        #expect(seen == Set(queues.map { "\($0):1" }))
        // New environments keep coming, and each of them fills a batch.
        var turns: [String] = []
        for environment: Int32 in 2...20 {
            inbox.put([delivery("q0", number: Int(environment) + 100, bytes: 100_000, of: environment)])
            let taken = try #require(await inbox.take())
            turns += names(taken)
            inbox.finish(taken)
        }
        #expect(turns.count { $0.hasSuffix(":1") } >= 6)
    }

    @Test("a group of which nothing was decided keeps its place in the line")
    func placeInLine() async throws {
        for environment: Int32 in 1...8 { inbox.put([delivery("a", number: 0, bytes: 10, of: environment)]) }
        var order: [String] = []
        for _ in 0..<8 {
            // Each transaction has time for one message only, and its environment sends the next one at once.
            let taken = try #require(await inbox.take())
            order.append(names(taken)[0])
            inbox.finish(taken, left: Array(taken.messages.dropFirst()))
            inbox.put([delivery("a", number: order.count, bytes: 10, of: taken.messages[0].environmentID?.rawValue)])
        }
        #expect(Set(order).count == 8, "\(order)")
    }

    @Test("a larger message is decided too while smaller ones keep coming")
    func largerMessage() async throws {
        inbox.put([delivery("a", number: 0, bytes: 1_000, of: 9)])
        for environment: Int32 in 1...3 { inbox.put([delivery("a", number: 0, bytes: 10, of: environment)]) }
        for turn in 1... {
            // Each transaction has time for three messages only, and their environments send the next ones at once.
            let taken = try #require(await inbox.take())
            let decided = taken.messages.prefix(3).compactMap { $0.environmentID?.rawValue }
            inbox.finish(taken, left: Array(taken.messages.dropFirst(3)))
            if decided.contains(9) { break }
            try #require(turn < 20)
            for environment in decided {
                inbox.put([delivery("a", number: turn, bytes: 10, of: environment)])
            }
        }
    }

    @Test("a suspect is taken alone, and no other lane works at the same time")
    func suspects() async throws {
        inbox.put([delivery("a", number: 0, bytes: 40_000)])
        let innocent = try #require(await inbox.take())
        inbox.put([delivery("b", number: 0, bytes: 40_000, deliveryCount: 3)])
        inbox.put([delivery("c", number: 0, bytes: 40_000), delivery("catalogue", number: 0, bytes: 1)])
        async let next = inbox.take()
        inbox.finish(innocent)
        let suspect = try #require(await next)
        #expect(names(suspect) == ["b:1"])
        async let last = inbox.take()
        async let catalogue = inbox.take(.catalogues)
        inbox.finish(suspect)
        #expect(names(await last) == ["c:1"])
        #expect(names(await catalogue) == ["catalogue:1"])
    }

    @Test("the catalogue's messages go to their own lane, also while all other lanes are at work")
    func catalogues() async throws {
        inbox.put([delivery("a", number: 0, bytes: 1), delivery("catalogue", number: 0, bytes: 1)])
        #expect(names(await inbox.take()) == ["a:1"])
        #expect(names(await inbox.take(.catalogues)) == ["catalogue:1"])
        let installation = EnvironmentID.installation.rawValue
        inbox.put([delivery("catalogue", number: 1, bytes: 1, of: installation)])
        #expect(names(await inbox.take(.installation)) == ["catalogue:\(installation)"], "the operator does not wait")
    }

    @Test("a slow environment is taken alone, by one lane, and two slow ones leave lanes to the others")
    func slowEnvironments() async throws {
        for environment: Int32 in 1...3 { inbox.put([delivery("a", number: 0, bytes: 10, of: environment)]) }
        let first = try #require(await inbox.take())
        #expect(first.messages.count == 3)
        inbox.finish(
            first, left: first.messages,
            allowances: [EnvironmentID(1): 5, EnvironmentID(2): 7, EnvironmentID(3): 9])
        #expect(inbox.slowCount == 3)
        let slow = try #require(await inbox.take())
        #expect(slow.messages.count == 1)
        let other = try #require(await inbox.take())
        #expect(Set([slow.allowance, other.allowance]).isSubset(of: [5, 7, 9]))
        #expect(slow.slow != other.slow)
        inbox.put([delivery("a", number: 1, bytes: 10, of: 4)])
        let common = try #require(await inbox.take())
        #expect(names(common) == ["a:4"], "a third slow environment waits, another one does not")
        inbox.finish(slow, allowances: [slow.slow ?? EnvironmentID(0): nil])
        #expect(inbox.slowCount == 2)
        let third = try #require(await inbox.take())
        #expect(third.slow != nil && third.slow != other.slow && third.slow != slow.slow)
    }

    @Test("a slow environment has its turn also while the others have work for every lane")
    func slowBesideBacklog() async throws {
        inbox.put([delivery("a", number: 0, bytes: 10, of: 2), delivery("a", number: 1, bytes: 10, of: 2)])
        let first = try #require(await inbox.take())
        inbox.finish(first, left: [first.messages[1]], allowances: [EnvironmentID(2): 5])
        inbox.put((2..<40).map { delivery("a", number: $0, bytes: 100_000) })
        var slow: [Bool] = []
        for _ in 0..<4 {
            let taken = try #require(await inbox.take())
            slow.append(taken.slow != nil)
            inbox.finish(taken)
            inbox.put([delivery("b", number: slow.count, bytes: 100_000)])
        }
        #expect(slow.contains(true), "\(slow)")
    }

    @Test("heavy environments share no transaction with others, and leave them a lane")
    func heavyEnvironments() async throws {
        let start = ContinuousClock.now
        for environment: Int32 in 1...3 { inbox.put([delivery("a", number: 0, bytes: 10, of: environment)]) }
        let all = try #require(await inbox.take())
        #expect(all.messages.count == 3 && all.heavy == nil)
        inbox.finish(
            all, left: all.messages,
            heavy: [EnvironmentID(1), EnvironmentID(2)], at: start)
        #expect(inbox.heavyCount == 2)
        var batches: [DeliveryInbox.Batch] = []
        for _ in 1...3 { batches.append(try #require(await inbox.take())) }
        #expect(Set(batches.map { names($0) }) == [["a:1"], ["a:2"], ["a:3"]])
        #expect(batches.allSatisfy { ($0.heavy == nil) == (names($0) == ["a:3"]) })
        let light = try #require(batches.first { $0.heavy == nil })
        inbox.put([delivery("b", number: 0, bytes: 100_000, of: 1)])
        let third = try #require(await inbox.take())
        #expect(third.heavy == EnvironmentID(1) && names(third) == ["b:1"])
        // The fourth lane stays free for other environments, although this one has waited longer.
        inbox.put([delivery("d", number: 0, bytes: 100_000, of: 1)])
        inbox.finish(light, at: start)
        inbox.put([delivery("e", number: 0, bytes: 10, of: 3)])
        #expect(names(await inbox.take()) == ["e:3"])
        // A short transaction does not make the environment light at once.
        inbox.finish(third, heavy: [EnvironmentID(1)], at: start + DeliveryInbox.heavyTime / 2)
        #expect(inbox.heavyCount == 2)
        let last = try #require(await inbox.take())
        #expect(names(last) == ["d:1"])
        // An environment stays heavy while a lane works on it, however long that takes.
        inbox.finish(last, at: start + DeliveryInbox.heavyTime * 2)
        #expect(inbox.heavyCount == 2)
        for (environment, left): (Int32, Int) in [(1, 1), (2, 0)] {
            let batch = try #require(batches.first { $0.heavy == EnvironmentID(environment) })
            inbox.finish(batch, at: start + DeliveryInbox.heavyTime * 2)
            #expect(inbox.heavyCount == left)
        }
    }

    @Test("a message of several environments is decided after all earlier and before all later ones of its queue")
    func mixed() async throws {
        inbox.put([
            delivery("a", number: 0, bytes: 1, of: 1), delivery("a", number: 1, bytes: 1, of: 2),
            delivery("a", number: 2, bytes: 1, of: nil), delivery("a", number: 3, bytes: 1, of: nil),
            delivery("a", number: 4, bytes: 1, of: 1),
        ])
        var order: [UInt64] = []
        for _ in 0..<5 {
            let taken = try #require(await inbox.take())
            #expect(taken.messages.count == 1)
            order += numbers(taken)
            inbox.finish(taken)
        }
        #expect(order == [0, 1, 2, 3, 4])
        inbox.put((5..<7).map { delivery("a", number: $0, bytes: 1) })
        #expect(numbers(await inbox.take()) == [5, 6], "afterwards messages are taken together again")
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

    private func body(of environment: Int32?, bytes: Int) -> [UInt8] {
        guard let environment, let endUserID = EndUserID("alice") else { return Array(repeating: 0, count: bytes) }
        let origin = RequestOrigin(
            environmentID: EnvironmentID(environment), actor: Actor(keyID: nil, address: nil),
            requestID: String(repeating: "x", count: bytes))
        let command = AccountCommand(
            identity: CommandIdentity(id: Bits128(high: 0, low: 1), idempotencyKey: nil), endUserID: endUserID,
            action: .advance)
        let request = CommandRequest(token: 1, origin: origin, wantsBodies: false, commands: .account([command]))
        return CommandMessage(sentAt: .epoch, environmentID: origin.environmentID, requests: [EncodedRequest(request)])
            .encoded()
    }

    private func delivery(
        _ queue: String, number: Int, bytes: Int, of environment: Int32? = 1, epoch: UInt64 = 1,
        deliveryCount: Int = 0
    ) -> AMQPDelivery {
        AMQPDelivery(
            queue: queue, body: body(of: environment, bytes: bytes), redelivered: false,
            deliveryCount: deliveryCount,
            correlationID: nil, replyTo: nil, messageID: nil, type: nil,
            tag: AMQPDeliveryTag(subscription: 0, epoch: epoch, number: UInt64(number)))
    }
}
