import Compression
import Deflation
import Testing

@Suite("Inflating bodies")
struct InflaterTests {
    private static let texts: [[UInt8]] = [
        [], [7], Array("{\"end_user_id\":\"alice\"}".utf8),
        (0..<300_000).map { UInt8(truncatingIfNeeded: $0 &* $0 >> 7) },
        Array(repeating: UInt8(ascii: " "), count: 1 << 20),
        // The last piece fills its room exactly.
        Array(repeating: 1, count: 65_536), Array(repeating: 1, count: 65_537),
    ]

    @Test("Every coding gives back what was compressed, however the bytes are cut", arguments: [1, 7, 4_096, .max])
    func roundTrip(_ cut: Int) throws {
        for text in Self.texts where cut > 1 || text.count < 10_000 {
            #expect(try inflated(Deflation.compressed(text, .gzip), .gzip, cut: cut) == text)
            #expect(try inflated(Deflation.compressed(text, .zlib), .deflate, cut: cut) == text)
            if cut > 1 { #expect(try inflated(Deflation.compressed(text, .bare), .deflate, cut: cut) == text) }
        }
    }

    @Test("A gzip body of several members is one body")
    func members() throws {
        let (first, second) = (Array("one,".utf8), Array("two".utf8))
        let bytes = try Deflation.compressed(first, .gzip) + Deflation.compressed(second, .gzip)
        for cut in [1, 5, Int.max] { #expect(try inflated(bytes, .gzip, cut: cut) == first + second) }
    }

    @Test("Bytes that are not in the format, or end too early, are malformed")
    func malformed() throws {
        let good = try Deflation.compressed(Array("hello, hello, hello".utf8), .gzip)
        var wrongSum = good
        wrongSum[good.count - 6] ^= 1
        for bytes in [
            Array("{}".utf8), Array(good.dropLast()), Array(good.prefix(3)), good + [1, 2, 3], wrongSum,
            [0x1F, 0x8B, 9, 0, 0, 0, 0, 0, 0, 0],
        ] {
            #expect(throws: InflationError.malformed) { try inflated(bytes, .gzip, cut: .max) }
        }
        let deflated = try Deflation.compressed(Array("hello".utf8), .zlib)
        for bytes in [Array(deflated.dropLast()), deflated + [0], [0xFF, 0xFF]] {
            #expect(throws: InflationError.malformed) { try inflated(bytes, .deflate, cut: .max) }
        }
    }

    @Test("A body that inflates beyond a hundred times its size is refused soon after its first mebibyte")
    func density() throws {
        let bomb = try Deflation.compressed(Array(repeating: 0, count: 64 << 20), .gzip)
        #expect(bomb.count < 70_000)
        let inflater = Inflater(.gzip)
        inflater.add(bomb)
        var count = 0
        #expect(throws: InflationError.tooDense) {
            while let piece = try inflater.next() { count += piece.count }
        }
        #expect((1 << 20...8 << 20).contains(count))
    }

    private func inflated(_ bytes: [UInt8], _ coding: ContentCoding, cut: Int) throws -> [UInt8] {
        let inflater = Inflater(coding)
        var output: [UInt8] = []
        var rest = bytes[...]
        while !rest.isEmpty {
            inflater.add(rest.prefix(cut))
            rest = rest.dropFirst(cut)
            while let piece = try inflater.next() {
                #expect(!piece.isEmpty && piece.count <= 65_536)
                output += piece
            }
        }
        try inflater.finish()
        return output
    }
}
