import SeededRandom
import Testing

@testable import Postgres

/// The order in which callers begin, as scripts. A caller is its owner's letter, a capital one for a long use.
@Suite("The line for connections")
struct FairLineTests {
    /// A line with its callers by name. The n-th caller of a letter is named with n: `a1`, `a2`.
    private struct Callers {
        var line: FairLine
        let share: PoolShare
        private var names: [UInt64: String] = [:]
        private var claims: [String: (number: UInt64, claim: PoolClaim)] = [:]
        private var counts: [Character: Int] = [:]

        init(size: Int, longSize: Int, _ share: PoolShare) {
            line = FairLine(size: size, longSize: longSize)
            self.share = share
        }

        /// The callers arrive in order. Returns those that begin at once, and those that are refused in parentheses.
        mutating func arrive(_ letters: String) -> String {
            var begun: [String] = []
            for letter in letters {
                counts[letter, default: 0] += 1
                let name = "\(letter)\(counts[letter, default: 0])"
                let number = UInt64(names.count + 1)
                let owner = Int32(letter.lowercased().utf8.first ?? 0)
                let claim = PoolClaim(owner: owner, isLong: letter.isUppercase, share: share)
                names[number] = name
                claims[name] = (number, claim)
                if line.begins(claim) {
                    begun.append(name)
                } else if !line.waits(number, claim) {
                    begun.append("(\(name))")
                }
            }
            return begun.joined(separator: " ")
        }

        /// A caller ends. Returns those that begin.
        mutating func end(_ name: String) -> String {
            if let claim = claims[name]?.claim { line.ends(claim) }
            return begin()
        }

        /// A waiting caller gives up. Returns those that begin.
        mutating func giveUp(_ name: String) -> String {
            if let (number, claim) = claims[name] { line.leaves(number, claim) }
            return begin()
        }

        private mutating func begin() -> String {
            var begun: [String] = []
            while let number = line.next() { begun.append(names[number] ?? "?") }
            return begun.joined(separator: " ")
        }
    }

    private static let half = PoolShare(
        atOnce: 4, longAtOnce: 2, waiting: 5, patience: .seconds(1), longPatience: .seconds(1))

    @Test("an owner alone has its share and no more, and its callers begin in the order of their arrival")
    func alone() {
        var callers = Callers(size: 8, longSize: 4, Self.half)
        #expect(callers.arrive("aaaaaaa") == "a1 a2 a3 a4")
        #expect(callers.line.waitingCount == 3)
        #expect(callers.end("a2") == "a5")
        #expect(callers.end("a1") == "a6")
        #expect(callers.end("a6") == "a7")
        #expect(callers.end("a7") == "")
        #expect(callers.line.waitingCount == 0)
    }

    @Test("an owner that has used up its share keeps no other one waiting")
    func others() {
        var callers = Callers(size: 8, longSize: 4, Self.half)
        #expect(callers.arrive("aaaaaaaa") == "a1 a2 a3 a4")
        #expect(callers.arrive("bcb") == "b1 c1 b2")
        #expect(callers.end("a1") == "a5")
    }

    @Test("a free connection goes to the owner that has the fewest, and then to who came first")
    func fewest() {
        var callers = Callers(size: 4, longSize: 2, Self.half)
        #expect(callers.arrive("aaaa") == "a1 a2 a3 a4")
        #expect(callers.arrive("aacb") == "")
        #expect(callers.end("a1") == "c1")
        #expect(callers.end("a2") == "b1")
        #expect(callers.arrive("bc") == "")
        // All have one now, and a5 came first.
        #expect(callers.end("a3") == "a5")
        #expect(callers.end("c1") == "c2")
        #expect(callers.end("b1") == "b2")
        #expect(callers.end("a5") == "a6")
    }

    @Test("long uses have a smaller share, and leave room for short ones of their owner and of all")
    func long() {
        var callers = Callers(size: 8, longSize: 4, Self.half)
        #expect(callers.arrive("AAAA") == "A1 A2")
        #expect(callers.arrive("aaa") == "a1 a2")
        #expect(callers.arrive("BBB") == "B1 B2")
        // The long uses of all owners are at their limit.
        #expect(callers.arrive("CCc") == "c1")
        #expect(callers.end("A1") == "C1 a3")
        #expect(callers.end("a1") == "")
        #expect(callers.end("B1") == "B3")
        #expect(callers.end("A2") == "A3")
    }

    @Test("a caller beyond those that may wait is refused, counted apart for long uses")
    func full() {
        var callers = Callers(size: 1, longSize: 1, Self.half)
        #expect(callers.arrive("aaaaaaa") == "a1 (a7)")
        #expect(callers.arrive("AAAAAA") == "(A6)")
        #expect(callers.arrive("b") == "")
        #expect(callers.end("a1") == "a2")
        #expect(callers.arrive("aa") == "(a9)")
    }

    @Test("a caller that gives up leaves its place to the next")
    func givingUp() {
        var callers = Callers(size: 1, longSize: 1, Self.half)
        #expect(callers.arrive("aaab") == "a1")
        #expect(callers.giveUp("a2") == "")
        #expect(callers.giveUp("a2") == "")
        #expect(callers.end("a1") == "a3")
        #expect(callers.end("a3") == "b1")
        #expect(callers.line.waitingCount == 0)
    }

    @Test("with any sequence of events no limit is passed, and nobody waits who could begin")
    func random() {
        for seed in UInt64(1)...50 {
            var generator = SeededGenerator(seed: seed)
            let size = Int.random(in: 1...6, using: &generator)
            let share = PoolShare(
                atOnce: Int.random(in: 1...size, using: &generator), longAtOnce: 1, waiting: 4, patience: .seconds(1),
                longPatience: .seconds(1))
            var line = FairLine(size: size, longSize: max(1, size / 2))
            var running: [PoolClaim] = []
            var waiting: [UInt64: PoolClaim] = [:]
            for number in UInt64(1)...400 {
                if Bool.random(using: &generator) || running.isEmpty {
                    let claim = PoolClaim(
                        owner: Int32.random(in: 1...3, using: &generator), isLong: Bool.random(using: &generator),
                        share: share)
                    if line.begins(claim) {
                        running.append(claim)
                    } else if line.waits(number, claim) {
                        waiting[number] = claim
                    }
                } else {
                    line.ends(running.remove(at: Int.random(in: 0..<running.count, using: &generator)))
                    while let next = line.next() {
                        if let claim = waiting.removeValue(forKey: next) { running.append(claim) }
                    }
                }
                #expect(running.count <= size && line.waitingCount == waiting.count, "seed \(seed)")
                #expect(running.count { $0.isLong } <= max(1, size / 2), "seed \(seed)")
                for owner in Int32(1)...3 {
                    let own = running.filter { $0.owner == owner }
                    #expect(own.count <= share.atOnce && own.count { $0.isLong } <= 1, "seed \(seed)")
                    let waits = waiting.values.contains { $0.owner == owner && !$0.isLong }
                    #expect(!waits || own.count == share.atOnce || running.count == size, "seed \(seed)")
                }
            }
        }
    }
}
