import CZlib

/// A content coding of HTTP that zlib reads.
package enum ContentCoding: Sendable {
    case gzip
    /// The zlib format of RFC 9110. The bare deflate stream that some clients send under this name is read as well.
    case deflate

    /// - Parameter name: The name in `Content-Encoding`, in any case; `x-gzip` is an old name of gzip.
    package init?(named name: some StringProtocol) {
        switch name.lowercased() {
        case "gzip", "x-gzip": self = .gzip
        case "deflate": self = .deflate
        default: return nil
        }
    }
}

/// The reason why compressed bytes cannot be inflated.
package enum InflationError: Error, Sendable {
    /// The bytes are not in the format of the coding, or end in the middle of it.
    case malformed
    /// The bytes inflate to more than `Inflater.mostExpansion` times their size.
    case tooDense
    /// The system has no memory for the state of zlib.
    case noMemory
}

/// Inflates the bytes of one body, piece by piece.
///
/// Give it compressed bytes with `add`, and call `next` until it returns nil. At the end call `finish`. It holds 40 KiB
/// for zlib and the compressed bytes of the latest `add`, and each piece has at most 64 KiB, so a body of any density
/// costs no more memory than the caller keeps.
package final class Inflater {
    /// The largest accepted ratio of inflated to compressed bytes, beyond the first mebibyte of inflated bytes. JSON of
    /// real events shrinks to a fifth or a twentieth; a deflate stream can reach 1,032.
    package static let mostExpansion = 100
    private static let freeBytes = 1 << 20
    private static let pieceBytes = 64 << 10

    /// At a fixed address, because zlib keeps a pointer to it.
    private let stream: UnsafeMutablePointer<z_stream>
    private let coding: ContentCoding
    private var isStarted = false
    /// Whether the input so far ends exactly at the end of a compressed stream.
    private var isAtEnd = false
    /// Whether the latest piece filled its room, so that zlib may hold more.
    private var hasMore = false
    private var input: [UInt8] = []
    private var consumed = 0
    private var read = 0
    private var written = 0

    package init(_ coding: ContentCoding) {
        self.coding = coding
        stream = .allocate(capacity: 1)
        stream.initialize(to: z_stream())
    }

    deinit {
        if isStarted { inflateEnd(stream) }
        stream.deinitialize(count: 1)
        stream.deallocate()
    }

    /// Takes the next compressed bytes. The pieces of the bytes before must all have been read.
    package func add(_ bytes: some Sequence<UInt8>) {
        input = Array(bytes)
        consumed = 0
    }

    /// The next inflated bytes; nil when more compressed bytes are needed.
    package func next() throws(InflationError) -> [UInt8]? {
        while consumed < input.count || hasMore {
            if !isStarted { try start() }
            if isAtEnd { try startNextMember() }
            let piece = try inflatePiece()
            if !piece.isEmpty { return piece }
        }
        return nil
    }

    /// - Throws: `InflationError` when the compressed bytes do not end here. No bytes at all are an empty body.
    package func finish() throws(InflationError) {
        if isStarted, !isAtEnd { throw .malformed }
    }

    private func start() throws(InflationError) {
        // 15 is the largest window; 16 more ask for the gzip header, and a negative number for no header.
        let windowBits: Int32 =
            switch coding {
            case .gzip: 15 + 16
            case .deflate: Self.hasZlibHeader(input) ? 15 : -15
            }
        guard quotastack_inflate_init(stream, windowBits) == Z_OK else { throw .noMemory }
        isStarted = true
    }

    /// A gzip body may consist of several members.
    private func startNextMember() throws(InflationError) {
        guard coding == .gzip, inflateReset(stream) == Z_OK else { throw .malformed }
        isAtEnd = false
    }

    private func inflatePiece() throws(InflationError) -> [UInt8] {
        var status = Z_OK
        let (start, available) = (consumed, input.count - consumed)
        let piece = [UInt8](unsafeUninitializedCapacity: Self.pieceBytes) { output, count in
            input.withUnsafeMutableBufferPointer { bytes in
                stream.pointee.next_in = bytes.baseAddress.map { $0 + start }
                stream.pointee.avail_in = UInt32(available)
                stream.pointee.next_out = output.baseAddress
                stream.pointee.avail_out = UInt32(Self.pieceBytes)
                status = CZlib.inflate(stream, Z_NO_FLUSH)
            }
            count = Self.pieceBytes - Int(stream.pointee.avail_out)
        }
        let taken = available - Int(stream.pointee.avail_in)
        consumed += taken
        read += taken
        written += piece.count
        hasMore = false
        switch status {
        case Z_STREAM_END: isAtEnd = true
        case Z_OK: hasMore = piece.count == Self.pieceBytes
        // Nothing was left to inflate.
        case Z_BUF_ERROR where available == 0: break
        default: throw .malformed
        }
        guard written <= Self.freeBytes || written / Self.mostExpansion <= read else { throw .tooDense }
        return piece
    }

    /// Whether the bytes begin like the zlib format (RFC 1950): the method is deflate, and the check bits fit.
    private static func hasZlibHeader(_ bytes: [UInt8]) -> Bool {
        guard bytes.count >= 2 else { return bytes.first.map { $0 & 0x0F == 8 } ?? false }
        return bytes[0] & 0x0F == 8 && (Int(bytes[0]) << 8 | Int(bytes[1])) % 31 == 0
    }
}
