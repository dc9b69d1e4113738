/// The bounds of everything that a client of the protocol can make a process hold.
///
/// A message is parsed into at most `messageValues` values of 80 bytes each, 640 KB. An answer of the API is in the result
/// twice, as text and as JSON, and text needs up to two bytes for a byte of JSON: a result is at most three times as large
/// as the answer. The messages of a batch are answered one after the other, so a batch holds the results of all of them.
package enum MCPLimits {
    /// The largest message, in bytes.
    package static let messageBytes = 64 << 10
    /// The largest number of JSON values in a message.
    package static let messageValues = 8_192
    /// The largest number of messages in a batch.
    static let batch = 8
    /// The largest answer of the API that becomes a result, in bytes.
    package static let answerBytes = 256 << 10
    /// The longest target of a call of the API, in bytes; a node takes lines of 8 KiB.
    static let targetBytes = 7 << 10
    /// The largest piece of a page that one call reads, in bytes.
    static let pageBytes = 32 << 10
}
