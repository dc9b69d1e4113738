import Answers
import Compression
import HTTPTypes
import NIOCore

/// The body of a request as the route reads it: inflated when it came compressed, and counted for its owner.
struct IncomingBody: AsyncSequence {
    typealias Element = ByteBuffer

    let exchange: Exchange

    func makeAsyncIterator() -> AsyncIterator { AsyncIterator(exchange: exchange) }

    struct AsyncIterator: AsyncIteratorProtocol {
        let exchange: Exchange
        private var hasBegun = false
        private var inflater: Inflater?

        init(exchange: Exchange) {
            self.exchange = exchange
        }

        /// - Throws: `Problem` when the body cannot be read.
        mutating func next() async throws -> ByteBuffer? {
            if !hasBegun {
                hasBegun = true
                inflater = try Self.coding(of: exchange.head.request).map { Inflater($0) }
                // A body of a known length is counted before it is read, so that no two bodies of an owner wait for
                // each other's second half.
                if inflater == nil, case .length(let length) = exchange.head.body { try await exchange.count(length) }
            }
            guard let inflater else {
                guard let part = try await exchange.nextPart() else { return nil }
                if exchange.head.body == .chunks { try await exchange.count(part.readableBytes) }
                return part
            }
            while true {
                if let piece = try Self.checked({ () throws(InflationError) in try inflater.next() }) {
                    try await exchange.count(piece.count)
                    return ByteBuffer(bytes: piece)
                }
                guard let part = try await exchange.nextPart() else {
                    try Self.checked { () throws(InflationError) in try inflater.finish() }
                    return nil
                }
                inflater.add(part.readableBytesView)
            }
        }

        /// The content coding of a request; nil for a plain body.
        private static func coding(of request: HTTPRequest) throws(Problem) -> ContentCoding? {
            let names = (request.headerFields[.contentEncoding] ?? "").split(separator: ",")
                .map { String($0).trimmingBlanks }
                .filter { !$0.isEmpty && $0.lowercased() != "identity" }
            guard let name = names.first else { return nil }
            guard names.count == 1, let coding = ContentCoding(named: name) else {
                throw Problem(
                    .unsupportedMediaType,
                    "The body's content coding is not known. Send it plain, or with Content-Encoding: gzip or deflate.")
            }
            return coding
        }

        private static func checked<Value>(_ body: () throws(InflationError) -> Value) throws(Problem) -> Value {
            do throws(InflationError) {
                return try body()
            } catch {
                switch error {
                case .malformed:
                    throw Problem(.invalidRequest, "The body is not in the format that its Content-Encoding names.")
                case .tooDense:
                    throw Problem(
                        .bodyTooLarge,
                        "The body inflates to more than \(Inflater.mostExpansion) times its size. Send it plain.")
                case .noMemory:
                    throw Problem(.unavailable, "This node has no memory to inflate the body. Try again in a moment.")
                }
            }
        }
    }
}

extension StringProtocol {
    /// The text without spaces and tabs around it.
    var trimmingBlanks: String {
        func isBlank(_ character: Character) -> Bool { character == " " || character == "\t" }
        guard let first = firstIndex(where: { !isBlank($0) }), let last = lastIndex(where: { !isBlank($0) }) else {
            return ""
        }
        return String(self[first...last])
    }
}
