import ArgumentParser
import Ingest
import Logging

/// Loads a usage file into a running installation.
struct IngestCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "ingest",
        abstract: "Load a CSV or NDJSON file of usage; running it again charges nothing twice.",
        discussion: """
            Every row has an idempotency key, so running the command again completes a run that was interrupted. The key \
            is a running hash over the header and all rows up to the row, so a file that grew charges only its new rows. \
            --key-column names a column for the key instead. With --key-prefix the key is the prefix and the row's \
            number. Files whose rows have neither a time nor a key need a prefix each if they can begin with the same \
            rows. Blank lines are skipped.

            quotastack ingest day.csv --feature tokens --units input+output --end-user customer
            quotastack ingest calls.csv --feature llm --quantity input_tokens=input --quantity output_tokens=output \
            --attribute model=model --occurred-at time --end-user customer
            quotastack ingest trace.csv --feature tokens --units ContextTokens+GeneratedTokens --end-user 'user_{row % 200}'

            Exit codes: 0 all rows are charged, 2 some rows were rejected, 1 the run could not be completed.
            """)

    @Argument(help: "The file; its name ends in .csv, .ndjson or .jsonl, unless --format is given.") var file: String
    @OptionGroup var environment: EnvironmentOptions
    @Option(help: "csv or ndjson.") var format: String?
    @Option(help: "Column of the end user's id, or a pattern such as 'user_{row % 200}'.") var endUser: String
    @Option(help: "Key of the feature used.") var feature: String?
    @Option(help: "Column of the feature's key, instead of --feature.") var featureColumn: String?
    @Option(help: "Column of the units, or several joined by +; default: 1 a row.") var units: String?
    @Option(help: "Column of a dimension's quantity, as in input_tokens=COLUMN, instead of --units; may be repeated.")
    var quantity: [String] = []
    @Option(help: "Column of an attribute, as in model=COLUMN; may be repeated.") var attribute: [String] = []
    @Option(help: "Column of the instant of use; default: the instant of loading.") var occurredAt: String?
    @Option(help: "Format of the --occurred-at column: rfc3339, utc, unix-seconds or unix-milliseconds.")
    var timeFormat = "rfc3339"
    @Option(help: "Column of the idempotency key.") var keyColumn: String?
    @Option(help: "Prefix of the row numbers as idempotency keys, instead of the running hash.") var keyPrefix: String?
    @Option(help: "Column to keep as metadata; may be repeated.") var metadata: [String] = []
    @Option(help: "Events in one request.") var batchSize = 1_000
    @Option(help: "Requests under way at once.") var concurrency = 4
    @Option(help: "Number of rows to skip at the beginning.") var skip = 0
    @Option(help: "Maximum number of rows to load.") var limit: Int?
    @Option(help: "Write rejected rows to this file.") var rejects: String?
    @Flag(help: "Read and check the file, and send nothing.") var dryRun = false

    func run() async throws {
        var plan = IngestPlan(
            file: file, baseURL: try apiURL(environment.url), apiKey: APIKey(try environment.key()),
            mapping: try mapping())
        if let format {
            guard let known = IngestPlan.FileFormat(rawValue: format) else {
                throw ValidationError("--format must be csv or ndjson.")
            }
            plan.format = known
        }
        plan.batchSize = batchSize
        plan.concurrency = concurrency
        plan.skip = skip
        plan.limit = limit
        plan.rejectsFile = rejects
        let bar = ProgressBar.standardError()
        let ingestion = Ingestion(plan, logger: bar.logger(label: "ingest", level: .warning))
        if let warning = plan.mapping.warning { writeError("Warning: \(warning)\n") }
        if dryRun {
            let found = try ingestion.inspect()
            let keys =
                switch plan.mapping.idempotencyKey {
                case .column(let column): "are in the column \(column)"
                case .rowNumber(let prefix): "begin with \(prefix)"
                case .runningDigest: "follow from the rows"
                }
            print("\(found.rows) rows with \(found.units) units; their idempotency keys \(keys).")
            if found.blankLines > 0 { print("\(found.blankLines.blankLinesSkipped).") }
            return
        }
        let report = await ingestion.run(progress: bar.update)
        bar.finish()
        print(report)
        if report.status != .complete { throw ExitCode(report.status.rawValue) }
    }

    private func mapping() throws -> EventMapping {
        guard (feature == nil) != (featureColumn == nil) else {
            throw ValidationError("Give either --feature or --feature-column.")
        }
        var occurrence: EventMapping.OccurredAt?
        if let occurredAt {
            guard let format = EventMapping.TimeFormat(rawValue: timeFormat) else {
                let known = EventMapping.TimeFormat.allCases.map(\.rawValue).joined(separator: ", ")
                throw ValidationError("--time-format must be one of \(known).")
            }
            occurrence = EventMapping.OccurredAt(column: occurredAt, format: format)
        }
        var unitColumns = EventMapping.Units.fixed(1)
        if let units {
            guard let sum = EventMapping.Units(sum: units) else {
                throw ValidationError("--units must be a column, or several joined by +.")
            }
            unitColumns = sum
        }
        if !quantity.isEmpty {
            guard units == nil else { throw ValidationError("Give either --units or --quantity.") }
            unitColumns = .quantities(try quantity.map { try Self.named($0, "--quantity") })
        }
        guard keyColumn == nil || keyPrefix == nil else {
            throw ValidationError("Give either --key-column or --key-prefix.")
        }
        return EventMapping(
            endUser: EventMapping.EndUser(pattern: endUser) ?? .column(endUser),
            feature: feature.map { .fixed($0) } ?? .column(featureColumn ?? ""),
            units: unitColumns,
            attributes: try attribute.map { try Self.named($0, "--attribute") },
            occurredAt: occurrence,
            idempotencyKey: keyColumn.map { .column($0) } ?? keyPrefix.map { .rowNumber(prefix: $0) } ?? .runningDigest,
            metadataColumns: metadata)
    }

    private static func named(_ text: String, _ option: String) throws -> EventMapping.NamedColumn {
        guard let named = EventMapping.NamedColumn(text) else {
            throw ValidationError("\(option) must be NAME=COLUMN, not \(text).")
        }
        return named
    }
}
