import Postgres
import Testing

/// Messages as the server sends them, and the errors when bytes are missing or wrong.
@Suite("pgoutput and binary COPY", .timeLimit(.minutes(5)))
struct PGOutputTests {
    private struct Bytes {
        var all: [UInt8] = []
        mutating func integer<Value: FixedWidthInteger>(_ value: Value) {
            withUnsafeBytes(of: value.bigEndian) { all.append(contentsOf: $0) }
        }
        mutating func kind(_ scalar: Unicode.Scalar) { all.append(UInt8(ascii: scalar)) }
        mutating func text(_ text: String) { all += Array(text.utf8) + [0] }
    }

    private static func bytes(_ build: (inout Bytes) -> Void) -> [UInt8] {
        var bytes = Bytes()
        build(&bytes)
        return bytes.all
    }

    private static func tuple(_ bytes: inout Bytes) {
        bytes.integer(UInt16(4))
        bytes.kind("b")
        bytes.integer(Int32(8))
        bytes.integer(Int64(-5))
        bytes.kind("n")
        bytes.kind("u")
        bytes.kind("t")
        bytes.integer(Int32(2))
        bytes.all += Array("ok".utf8)
    }

    private static let samples: [[UInt8]] = [
        bytes {
            $0.kind("B"); $0.integer(UInt64(258)); $0.integer(Int64(0)); $0.integer(UInt32(77))
        },
        bytes {
            $0.kind("C"); $0.integer(UInt8(0)); $0.integer(UInt64(1)); $0.integer(UInt64(2)); $0.integer(Int64(3))
        },
        bytes {
            $0.kind("O"); $0.integer(UInt64(9)); $0.text("origin")
        },
        bytes {
            $0.kind("R"); $0.integer(UInt32(16400)); $0.text("public"); $0.text("t"); $0.kind("d")
            $0.integer(UInt16(2))
            $0.integer(UInt8(1)); $0.text("id"); $0.integer(UInt32(20)); $0.integer(Int32(-1))
            $0.integer(UInt8(0)); $0.text("name"); $0.integer(UInt32(25)); $0.integer(Int32(-1))
        },
        bytes {
            $0.kind("Y"); $0.integer(UInt32(5)); $0.text("public"); $0.text("mood")
        },
        bytes {
            $0.kind("I"); $0.integer(UInt32(16400)); $0.kind("N"); tuple(&$0)
        },
        bytes {
            $0.kind("U"); $0.integer(UInt32(16400)); $0.kind("N"); tuple(&$0)
        },
        bytes {
            $0.kind("U"); $0.integer(UInt32(16400)); $0.kind("K"); tuple(&$0); $0.kind("N"); tuple(&$0)
        },
        bytes {
            $0.kind("D"); $0.integer(UInt32(16400)); $0.kind("O"); tuple(&$0)
        },
        bytes {
            $0.kind("T"); $0.integer(Int32(2)); $0.integer(UInt8(3)); $0.integer(UInt32(1)); $0.integer(UInt32(2))
        },
        bytes {
            $0.kind("M"); $0.integer(UInt8(1)); $0.integer(UInt64(3)); $0.text("p"); $0.integer(Int32(2))
            $0.all += [7, 8]
        },
    ]

    private static let copy: [UInt8] = bytes {
        $0.all += [0x50, 0x47, 0x43, 0x4F, 0x50, 0x59, 0x0A, 0xFF, 0x0D, 0x0A, 0x00]
        $0.integer(Int32(0))
        $0.integer(Int32(0))
        $0.integer(Int16(2))
        $0.integer(Int32(4))
        $0.integer(Int32(42))
        $0.integer(Int32(-1))
        $0.integer(Int16(-1))
    }

    /// Parses a message and reads everything in it.
    private func walk(_ bytes: [UInt8]) throws -> String {
        try bytes.withUnsafeBytes { bytes in
            func columns(_ tuple: TupleReader) -> String {
                tuple.map { column in
                    switch column {
                    case .null: "null"
                    case .unchanged: "unchanged"
                    case .binary(let field): (try? "\(field.int64())") ?? "binary"
                    case .text(let field): field.text()
                    }
                }.joined(separator: ",")
            }
            switch try PGOutputMessage(bytes) {
            case .begin(let position, let time, let transaction): return "begin \(position) \(time) \(transaction)"
            case .commit(let position, let end, _): return "commit \(position) \(end)"
            case .origin(let position, let name): return "origin \(position) \(name)"
            case .relation(let relation):
                let columns = relation.columns.map { "\($0.name):\($0.type)\($0.isKey ? "*" : "")" }
                return "relation \(relation.identifier) \(relation.namespace).\(relation.name) \(columns)"
            case .type(let identifier, let namespace, let name): return "type \(identifier) \(namespace).\(name)"
            case .insert(let relation, let new): return "insert \(relation) \(columns(new))"
            case .update(let relation, let old, let new):
                return "update \(relation) \(old.map(columns) ?? "-") \(columns(new))"
            case .delete(let relation, let old): return "delete \(relation) \(columns(old))"
            case .truncate(let relations, let cascades, let restarts):
                return "truncate \(relations) \(cascades) \(restarts)"
            case .message(let transactional, let position, let prefix, let content):
                return "message \(transactional) \(position) \(prefix) \(Array(content))"
            }
        }
    }

