/// The id of a request, which is shown to the client and in every log line about the request.
enum RequestID {
    /// The client's own id when it has 1 to 64 visible ASCII characters, else a random one.
    static func text(_ sent: String?) -> String {
        if let sent, (1...64).contains(sent.utf8.count), sent.utf8.allSatisfy({ (33...126).contains($0) }) {
            return sent
        }
        return text(number: UInt64.random(in: 0...UInt64.max))
    }

    fileprivate static func text(number: UInt64) -> String { "req_" + String(number, radix: 36) }
}

/// Makes the ids of the requests of one connection without asking the system for random numbers each time: the numbers
/// of SplitMix64 from a random seed. Nothing secret depends on them.
struct RequestIDs {
    private var state = UInt64.random(in: 0...UInt64.max)

    mutating func next() -> String {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return RequestID.text(number: mixed ^ (mixed >> 31))
    }
}
