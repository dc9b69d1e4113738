import SeededRandom

/// A change of bytes that knows nothing of HTTP or JSON.
private enum ByteEdit: String, CaseIterable, Sendable {
    case flipped, inserted, deleted, repeated, replaced

    /// Bytes that have a meaning in HTTP or JSON, and such as may not occur.
    private static let special: [UInt8] = [
        0, 1, 9, 10, 11, 13, 32, 34, 44, 48, 58, 59, 92, 123, 125, 127, 128, 160, 192, 237, 255,
    ]

    func apply(to bytes: inout [UInt8], _ generator: inout SeededGenerator) {
        guard !bytes.isEmpty else { return }
        let start = Int.random(in: 0..<bytes.count, using: &generator)
        switch self {
        case .flipped: bytes[start] ^= UInt8(1) << UInt8.random(in: 0...7, using: &generator)
        case .inserted:
            let count = Int.random(in: 1...8, using: &generator)
            var fresh: [UInt8] = []
            for _ in 0..<count { fresh.append(UInt8.random(in: 0...255, using: &generator)) }
            bytes.insert(contentsOf: fresh, at: start)
        case .deleted:
            let end = min(bytes.count, start + Int.random(in: 1...16, using: &generator))
            bytes.removeSubrange(start..<end)
        case .repeated:
            let end = min(bytes.count, start + Int.random(in: 1...64, using: &generator))
            let copy = Array(bytes[start..<end])
            bytes.insert(contentsOf: copy, at: end)
        case .replaced: bytes[start] = generator.pick(Self.special)
        }
    }
}

extension Mutation {
    /// Changes of any bytes of the request.
    static let bytes: [Mutation] = ByteEdit.allCases.map { edit in
        Mutation("bytes: \(edit.rawValue)", .bytes, keepsFraming: false) { request, generator in
            var bytes = request.bytes
            edit.apply(to: &bytes, &generator)
            request.raw = bytes
        }
    }

    /// Changes of bytes of the body, whose length is told rightly.
    static let bytesOfBody: [Mutation] = ByteEdit.allCases.map { edit in
        Mutation("body: \(edit.rawValue)", .body) { request, generator in
            request.requireBody()
            edit.apply(to: &request.body, &generator)
        }
    }
}
