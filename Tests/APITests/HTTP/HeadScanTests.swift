import Testing

@testable import API

@Suite("The end of a head")
struct HeadScanTests {
    @Test(
        "is found however the bytes are cut",
        arguments: [
            "GET / HTTP/1.1\r\nHost: h\r\n\r\n", "GET / HTTP/1.1\nHost: h\n\n", "GET / HTTP/1.1\r\n\r\n",
            "GET / HTTP/1.1\r\nA: b\n\r\n",
        ])
    func cuts(_ head: String) throws {
        let bytes = Array((head + "body\r\n\r\n").utf8)
        for step in 1...bytes.count {
            var scan = HeadScan()
            var found: Int?
            for end in stride(from: step, through: bytes.count + step - 1, by: step) where found == nil {
                switch bytes.prefix(end).withUnsafeBytes({ scan.advance(over: $0) }) {
                case .isIncomplete: break
                case .isComplete(let length): found = length
                case .isRefused: Issue.record("refused at \(end)")
                }
            }
            #expect(found == head.utf8.count, "in steps of \(step)")
        }
    }

    @Test("a piece of a body that looks like a blank line is found however it is cut")
    func blankLines() {
        for (text, expected) in [
            ("a\r\n\r\nb", 5), ("a\n\nb", 3), ("a\n\r\nb", 4), ("a\r\nb\r\n\r\n", 8), ("a\r\n\rb\n", nil), ("", nil),
            ("\n\n", 2), ("\r\n", nil),
        ] as [(String, Int?)] {
            let bytes = Array(text.utf8)
            for step in 1...max(bytes.count, 1) {
                var line = BlankLine()
                var found: Int?
                for start in stride(from: 0, to: bytes.count, by: step) where found == nil {
                    let piece = bytes[start..<min(start + step, bytes.count)]
                    found = piece.withUnsafeBytes { line.end(in: $0) }.map { start + $0 }
                }
                #expect(found == expected, "\(text.debugDescription) in steps of \(step)")
            }
        }
    }

    @Test("names the headers whose bytes are not UTF-8")
    func undecodable() {
        let head = Array("GET /\u{E9} HTTP/1.1\r\nX-A: \u{E9}\r\nX-B: ".utf8) + [0xE9] + Array("\r\n\r\n".utf8)
        #expect(head.withUnsafeBytes { HeadScan.undecodableNames(in: $0) } == ["x-b"])
        let line = Array("GET /".utf8) + [0xC0, 0x80] + Array(" HTTP/1.1\r\n\r\n".utf8)
        #expect(line.withUnsafeBytes { HeadScan.undecodableNames(in: $0) } == [""])
    }
}
