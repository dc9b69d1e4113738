import Ingest
import Logging

/// A plan for a file with the columns `user` and `tokens`, with batches of two and one request at a time.
func plan(_ file: TemporaryFile, _ url: String, change: (inout IngestPlan) -> Void = { _ in }) -> IngestPlan {
    var plan = IngestPlan(
        file: file.path, baseURL: url, apiKey: APIKey("qs_test_secret"),
        mapping: EventMapping(endUser: .column("user"), feature: .fixed("tokens"), units: .sum(of: ["tokens"])))
    plan.batchSize = 2
    plan.concurrency = 1
    plan.retry.firstDelay = .milliseconds(1)
    change(&plan)
    return plan
}

extension Ingestion {
    init(_ plan: IngestPlan) {
        self.init(plan, logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
    }
}

/// A header and a row for every end user, with 1, 2, 3 … tokens.
func usage(_ endUsers: String...) -> String {
    zip(endUsers, 1...).reduce("user,tokens\n") { $0 + "\($1.0),\($1.1)\n" }
}
