/// The options of a run: the input, its mapping, the target and the speed.
///
/// A plan can be run any number of times: the idempotency key of an event depends only on the mapping, the row and the
/// rows before it, so an event that was charged before is replayed and not charged again.
package struct IngestPlan: Sendable {
    /// The limits of a plan, with their reasons.
    package enum Limit {
        /// The most events that the API accepts in one request.
        package static let batchSize = 10_000
        /// Every request in flight holds one batch in memory: at most 64 × (4 MiB + one event).
        package static let concurrency = 64
        /// An idempotency key has at most 255 bytes; a hyphen and up to 19 digits follow the prefix.
        package static let keyPrefixBytes = 235
        /// The size of one input record, in bytes. As JSON with every byte escaped it is six times as large, which
        /// still fits into a request after a batch that is just below `batchBytes`.
        static let recordBytes = 256 * 1024
        /// The size at which a batch is sent early: with one more event it stays below the API's 8 MiB.
        static let batchBytes = 4 * 1024 * 1024
    }

    /// The format of the input file.
    package enum FileFormat: String, Sendable, CaseIterable {
        /// RFC 4180 with a header line.
        case csv
        /// One JSON object per line.
        case ndjson
    }

    /// The path of a regular file. The file is read twice and must not change in between.
    package var file: String
    /// Nil derives the format from the ending of the file name: `.csv`, `.ndjson` or `.jsonl`.
    package var format: FileFormat?
    /// The URL of QuotaStack, for example `https://billing.example.com`; a path is kept as a prefix.
    package var baseURL: String
    package var apiKey: APIKey
    package var mapping: EventMapping
    /// Events per request, 1 to 10,000.
    package var batchSize = 1_000
    /// Requests in flight at the same time, 1 to 64. With more than one, the events of an end user may be charged in
    /// another order than that of the file.
    package var concurrency = 4
    /// The number of rows at the beginning that are not sent. They still count, so keys and patterns do not shift.
    package var skip = 0
    /// The maximum number of rows to send; nil sends all.
    package var limit: Int?
    /// The path of a file for the rejected events, as NDJSON. An existing file is replaced; nil writes none.
    package var rejectsFile: String?
    package var retry = RetryPolicy()
    /// The time limit for one attempt of a request. The server answers within its own limit, 10 s by default.
    package var requestTimeout: Duration = .seconds(60)

    package init(file: String, baseURL: String, apiKey: APIKey, mapping: EventMapping) {
        self.file = file
        self.baseURL = baseURL
        self.apiKey = apiKey
        self.mapping = mapping
    }

    /// The declared format, or the format that the ending of the file name stands for.
    var resolvedFormat: FileFormat? {
        if let format { return format }
        switch file.split(separator: ".").last?.lowercased() {
        case "csv": return .csv
        case "ndjson", "jsonl": return .ndjson
        default: return nil
        }
    }

    /// The URL of the batch endpoint.
    var batchURL: String {
        var base = baseURL
        while base.hasSuffix("/") { base.removeLast() }
        return base + "/v1/usage/batch"
    }

    /// Throws when an option is invalid, regardless of the content of the file. `Ingestion` calls this; a command line
    /// may call it earlier to report the mistake as one in its options.
    package func validate() throws(IngestFailure) {
        if let problem { throw .unusablePlan(problem) }
    }

    private var problem: String? {
        if resolvedFormat == nil {
            return "The format of \(file) is not clear from its ending (.csv, .ndjson or .jsonl): state the format"
        }
        if !isUsableURL(baseURL) {
            return "The base URL must be http:// or https:// with a host, and without a query or a fragment"
        }
        if !apiKey.isUsable { return "The API key is empty or has characters that are not printable ASCII" }
        if !(1...Limit.batchSize).contains(batchSize) { return "The batch size must be 1 to 10,000 events" }
        if !(1...Limit.concurrency).contains(concurrency) { return "The concurrency must be 1 to 64 requests" }
        if skip < 0 { return "The number of rows to skip must not be negative" }
        if let limit, limit < 0 { return "The number of rows to send must not be negative" }
        if retry.maximumAttempts < 1 { return "The number of attempts must be at least 1" }
        if requestTimeout <= .zero { return "The time limit for a request must be more than 0" }
        return mapping.problem
    }

    private func isUsableURL(_ url: String) -> Bool {
        guard let scheme = ["http://", "https://"].first(where: url.lowercased().hasPrefix) else { return false }
        let rest = url.utf8.dropFirst(scheme.utf8.count)
        return !rest.isEmpty && rest.first != UInt8(ascii: "/")
            && rest.allSatisfy { (0x21...0x7E).contains($0) && $0 != UInt8(ascii: "?") && $0 != UInt8(ascii: "#") }
    }
}

/// The API key of a run. Its description hides the secret.
package struct APIKey: Sendable, CustomStringConvertible, CustomDebugStringConvertible {
    let secret: String

    package init(_ secret: String) {
        self.secret = secret
    }

    package var description: String { "(secret)" }
    package var debugDescription: String { description }

    /// Whether the key can be sent in a header.
    var isUsable: Bool {
        !secret.isEmpty && secret.utf8.allSatisfy { (0x21...0x7E).contains($0) }
    }
}
