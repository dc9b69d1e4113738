internal import Crypto

/// A SHA-256: the hash that links an entry to the previous one, or the digest of what an entry says about a person.
package struct EntryHash: Hashable, Sendable {
    /// The previous hash of an account's first entry.
    package static let zero = EntryHash(words: (0, 0, 0, 0))

    private let first: UInt64
    private let second: UInt64
    private let third: UInt64
    private let fourth: UInt64

    private init(words: (UInt64, UInt64, UInt64, UInt64)) {
        (first, second, third, fourth) = words
    }

    /// Nil unless there are exactly 32 bytes.
    package init?(bytes: some Collection<UInt8>) {
        guard bytes.count == 32 else { return nil }
        var words: (UInt64, UInt64, UInt64, UInt64) = (0, 0, 0, 0)
        withUnsafeMutableBytes(of: &words) { $0.copyBytes(from: bytes) }
        self.init(
            words: (
                UInt64(bigEndian: words.0), UInt64(bigEndian: words.1), UInt64(bigEndian: words.2),
                UInt64(bigEndian: words.3)
            ))
    }

    /// SHA-256 over the 32 bytes of the previous hash and the entry's canonical bytes.
    init(previous: EntryHash, canonicalBytes: [UInt8]) {
        self = previous.withUnsafeBytes { EntryHash(over: $0, canonicalBytes) }
    }

    /// SHA-256 over the 32 bytes of the salt and the personal text.
    init(salt: Salt, personalText: [UInt8]) {
        self = salt.bytes.withUnsafeBytes { EntryHash(over: $0, personalText) }
    }

    /// The personal digest of an entry that was written after the erasure of its end user, and so says nothing about a
    /// person: SHA-256 over `{}`, without a salt.
    static let ofNoPerson = EntryHash(over: UnsafeRawBufferPointer(start: nil, count: 0), Array("{}".utf8))

    private init(over first: UnsafeRawBufferPointer, _ second: [UInt8]) {
        var hasher = SHA256()
        hasher.update(bufferPointer: first)
        second.withUnsafeBytes { hasher.update(bufferPointer: $0) }
        self = hasher.finalize().withUnsafeBytes { digest in
            func word(_ index: Int) -> UInt64 {
                UInt64(bigEndian: digest.loadUnaligned(fromByteOffset: index * 8, as: UInt64.self))
            }
            return EntryHash(words: (word(0), word(1), word(2), word(3)))
        }
    }

    package var bytes: [UInt8] {
        withUnsafeBytes { Array($0) }
    }

    /// 64 lower-case hexadecimal digits.
    package var hexadecimal: [UInt8] {
        let digits = Array("0123456789abcdef".utf8)
        var text: [UInt8] = []
        text.reserveCapacity(64)
        for byte in bytes {
            text.append(digits[Int(byte >> 4)])
            text.append(digits[Int(byte & 15)])
        }
        return text
    }

    private func withUnsafeBytes<Result>(_ body: (UnsafeRawBufferPointer) -> Result) -> Result {
        let words = (first.bigEndian, second.bigEndian, third.bigEndian, fourth.bigEndian)
        return Swift.withUnsafeBytes(of: words, body)
    }
}
