import Credits
import Crypto

/// A digest over the header and all rows up to one. Rows that are appended to a file leave the digests of the earlier
/// rows as they are.
///
/// The digest covers the content of the fields and not their spelling: quotes, line ends, blank lines and a byte order
/// mark do not matter.
struct RunningDigest {
    private var state: [UInt8] = []

    /// Adds the fields of a CSV record, each with its length before it.
    mutating func add(_ record: CSVReader.Record) {
        var hash = SHA256()
        hash.update(data: state)
        for index in 0..<record.count {
            let field = record[index]
            hash.update(data: Array("\(field.count):".utf8))
            hash.update(data: field)
        }
        state = Array(hash.finalize())
    }

    /// Adds a line of NDJSON.
    mutating func add(line: [UInt8]) {
        var hash = SHA256()
        hash.update(data: state)
        hash.update(data: line)
        state = Array(hash.finalize())
    }

    /// The first 128 bits.
    var value: Bits128 {
        func word(_ bytes: some Sequence<UInt8>) -> UInt64 { bytes.reduce(0) { $0 << 8 | UInt64($1) } }
        return Bits128(high: word(state.prefix(8)), low: word(state.dropFirst(8).prefix(8)))
    }
}
