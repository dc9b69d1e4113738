import Credits
import Testing

@Suite("Public ids carry 128 bits and sort as their values")
struct PublicIDTests {
    @Test(
        "An id is its prefix and 26 digits of base 32",
        arguments: [
            (PublicIDKind.block, 0, 0, "blk_00000000000000000000000000"),
            (.block, 0, 1, "blk_00000000000000000000000001"),
            (.entry, 0, 31, "ent_0000000000000000000000000z"),
            (.entry, 0, 32, "ent_00000000000000000000000010"),
            (.usage, 1, 0, "use_0000000000000g000000000000"),
            (.rule, .max, .max, "rule_7zzzzzzzzzzzzzzzzzzzzzzzzz"),
            (.operation, 0x0123_4567_89AB_CDEF, 0xFEDC_BA98_7654_3210, "op_014d2pf2dbsqqzxq5tk1v58cgg"),
        ] as [(PublicIDKind, UInt64, UInt64, String)])
    func spelling(kind: PublicIDKind, high: UInt64, low: UInt64, text: String) {
        let id = PublicID(kind, Bits128(high: high, low: low))
        #expect(id.description == text)
        #expect(id.utf8 == Array(text.utf8))
        #expect(PublicID(kind, parsing: text) == id)
    }

    @Test("Every single bit survives the round trip")
    func everyBit() {
        for bit in 0..<128 {
            let bits = Bits128(high: bit < 64 ? 0 : 1 << (bit - 64), low: bit < 64 ? 1 << bit : 0)
            let id = PublicID(.block, bits)
            #expect(PublicID(.block, parsing: id.description)?.bits == bits)
        }
    }

    @Test("Texts sort as values do")
    func order() {
        var values: [Bits128] = []
        for high: UInt64 in [0, 1, 2, 31, 32, 1 << 32, 1 << 63, .max] {
            for low: UInt64 in [0, 1, 31, 32, 33, 1 << 62, 1 << 63, .max] {
                values.append(Bits128(high: high, low: low))
            }
        }
        let texts = values.map { PublicID(.entry, $0).description }
        #expect(values == values.sorted())
        #expect(texts == texts.sorted())
        #expect(Set(texts).count == texts.count)
    }

    @Test("The ids of an account's blocks name account and number, and sort by number")
    func accountNumbers() {
        let id = PublicID(.block, account: AccountID(42), number: 7)
        let read = PublicID(.block, parsing: id.description)
        #expect(read?.account == AccountID(42))
        #expect(read?.number == 7)
        #expect(id.description < PublicID(.block, account: AccountID(42), number: 8).description)
        #expect(
            PublicID(.block, account: AccountID(42), number: .max).description
                < PublicID(.block, account: AccountID(43), number: 0).description)
    }

    @Test(
        "A text that is not exactly an id of the kind is refused",
        arguments: [
            "", "blk", "blk_", "blk_0000000000000000000000000", "blk_000000000000000000000000000",
            "ent_00000000000000000000000000", "BLK_00000000000000000000000000", "blk-00000000000000000000000000",
            "blk_0000000000000000000000000Z", "blk_0000000000000000000000000i", "blk_0000000000000000000000000l",
            "blk_0000000000000000000000000o", "blk_0000000000000000000000000u", "blk_0000000000000000000000000 ",
            "blk_000000000000000000000000é", "blk_80000000000000000000000000", "blk_z0000000000000000000000000",
            "blk_0000000000000\u{0}000000000000", " blk_0000000000000000000000000",
        ])
    func notIDs(text: String) {
        #expect(PublicID(.block, parsing: text) == nil)
    }

    @Test("A prefix of another length is told apart", arguments: ["rule_00000000000000000000000000"])
    func kinds(text: String) {
        #expect(PublicID(.rule, parsing: text) != nil)
        #expect(PublicID(.operation, parsing: text) == nil)
        #expect(PublicID(.block, parsing: text) == nil)
    }

    @Test("Ids made later sort later, whatever their random part")
    func creationOrder() {
        let start = Instant(microseconds: 1_775_982_615_250_000)
        let earlier = Bits128(at: start, random: (.max, .max))
        let later = Bits128(at: Instant(microseconds: start.microseconds + 1_000), random: (0, 0))
        #expect(earlier < later)
        #expect(earlier.high >> 16 == 1_775_982_615_250)
        #expect(earlier.high & 0xFFFF == 0xFFFF)
        #expect(earlier.low == .max)
        #expect(Bits128(at: start, random: (0x1234_5678, 9)) == Bits128(high: 1_775_982_615_250 << 16 | 0x5678, low: 9))
    }
}