    @Test("Every kind of message is decoded")
    func decodes() throws {
        let expected = [
            "begin 0/102 946684800000000 77", "commit 0/1 0/2", "origin 0/9 origin",
            "relation 16400 public.t [\"id:20*\", \"name:25\"]", "type 5 public.mood",
            "insert 16400 -5,null,unchanged,ok", "update 16400 - -5,null,unchanged,ok",
            "update 16400 -5,null,unchanged,ok -5,null,unchanged,ok", "delete 16400 -5,null,unchanged,ok",
            "truncate [1, 2] true true", "message true 0/3 p [7, 8]",
        ]
        #expect(try Self.samples.map(walk) == expected)
    }

    @Test("A message that is cut short or too long is refused, wherever it is cut")
    func truncated() {
        for sample in Self.samples {
            for length in 0..<sample.count {
                #expect(throws: PostgresError.self) { try walk(Array(sample[..<length])) }
            }
            #expect(throws: PostgresError.self) { try walk(sample + [0]) }
        }
    }

    private static let malformed: [(String, [UInt8])] = [
        ("an unknown kind", [UInt8(ascii: "?")]),
        ("a tuple that begins with neither N, K nor O", [UInt8(ascii: "I"), 0, 0, 0, 1, UInt8(ascii: "X"), 0, 0]),
        ("an insert of an old tuple", [UInt8(ascii: "I"), 0, 0, 0, 1, UInt8(ascii: "K"), 0, 0]),
        ("an unknown kind of column", [UInt8(ascii: "I"), 0, 0, 0, 1, UInt8(ascii: "N"), 0, 1, UInt8(ascii: "z")]),
        (
            "a column of negative length",
            [UInt8(ascii: "I"), 0, 0, 0, 1, UInt8(ascii: "N"), 0, 1, UInt8(ascii: "b"), 0xFF, 0xFF, 0xFF, 0xFE]
        ),
        (
            "a column with a null's length",
            [UInt8(ascii: "I"), 0, 0, 0, 1, UInt8(ascii: "N"), 0, 1, UInt8(ascii: "b"), 0xFF, 0xFF, 0xFF, 0xFF]
        ),
        ("a truncation of two billion relations", [UInt8(ascii: "T"), 0x7F, 0xFF, 0xFF, 0xFF, 0]),
        ("a truncation of minus one relation", [UInt8(ascii: "T"), 0xFF, 0xFF, 0xFF, 0xFF, 0]),
        ("a name without an end", [UInt8(ascii: "Y"), 0, 0, 0, 1, 65, 65]),
    ]

    @Test("A malformed message is refused", arguments: malformed)
    func refuses(_ what: String, _ bytes: [UInt8]) {
        #expect(throws: PostgresError.self, "\(what)") { try walk(bytes) }
    }

    private func copyRows(_ bytes: [UInt8]) throws -> [String] {
        var rows: [String] = []
        var reader = CopyRowReader()
        try bytes.withUnsafeBytes { bytes in
            try reader.read(bytes) { row in
                rows.append("\(try row.nextField().int32()) \(try row.nextFieldOrNil() == nil)")
            }
        }
        return rows
    }

    @Test("A binary COPY is decoded; cut inside a header or a row it is refused")
    func copyReader() throws {
        #expect(try copyRows(Self.copy) == ["42 true"])
        // The header ends after 19 bytes, the row after 33.
        for length in 0..<Self.copy.count where length != 19 && length != 33 {
            #expect(throws: PostgresError.self) { try copyRows(Array(Self.copy[..<length])) }
        }
        #expect(throws: PostgresError.self) { try copyRows(Self.copy + [0, 0]) }
    }

    @Test("Bytes changed at random never trap")
    func mutations() {
        var state: UInt64 = 20_260_101
        func random(_ bound: Int) -> Int {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return Int(truncatingIfNeeded: (state >> 33) % UInt64(bound))
        }
        var refused = 0
        for round in 0..<20_000 {
            let isCopy = round % 12 == 11
            var bytes = isCopy ? Self.copy : Self.samples[round % 12]
            for _ in 0...random(3) { bytes[random(bytes.count)] = UInt8(random(256)) }
            do {
                if isCopy { _ = try copyRows(bytes) } else { _ = try walk(bytes) }
            } catch {
                refused += 1
            }
        }
        #expect(refused > 1000)
    }

    @Test("A WAL position is read and written in PostgreSQL's form")
    func walPosition() {
        #expect(WALPosition("0/16B3748")?.value == 0x16B_3748)
        #expect(WALPosition("A/F0")?.description == "A/F0")
        #expect(WALPosition(UInt64.max).description == "FFFFFFFF/FFFFFFFF")
        #expect(WALPosition("FFFFFFFF/FFFFFFFF")?.value == .max)
        for text in ["", "/", "1", "1/", "/1", "1/2/3", "G/1", "+1/2", "1/-2", "123456789/1"] {
            #expect(WALPosition(text) == nil, "\(text)")
        }
    }
}
