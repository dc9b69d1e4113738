import CZlib

/// Compresses bytes for tests, with zlib.
package enum Deflation {
    /// The window of zlib with its meaning for the format.
    package enum Format: Int32, Sendable {
        case gzip = 31
        /// RFC 1950, which HTTP calls `deflate`.
        case zlib = 15
        /// RFC 1951 without a header.
        case bare = -15
    }

    package struct Failure: Error {}

    package static func compressed(_ bytes: [UInt8], _ format: Format) throws -> [UInt8] {
        var stream = z_stream()
        let size = Int32(MemoryLayout<z_stream>.size)
        guard
            deflateInit2_(&stream, 9, Z_DEFLATED, format.rawValue, 8, Z_DEFAULT_STRATEGY, ZLIB_VERSION, size) == Z_OK
        else { throw Failure() }
        defer { deflateEnd(&stream) }
        var input = bytes
        return try input.withUnsafeMutableBufferPointer { input in
            stream.next_in = input.baseAddress
            stream.avail_in = UInt32(input.count)
            var output = [UInt8](repeating: 0, count: Int(deflateBound(&stream, UInt(input.count))))
            let room = output.count
            try output.withUnsafeMutableBufferPointer { output in
                stream.next_out = output.baseAddress
                stream.avail_out = UInt32(room)
                guard deflate(&stream, Z_FINISH) == Z_STREAM_END else { throw Failure() }
            }
            return Array(output.prefix(room - Int(stream.avail_out)))
        }
    }
}
