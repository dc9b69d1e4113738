import Commands
import Credits
import Ledger
import Testing

@testable import API

@Suite("Command outbox")
struct CommandOutboxTests {
    private typealias Outbox = CommandOutbox<Int>

    private let start = ContinuousClock.now
    private let queue = "q"

    private func request(
        _ token: UInt64, of environment: Int32 = 1, to queue: String = "q", commands: Int = 1, bytes: Int = 0,
        until deadline: Duration = .seconds(10), whenAccepted: Bool = false
    ) throws -> Outbox.Request {
        let reason = String(repeating: "x", count: bytes)
        let command = AccountCommand(
            identity: CommandIdentity(id: Bits128(high: 0, low: token), idempotencyKey: nil),
            endUserID: try #require(EndUserID("alice")),
            action: .adjust(Adjustment(amount: try Millicredits(Int64(1)), reason: reason)))
        return Outbox.Request(
            token: token, to: queue,
            from: RequestOrigin(
                environmentID: EnvironmentID(environment), actor: Actor(keyID: nil, address: nil), requestID: "r"),
            wantsBodies: true, commands: .account(Array(repeating: command, count: commands)),
            deadline: start + deadline, returnsWhenAccepted: whenAccepted, caller: Int(token))
    }

    private func outbox(_ change: (inout Outbox.Limits) -> Void = { _ in }) -> Outbox {
        var limits = Outbox.Limits()
        change(&limits)
        return Outbox(catalogueQueue: "catalogue", limits: limits)
    }

    private func lane(_ environment: Int32 = 1, _ queue: String = "q") -> Outbox.Lane {
        Outbox.Lane(queue: queue, environmentID: EnvironmentID(environment))
    }

