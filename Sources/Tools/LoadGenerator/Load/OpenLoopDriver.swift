import NIOCore

/// The due times of the requests of one event loop, which are numbered `first`, `first + stride`, … below `count`.
struct OpenLoopSchedule: Sendable {
    /// In nanoseconds of the monotonic clock.
    let start: UInt64
    /// The nanoseconds between two requests of the whole run.
    let interval: Double
    let first: Int
    let stride: Int
    let count: Int
    /// The number of the first request that is measured.
    let measured: Int
    /// The nanoseconds after the last request was due.
    let patience: UInt64

    func due(_ number: Int) -> UInt64 { start + UInt64(Double(number) * interval) }

    var measuredFrom: UInt64 { due(measured) }

    var brokenOffAt: UInt64 { due(count) + patience }
}

/// The connections of one event loop in an open loop.
final class OpenLoopDriver: ConnectedLoadDriver, NIOScheduledCallbackHandler {
    var connections: [LoadConnection] = []

    private let script: LoadScript
    private var recorder: LoadRecorder
    private var run: (schedule: OpenLoopSchedule, eventLoop: any EventLoop, promise: EventLoopPromise<LoadResult>)?
    /// The number of the next request.
    private var next = 0
    /// Connections are taken from the front and returned at the end, so that all connections are used.
    private var idle: [LoadConnection] = []
    private var isTimerSet = false
    private var failure: (any Error)?

    init(script: LoadScript) {
        self.script = script
        self.recorder = LoadRecorder(script)
    }

    func start(_ schedule: OpenLoopSchedule, on eventLoop: any EventLoop, _ promise: EventLoopPromise<LoadResult>) {
        if let failure {
            promise.fail(failure)
            return
        }
        run = (schedule, eventLoop, promise)
        next = schedule.first
        idle = connections
        eventLoop.assumeIsolated().scheduleTask(deadline: .uptimeNanoseconds(schedule.brokenOffAt)) { [weak self] in
            self?.breakOff(at: NIODeadline.now().uptimeNanoseconds)
        }
        sendDue(at: NIODeadline.now().uptimeNanoseconds, countsDelay: true)
    }

    func connection(_ connection: LoadConnection, answeredAt now: UInt64) {
        guard let schedule = run?.schedule else { return }
        recorder.inspect(connection)
        if connection.startedAt >= schedule.measuredFrom { recorder.record(connection, answeredAt: now) }
        // Without a free connection the server has caused the delay, not the generator.
        let hadIdleConnection = !idle.isEmpty
        idle.append(connection)
        sendDue(at: now, countsDelay: hadIdleConnection)
    }

    func connection(_ connection: LoadConnection, failed error: any Error) {
        failure = failure ?? error
        run?.promise.fail(error)
        run = nil
    }

    func handleScheduledCallback(eventLoop: some EventLoop) {
        isTimerSet = false
        sendDue(at: NIODeadline.now().uptimeNanoseconds, countsDelay: true)
    }

    /// Sends the due requests while connections are free, and sets a timer for the next one.
    private func sendDue(at now: UInt64, countsDelay: Bool) {
        while let schedule = run?.schedule, next < schedule.count, !idle.isEmpty {
            let due = schedule.due(next)
            guard due <= now else {
                setTimer(due)
                return
            }
            if countsDelay, next >= schedule.measured { recorder.recordSendDelay(nanoseconds: now - due) }
            let connection = idle.removeFirst()
            connection.send(script.request(connection.index, next), countedFrom: due)
            next += schedule.stride
        }
        guard let schedule = run?.schedule, next >= schedule.count, idle.count == connections.count else { return }
        finish(at: now)
    }

    private func setTimer(_ due: UInt64) {
        guard !isTimerSet, let run else { return }
        do {
            try run.eventLoop.assumeIsolated().scheduleCallback(at: .uptimeNanoseconds(due), handler: self)
            isTimerSet = true
        } catch {
            run.promise.fail(error)
            self.run = nil
        }
    }

    private func breakOff(at now: UInt64) {
        guard let schedule = run?.schedule else { return }
        for connection in connections where connection.isAwaitingAnswer {
            guard connection.startedAt >= schedule.measuredFrom else { continue }
            recorder.recordUnanswered(waited: now - connection.startedAt)
        }
        for number in stride(from: next, to: schedule.count, by: schedule.stride) where number >= schedule.measured {
            recorder.recordUnanswered(waited: now - schedule.due(number))
        }
        finish(at: now)
    }

    private func finish(at now: UInt64) {
        guard let run else { return }
        self.run = nil
        var result = recorder.takeResult()
        result.seconds = now > run.schedule.measuredFrom ? Double(now - run.schedule.measuredFrom) / 1e9 : 0
        run.promise.succeed(result)
    }
}
