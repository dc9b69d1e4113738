/// The id of a request, which is shown to the client and in every log line about the request.
enum RequestID {
    /// The client's own id when it has 1 to 64 visible ASCII characters, else a random one.
    static func text(_ sent: String?) -> String {
        if let sent, (1...64).contains(sent.utf8.count), sent.utf8.allSatisfy({ (33...126).contains($0) }) {
            return sent
        }
        return "req_" + String(UInt64.random(in: 0...UInt64.max), radix: 36)
    }
}
