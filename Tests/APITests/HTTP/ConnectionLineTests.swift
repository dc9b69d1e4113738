import Testing

@testable import API

@Suite("Line of connections")
struct ConnectionLineTests {
    @Test("the idle connection that was added or looked at longest ago comes first")
    func order() {
        var line = ConnectionLine<Int>()
        for number in 1...4 { line.add(number, number: UInt64(number)) }
        var found = [line.firstIdle { $0 != 1 }]
        let removals = [line.remove(3), line.remove(3)]
        for _ in 0..<3 { found.append(line.firstIdle { _ in true }) }
        #expect(found == [2, 4, 1, 2] && removals == [true, false])
        #expect(line.connections.sorted() == [1, 2, 4])
        for number in [1, 2, 4] { _ = line.remove(UInt64(number)) }
        let last = line.firstIdle { _ in true }
        #expect(line.isEmpty && last == nil)
    }

    @Test("a search looks at a bounded number of connections, and the next one at others")
    func bound() {
        var line = ConnectionLine<Int>()
        let looks = ConnectionLine<Int>.looks
        for number in 0..<3 * looks { line.add(number, number: UInt64(number)) }
        var looked: Set<Int> = []
        for turn in 1...3 {
            let found = line.firstIdle {
                looked.insert($0)
                return false
            }
            #expect(found == nil && looked.count == turn * looks)
        }
    }

    @Test("the order is kept while connections come and go for long")
    func turnover() {
        var line = ConnectionLine<Int>()
        for number in 0..<100_000 {
            line.add(number, number: UInt64(number))
            if number >= 100 { _ = line.remove(UInt64(number - 100)) }
        }
        let first = line.firstIdle { _ in true }
        #expect(first == 99_900 && line.connections.count == 100)
    }
}
