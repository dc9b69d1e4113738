import JSON
import NIOCore

/// The events of one request.
struct EventBatch: Sendable {
    struct Event: Sendable {
        var row: Int
        var line: Int
        /// The range of the event's JSON in the body.
        var bytes: Range<Int>
    }

    /// `{"events":[…]}`.
    let body: ByteBuffer
    /// At least one event, in the order of the file.
    let events: [Event]
    /// The number of input bytes from the end of the previous batch to the end of this one.
    let inputBytes: Int

    /// The lines of the file from the first event to the last.
    var lines: ClosedRange<Int> {
        guard let first = events.first?.line, let last = events.last?.line else { return 0...0 }
        return first...max(first, last)
    }

    /// The JSON of an event.
    func json(ofEvent index: Int) -> ByteBufferView {
        body.getSlice(at: events[index].bytes.lowerBound, length: events[index].bytes.count)?.readableBytesView
            ?? ByteBuffer().readableBytesView
    }
}

/// Cuts the rows of a file into batches.
struct EventBatches {
    private var rows: RowReader
    private let mapper: EventMapper
    private let batchSize: Int
    /// The range of row numbers to send.
    private let selection: Range<Int>
    private var offset = 0

    init(rows: RowReader, mapper: EventMapper, batchSize: Int, selection: Range<Int>) {
        self.rows = rows
        self.mapper = mapper
        self.batchSize = batchSize
        self.selection = selection
    }

    /// The next batch; nil after the last row of the selection.
    mutating func next() throws(IngestFailure) -> EventBatch? {
        var json = JSONWriter(capacity: batchSize * 160)
        var events: [EventBatch.Event] = []
        json.beginObject()
        json.key("events")
        json.beginArray()
        while events.count < batchSize, json.bytes.count < IngestPlan.Limit.batchBytes {
            guard (events.last?.row ?? -1) + 1 < selection.upperBound, let row = try rows.next() else { break }
            guard row.number < selection.upperBound else { break }
            guard row.number >= selection.lowerBound else { continue }
            let start = json.bytes.count
            do throws(RowProblem) {
                try mapper.event(for: row).write(into: &json)
            } catch {
                throw .unusableRows([error], count: 1)
            }
            // A comma precedes every event but the first.
            let bytes = (events.isEmpty ? start : start + 1)..<json.bytes.count
            events.append(EventBatch.Event(row: row.number, line: row.line, bytes: bytes))
        }
        guard !events.isEmpty else { return nil }
        json.endArray()
        json.endObject()
        defer { offset = rows.offset }
        return EventBatch(body: ByteBuffer(bytes: json.bytes), events: events, inputBytes: rows.offset - offset)
    }
}
