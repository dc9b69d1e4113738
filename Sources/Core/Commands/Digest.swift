package import Credits
import Crypto

extension Bits128 {
    /// The first 128 bits of SHA-256.
    package init(digestOf bytes: [UInt8]) {
        self = SHA256.hash(data: bytes).withUnsafeBytes { digest in
            Bits128(
                high: UInt64(bigEndian: digest.loadUnaligned(fromByteOffset: 0, as: UInt64.self)),
                low: UInt64(bigEndian: digest.loadUnaligned(fromByteOffset: 8, as: UInt64.self)))
        }
    }
}