    @Test("requests of one environment that wait together go into one message, in order")
    func batching() throws {
        var outbox = outbox()
        for token: UInt64 in 1...3 { #expect(outbox.add(try request(token)) == nil) }
        #expect(outbox.add(try request(4, of: 2)) == nil)
        let lanes = outbox.lanesToPublish([lane(1), lane(2)], at: start)
        #expect(lanes == [lane(1), lane(2)])
        #expect(outbox.lanesToPublish([lane(1)], at: start).isEmpty, "one publisher for each lane")
        #expect(outbox.nextMessage(of: lane(1), at: start)?.tokens == [1, 2, 3])
        #expect(outbox.nextMessage(of: lane(2), at: start)?.tokens == [4])
        #expect(outbox.nextMessage(of: lane(1), at: start) == nil)
        #expect(outbox.add(try request(5)) == nil)
        #expect(outbox.lanesToPublish([lane(1)], at: start) == [lane(1)])
    }

    @Test("a message is bounded in commands and in bytes, and a longer request goes alone")
    func messageBounds() throws {
        var outbox = outbox { $0.laneCommands = 10_000 }
        _ = outbox.add(try request(1, commands: 700))
        _ = outbox.add(try request(2, commands: 700))
        _ = outbox.add(try request(3, bytes: 200 * 1_024))
        _ = outbox.add(try request(4, bytes: 200 * 1_024))
        _ = outbox.add(try request(5, bytes: 400 * 1_024))
        _ = outbox.add(try request(6))
        _ = outbox.lanesToPublish([lane()], at: start)
        var messages: [[UInt64]] = []
        while let next = outbox.nextMessage(of: lane(), at: start) { messages.append(next.tokens) }
        #expect(messages == [[1], [2, 3], [4], [5], [6]])
        #expect(outbox.add(try request(7, bytes: CommandLimits.requestBytes)) == .tooLarge)
    }

    @Test("a lane with many undecided messages pauses, and goes on when one is decided or the pause is over")
    func pausing() throws {
        var outbox = outbox { $0.messagesInFlight = 2 }
        for token: UInt64 in 1...2 {
            _ = outbox.add(try request(token))
            #expect(outbox.lanesToPublish([lane()], at: start) == [lane()])
            #expect(outbox.nextMessage(of: lane(), at: start)?.tokens == [token])
            #expect(outbox.nextMessage(of: lane(), at: start) == nil)
        }
        for token: UInt64 in 3...4 { _ = outbox.add(try request(token)) }
        #expect(outbox.lanesToPublish([lane()], at: start).isEmpty)
        #expect(outbox.waitingLanes == [lane()])
        #expect(outbox.lanesToPublish(outbox.waitingLanes, at: start + .milliseconds(199)).isEmpty)
        #expect(outbox.remove(1)?.token == 1)
        #expect(outbox.lanesToPublish([lane()], at: start) == [lane()])
        #expect(outbox.nextMessage(of: lane(), at: start)?.tokens == [3, 4])
        _ = outbox.nextMessage(of: lane(), at: start)
        _ = outbox.add(try request(5))
        #expect(outbox.lanesToPublish(outbox.waitingLanes, at: start + .milliseconds(200)) == [lane()])
    }

    @Test("a lane never has more messages undecided than its share of what a worker receives")
    func mostMessages() throws {
        var outbox = outbox {
            $0.messagesInFlight = 2
            $0.mostMessages = 3
        }
        var published = 0
        for second in 0..<9 {
            let now = start + .seconds(second)
            _ = outbox.add(try request(UInt64(second) + 1))
            if !outbox.lanesToPublish([lane()], at: now).isEmpty {
                while outbox.nextMessage(of: lane(), at: now) != nil { published += 1 }
            }
        }
        #expect(published == 3)
        _ = outbox.remove(1)
        #expect(outbox.lanesToPublish([lane()], at: start + .seconds(9)) == [lane()])
    }

    @Test("a request counts until it is decided, also when nobody waits for it any longer")
    func counting() throws {
        var outbox = outbox { $0.laneCommands = 2 }
        _ = outbox.add(try request(1, until: .seconds(1)))
        _ = outbox.add(try request(2, until: .seconds(1)))
        #expect(outbox.add(try request(3)) == .share)
        #expect(outbox.add(try request(3, to: "other")) == nil, "another queue is another lane")
        #expect(outbox.add(try request(4, of: 2)) == nil, "and so is another environment")
        _ = outbox.lanesToPublish([lane()], at: start)
        _ = outbox.nextMessage(of: lane(), at: start)
        #expect(outbox.accepted([1, 2], at: start).isEmpty)
        let late = outbox.takeLate(at: start + .seconds(1), isStuck: false)
        #expect(late.map(\.caller).sorted() == [1, 2])
        #expect(late.allSatisfy { $0.stage == .accepted })
        #expect(outbox.add(try request(5)) == .share)
        #expect(outbox.remove(1)?.caller == nil)
        #expect(outbox.add(try request(5)) == nil)
        _ = outbox.takeLate(at: start + .seconds(600), isStuck: false)
        #expect(outbox.remove(2) == nil, "after ten minutes a request is forgotten")
    }

    @Test("what was not sent is removed at its deadline, and nothing of it is left")
    func unsent() throws {
        var outbox = outbox()
        _ = outbox.add(try request(1, until: .seconds(1)))
        _ = outbox.add(try request(2, until: .seconds(2)))
        #expect(outbox.takeLate(at: start + .seconds(1), isStuck: false).map(\.caller) == [1])
        #expect(outbox.takeLate(at: start + .milliseconds(1), isStuck: true).map(\.stage) == [.waiting])
        #expect(outbox.undecidedCommands == 0)
        #expect(outbox.waitingLanes.isEmpty)
    }

    @Test("one environment takes half of the whole, the next ones half of what is left, and always some is left")
    func shares() throws {
        var outbox = outbox {
            $0.allCommands = 1_000
            $0.laneCommands = 10_000
        }
        var token: UInt64 = 0
        func fill(_ environment: Int32) throws -> Int {
            var taken = 0
            while true {
                token += 1
                guard outbox.add(try request(token, of: environment)) == nil else { return taken }
                taken += 1
            }
        }
        #expect(try [fill(1), fill(2), fill(3)] == [500, 250, 125])
        #expect(try fill(1) == 0)
        #expect(try fill(4) > 0)
    }

    @Test("the catalogue takes few commands of an environment at a time")
    func catalogue() throws {
        var outbox = outbox { $0.catalogueCommands = 3 }
        for token: UInt64 in 1...3 { #expect(outbox.add(try request(token, to: "catalogue")) == nil) }
        #expect(outbox.add(try request(4, to: "catalogue")) == .share)
        #expect(outbox.add(try request(5)) == nil)
    }

    @Test("an overdue reply is looked up every second, and less often when nobody waits")
    func overdue() throws {
        var outbox = outbox()
        _ = outbox.add(try request(1, until: .seconds(2)))
        _ = outbox.lanesToPublish([lane()], at: start)
        _ = outbox.nextMessage(of: lane(), at: start)
        #expect(outbox.takeOverdue(at: start + .seconds(9), limit: 10).isEmpty, "the queue has not accepted it")
        _ = outbox.accepted([1], at: start)
        var lookUps: [Int] = []
        for second in 0...60 {
            let now = start + .seconds(second)
            _ = outbox.takeLate(at: now, isStuck: false)
            if !outbox.takeOverdue(at: now, limit: 10).isEmpty { lookUps.append(second) }
        }
        #expect(lookUps == [1, 2, 4, 8, 16, 32])
    }

    @Test("a caller who waits for the acceptance only gets it at once, and the request goes on counting")
    func whenAccepted() throws {
        var outbox = outbox()
        _ = outbox.add(try request(1, whenAccepted: true))
        _ = outbox.lanesToPublish([lane()], at: start)
        _ = outbox.nextMessage(of: lane(), at: start)
        #expect(outbox.accepted([1], at: start) == [1])
        #expect(outbox.undecidedCommands == 1)
        #expect(outbox.takeAll().isEmpty)
        #expect(outbox.undecidedCommands == 0)
    }
}
