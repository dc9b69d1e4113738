import Credits
import Testing

@Suite("Amounts stay within the integers that every JSON client reads exactly")
struct MillicreditsTests {
    private static let limit: Int64 = 9_007_199_254_740_991

    @Test("A 64-bit integer is an amount exactly up to ±(2^53 − 1)", arguments: [limit, -limit, 0, 1, -1])
    func inRange(value: Int64) throws {
        #expect(try Millicredits(value).rawValue == value)
        #expect(try Millicredits(Int128(value)).rawValue == value)
        #expect(try (-Millicredits(value)).rawValue == -value)
    }

    @Test("Any larger or smaller integer is refused", arguments: [limit + 1, -limit - 1, .max, .min])
    func outOfRange(value: Int64) {
        #expect(throws: AmountOutOfRange()) { try Millicredits(value) }
        #expect(throws: AmountOutOfRange()) { try Millicredits(Int128(value)) }
    }

    @Test(
        "Numbers beyond 64 bits are refused, not cut",
        arguments: [Int128.max, .min, 1 << 64, (1 << 64) + 5, -(1 << 64)])
    func beyond64Bits(value: Int128) {
        #expect(throws: AmountOutOfRange()) { try Millicredits(value) }
    }

    @Test("Sums and differences are exact or refused")
    func arithmetic() throws {
        let one = try amount(1)
        let largest = Millicredits.max
        #expect(try largest + .zero == largest)
        #expect(try largest - largest == .zero)
        #expect(try -largest + largest == .zero)
        #expect(try (largest - one).rawValue == Self.limit - 1)
        #expect(try (-largest + one).rawValue == -Self.limit + 1)
        #expect(throws: AmountOutOfRange()) { try largest + one }
        #expect(throws: AmountOutOfRange()) { try largest + largest }
        #expect(throws: AmountOutOfRange()) { try -largest - one }
        #expect(throws: AmountOutOfRange()) { try -largest - largest }
    }

    @Test("A change that was checked before is made")
    func change() throws {
        let hundred = try amount(100)
        #expect(hundred.changed(by: 0) == hundred)
        #expect(try hundred.changed(by: -140) == amount(-40))
        #expect(Millicredits.max.changed(by: -2 * Self.limit) == -Millicredits.max)
    }

    @Test("A change that leaves the range stops the process instead of writing false books")
    func changeTooLarge() async {
        await #expect(processExitsWith: .failure) { _ = Millicredits.max.changed(by: 1) }
        await #expect(processExitsWith: .failure) { _ = Millicredits.max.changed(by: .max) }
        await #expect(processExitsWith: .failure) { _ = Millicredits.zero.changed(by: -Millicredits.limit - 1) }
    }

    @Test("Amounts compare as numbers")
    func order() throws {
        #expect(try amount(-2) < amount(-1))
        #expect(try amount(-1) < .zero)
        #expect(.zero < Millicredits.max)
        #expect(Millicredits.max.rawValue == Self.limit)
    }

    private func amount(_ value: Int64) throws -> Millicredits {
        try Millicredits(value)
    }
}
