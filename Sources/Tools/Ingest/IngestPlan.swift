/// What to load, from where, to where, and how fast.
///
/// A plan can be carried out any number of times: the idempotency keys of its events depend on the file and the
/// mapping only, so whatever was charged before is replayed and not charged again.
package struct IngestPlan: Sendable {
    /// The bounds of a plan, with their reasons.
    package enum Limit {
        /// The most events that the API takes in one request.
        package static let batchSize = 10_000
        /// Every request under way holds one batch in memory: 64 × (4 MiB + one event) at the very most.
        package static let concurrency = 64
        /// A key has at most 255 bytes; behind the prefix come a hyphen and up to 19 digits.
        package static let keyPrefixBytes = 235
        /// One record of the input, in bytes. Written as JSON with every byte escaped it takes six times as much,
        /// which still fits into a request behind a batch that is just below `batchBytes`.
        static let recordBytes = 256 * 1024
        /// A batch is sent early when it has this size: with one more event it stays below the API's 8 MiB.
        static let batchBytes = 4 * 1024 * 1024
    }

    /// The format of the input file.
    package enum FileFormat: String, Sendable, CaseIterable {
        /// RFC 4180 with a header line.
        case csv
        /// One JSON object per line.
        case ndjson
    }

    /// The path of a regular file. It is read twice and must not change meanwhile.
    package var file: String
    /// Nil takes the format from the file's ending: `.csv`, `.ndjson` or `.jsonl`.
    package var format: FileFormat?
    /// Where QuotaStack answers, for example `https://billing.example.com`; a path is kept as a prefix.
    package var baseURL: String
    package var apiKey: APIKey
    package var mapping: EventMapping
    /// Events per request, 1 to 10,000.
    package var batchSize = 1_000
    /// Requests under way at the same time, 1 to 64. With more than one the order in which the events of an end user
    /// are charged is not that of the file.
    package var concurrency = 4
    /// How many rows at the beginning are not sent. They still count, so keys and patterns do not shift.
    package var skip = 0
    /// The most rows to send; nil sends all.
    package var limit: Int?
    /// A file that takes the rejected events as NDJSON, replaced if it exists; nil writes none.
    package var rejectsFile: String?
    package var retry = RetryPolicy()
    /// How long one attempt of a request may take. The server answers within its own wait, 10 s unless configured.
    package var requestTimeout: Duration = .seconds(60)

    package init(file: String, baseURL: String, apiKey: APIKey, mapping: EventMapping) {
        self.file = file
        self.baseURL = baseURL
        self.apiKey = apiKey
        self.mapping = mapping
    }

    /// The declared format, or that of the file's ending.
    var resolvedFormat: FileFormat? {
        if let format { return format }
        switch file.split(separator: ".").last?.lowercased() {
        case "csv": return .csv
        case "ndjson", "jsonl": return .ndjson
        default: return nil
        }
    }

    /// The address of the batch call.
    var batchURL: String {
        var base = baseURL
        while base.hasSuffix("/") { base.removeLast() }
        return base + "/v1/usage/batch"
    }

    /// Throws what cannot be carried out whatever the file holds. `Ingestion` calls it; a command line may call it
    /// earlier to report mistakes in options as such.
    package func validate() throws(IngestFailure) {
        if let problem { throw .unusablePlan(problem) }
    }

    private var problem: String? {
        if resolvedFormat == nil {
            return "The format of \(file) is not clear from its ending (.csv, .ndjson or .jsonl): name it"
        }
        if !isUsableURL(baseURL) {
            return "The base URL must be http:// or https:// with a host and nothing after the path"
        }
        if !apiKey.isUsable { return "The API key is empty or has characters that no key has" }
        if !(1...Limit.batchSize).contains(batchSize) { return "The batch size must be 1 to 10,000 events" }
        if !(1...Limit.concurrency).contains(concurrency) { return "There must be 1 to 64 requests under way" }
        if skip < 0 { return "The number of rows to skip must not be negative" }
        if let limit, limit < 0 { return "The number of rows to send must not be negative" }
        if retry.maximumAttempts < 1 { return "There must be at least one attempt" }
        if requestTimeout <= .zero { return "The time for a request must be more than nothing" }
        return mapping.problem
    }

    private func isUsableURL(_ url: String) -> Bool {
        guard let scheme = ["http://", "https://"].first(where: url.lowercased().hasPrefix) else { return false }
        let rest = url.utf8.dropFirst(scheme.utf8.count)
        return !rest.isEmpty && rest.first != UInt8(ascii: "/")
            && rest.allSatisfy { (0x21...0x7E).contains($0) && $0 != UInt8(ascii: "?") && $0 != UInt8(ascii: "#") }
    }
}

/// The secret that a run presents. It does not show when it is printed.
package struct APIKey: Sendable, CustomStringConvertible, CustomDebugStringConvertible {
    let secret: String

    package init(_ secret: String) {
        self.secret = secret
    }

    package var description: String { "(secret)" }
    package var debugDescription: String { description }

    /// Whether it can stand in a header at all.
    var isUsable: Bool {
        !secret.isEmpty && secret.utf8.allSatisfy { (0x21...0x7E).contains($0) }
    }
}
