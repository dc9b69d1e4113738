import AsyncHTTPClient
package import Credits
package import Logging

/// Loads the usage of a file into a running QuotaStack.
///
/// The file is read twice. The first pass turns every row into an event and discards it, so that a file with a mistake
/// in its last line is refused as a whole before anything is charged. The second pass sends the events.
package struct Ingestion: Sendable {
    private let plan: IngestPlan
    private let logger: Logger

    package init(_ plan: IngestPlan, logger: Logger) {
        self.plan = plan
        self.logger = logger
    }

    /// Facts about the content of a file, read through the mapping.
    package struct Inspection: Sendable, Equatable {
        /// The number of rows in the file.
        package internal(set) var rowsInFile = 0
        /// The number of rows to send, after skip and limit.
        package internal(set) var rows = 0
        /// The total units of the rows to send.
        package internal(set) var units: UInt128 = 0
        /// The first and the last instant among the rows to send, when the mapping has one.
        package internal(set) var earliest: Instant?
        package internal(set) var latest: Instant?
        /// The number of blank lines in the file, which are skipped.
        package internal(set) var blankLines = 0
        /// The number of bytes of the file up to the end of the last row to send.
        package internal(set) var bytes = 0

        mutating func add(_ event: UsageEvent, endingAt offset: Int) {
            rows += 1
            units += event.measure.total
            bytes = offset
            guard let instant = event.occurredAt else { return }
            earliest = min(earliest ?? instant, instant)
            latest = max(latest ?? instant, instant)
        }
    }

    /// Reads the whole file and sends nothing: a dry run.
    ///
    /// - Throws: The mistake in the plan or the file.
    package func inspect(
        progress: (IngestProgress) -> Void = { _ in }
    ) throws(IngestFailure) -> Inspection {
        try plan.validate()
        let file = try InputFile(path: plan.file)
        return try inspect(file, try file.identity, progress)
    }

    /// Sends the file. A failure is part of the report.
    ///
    /// A run is safe to repeat at any time, also after it was cancelled or the process was killed.
    ///
    /// - Parameter progress: Called after every 4,096 rows that were checked, at the end of the check, and after every
    ///   every answer.
    package func run(progress: @Sendable (IngestProgress) -> Void = { _ in }) async -> IngestReport {
        var report = IngestReport()
        do throws(IngestFailure) {
            try plan.validate()
            let file = try InputFile(path: plan.file)
            let identity = try file.identity
            let inspection = try inspect(file, identity, progress)
            report.rows = inspection.rows
            report.blankLines = inspection.blankLines
            var rejects: RejectsFile?
            if let path = plan.rejectsFile { rejects = try RejectsFile(path: path, input: identity) }
            let batches = EventBatches(
                rows: try rows(file, identity),
                mapper: EventMapper(mapping: plan.mapping),
                batchSize: plan.batchSize, selection: selection)
            await send(batches, inspection, rejects, &report, progress)
        } catch {
            report.failure = error
        }
        return report
    }

    // MARK: Reading

    private var selection: Range<Int> {
        guard let limit = plan.limit else { return plan.skip..<Int.max }
        let (end, overflow) = plan.skip.addingReportingOverflow(limit)
        return plan.skip..<(overflow ? Int.max : end)
    }

    private func rows(_ file: InputFile, _ identity: InputFile.Identity) throws(IngestFailure) -> RowReader {
        guard let format = plan.resolvedFormat else { throw .unusablePlan("The format of \(plan.file) is not clear") }
        return try RowReader(
            ByteChunks(file: file, identity: identity), format: format, columns: plan.mapping.columns)
    }

    private func inspect(
        _ file: InputFile, _ identity: InputFile.Identity, _ progress: (IngestProgress) -> Void
    ) throws(IngestFailure) -> Inspection {
        let clock = ContinuousClock()
        let start = clock.now
        var inspection = Inspection()
        var problems: [RowProblem] = []
        var problemCount = 0
        var rows = try rows(file, identity)
        let mapper = EventMapper(mapping: plan.mapping)
        while let row = try rows.next() {
            inspection.rowsInFile += 1
            if selection.contains(row.number) {
                do throws(RowProblem) {
                    inspection.add(try mapper.event(for: row), endingAt: rows.offset)
                } catch {
                    problemCount += 1
                    if problems.count < 10 { problems.append(error) }
                }
            }
            guard inspection.rowsInFile % 4_096 == 0 else { continue }
            if Task.isCancelled { throw .cancelled }
            progress(
                IngestProgress(
                    phase: .checking, rowsDone: inspection.rowsInFile, rowsTotal: nil, bytesDone: rows.offset,
                    bytesTotal: identity.size, elapsed: clock.now - start))
        }
        progress(
            IngestProgress(
                phase: .checking, rowsDone: inspection.rowsInFile, rowsTotal: nil, bytesDone: identity.size,
                bytesTotal: identity.size, elapsed: clock.now - start))
        guard problemCount == 0 else { throw .unusableRows(problems, count: problemCount) }
        inspection.blankLines = rows.blankLines
        return inspection
    }

    // MARK: Sending

    /// The result of one batch.
    private struct Sent: Sendable {
        var batch: EventBatch
        var result: Result<BatchAnswer, IngestFailure>
    }

    /// Keeps as many requests in flight as the plan allows. The next batch is read only when there is room for it, so
    /// memory holds only the batches in flight.
    private func send(
        _ batches: EventBatches, _ inspection: Inspection, _ rejects: RejectsFile?, _ report: inout IngestReport,
        _ progress: (IngestProgress) -> Void
    ) async {
        let client = HTTPClient(
            eventLoopGroupProvider: .singleton, configuration: BatchSender.clientConfiguration(plan))
        let sender = BatchSender(client: client, plan: plan, logger: logger)
        let clock = ContinuousClock()
        let start = clock.now
        var state = IngestProgress(
            phase: .sending, rowsDone: 0, rowsTotal: inspection.rows, bytesDone: 0, bytesTotal: inspection.bytes,
            elapsed: .zero)
        var batches = batches
        await withTaskGroup(of: Sent.self) { group in
            var underWay = 0
            var isOver = false
            while true {
                if !isOver && underWay < plan.concurrency {
                    switch nextBatch(&batches) {
                    case .success(let batch?):
                        group.addTask { Sent(batch: batch, result: await sender.result(batch)) }
                        underWay += 1
                        continue
                    case .success(nil): isOver = true
                    case .failure(let failure):
                        isOver = true
                        stop(failure, &report, &group)
                    }
                }
                guard let sent = await group.next() else { break }
                underWay -= 1
                switch sent.result {
                case .failure(let failure):
                    isOver = true
                    stop(failure, &report, &group)
                case .success(let answer):
                    report.add(answer, to: sent.batch)
                    do throws(IngestFailure) {
                        try rejects?.append(answer.rejections, of: sent.batch)
                    } catch {
                        isOver = true
                        stop(error, &report, &group)
                    }
                    report.elapsed = clock.now - start
                    state.add(sent.batch, report)
                    progress(state)
                }
            }
        }
        do {
            try await client.shutdown()
        } catch {
            logger.debug("The HTTP client did not shut down cleanly.", metadata: ["error": "\(error)"])
        }
    }

    private func nextBatch(_ batches: inout EventBatches) -> Result<EventBatch?, IngestFailure> {
        Result { () throws(IngestFailure) in
            if Task.isCancelled { throw .cancelled }
            return try batches.next()
        }
    }

    /// Ends the run with the first failure. Later failures are consequences of it: requests that were cancelled.
    private func stop(_ failure: IngestFailure, _ report: inout IngestReport, _ group: inout TaskGroup<Sent>) {
        if report.failure == nil { report.failure = failure }
        group.cancelAll()
    }
}

extension BatchSender {
    fileprivate func result(_ batch: EventBatch) async -> Result<BatchAnswer, IngestFailure> {
        do throws(IngestFailure) {
            return .success(try await send(batch))
        } catch {
            return .failure(error)
        }
    }
}

extension IngestProgress {
    fileprivate mutating func add(_ batch: EventBatch, _ report: IngestReport) {
        rowsDone += batch.events.count
        bytesDone += batch.inputBytes
        accepted = report.accepted
        replayed = report.replayed
        rejected = report.rejected
        elapsed = report.elapsed
    }
}
