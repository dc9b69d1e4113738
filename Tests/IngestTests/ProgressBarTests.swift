import Logging
import Synchronization
import Testing

@testable import Ingest

@Suite("Progress is shown")
struct ProgressBarTests {
    private let half = IngestProgress(
        phase: .sending, rowsDone: 9_683, rowsTotal: 19_366, bytesDone: 300, bytesTotal: 600, accepted: 9_000,
        replayed: 600, rejected: 83, elapsed: .milliseconds(2_000))

    @Test("A line says what is done, of how much, with what result and how fast")
    func line() {
        #expect(
            ProgressBar.line(half)
                == "50%, 9,683/19,366 rows at 4,841/s: 9,000 accepted, 600 replayed, 83 rejected")
        #expect(
            ProgressBar.line(
                IngestProgress(
                    phase: .checking, rowsDone: 4_096, rowsTotal: nil, bytesDone: 1, bytesTotal: 3, elapsed: .zero))
                == "checking 33%, 4,096 rows")
    }

    @Test("The bar takes the room that is left and never fills the last column")
    func bar() {
        let text = ProgressBar.line(half)
        #expect(ProgressBar.bar(half, columns: 200) == "[###############---------------] \(text)")
        #expect(ProgressBar.bar(half, columns: text.count + 14) == "[#####-----] \(text)")
        #expect(ProgressBar.bar(half, columns: text.count + 13) == text)
        for columns in 1...200 { #expect(ProgressBar.bar(half, columns: columns).count < columns) }
    }

    @Test("An empty file is done")
    func empty() {
        let progress = IngestProgress(
            phase: .sending, rowsDone: 0, rowsTotal: 0, bytesDone: 0, bytesTotal: 0, elapsed: .zero)
        #expect(ProgressBar.line(progress) == "100%, 0/0 rows at 0/s: 0 accepted")
    }

    @Test("A terminal shows one line per phase, drawn ten times a second and once more at the end")
    func terminal() {
        let written = written(isTerminal: true, at: [0, 50, 99, 100, 150])
        #expect(written.map { String($0.prefix(1)) } == ["\r", "\r", "\r", "\n"])
        #expect(written[0].contains("] 0%, 0/150 rows") && written[1].contains(" 100/150 rows"))
        #expect(written[2].contains(" 150/150 rows") && written[2].hasSuffix("\u{1B}[K"))
    }

    @Test("A log gets a line every five seconds and one at the end, without control characters")
    func log() {
        let written = written(isTerminal: false, at: [0, 100, 4_999, 5_000, 9_999, 10_000, 10_001])
        #expect(
            written.map { String($0.prefix { $0 != "a" }) }
                == ["49%, 5,000/10,001 rows ", "99%, 10,000/10,001 rows ", "100%, 10,001/10,001 rows "])
        #expect(written.allSatisfy { $0.hasSuffix("/s: 0 accepted\n") && !$0.contains("\r") })
    }

    @Test("A new phase begins a new line")
    func phases() {
        let output = Mutex<[String]>([])
        let bar = ProgressBar(isTerminal: true, columns: { 120 }) { text in output.withLock { $0.append(text) } }
        var progress = half
        progress.phase = .checking
        bar.update(progress)
        progress.elapsed += .milliseconds(1)
        bar.update(progress)
        progress.phase = .sending
        progress.elapsed = .zero
        bar.update(progress)
        bar.finish()
        let written = output.withLock { $0 }
        #expect(written.map { $0.contains("checking") } == [true, true, false, false, false])
        #expect(written[2] == "\n" && written[4] == "\n")
    }

    @Test("A warning gets a line of its own, and the bar continues below it", arguments: [true, false])
    func warning(isTerminal: Bool) {
        let output = Mutex<[String]>([])
        let bar = ProgressBar(isTerminal: isTerminal, columns: { 120 }) { text in output.withLock { $0.append(text) } }
        bar.update(half)
        bar.logger(label: "test").warning("Again.", metadata: ["b": "2", "a": "one\u{1B}"])
        bar.logger(label: "test").debug("Nothing to see.")
        var later = half
        later.elapsed += .seconds(1)
        bar.update(later)
        bar.finish()
        let written = output.withLock { $0 }
        let note = "warning: Again. a=one  b=2\n"
        let drawn = [half, later].map { "\r" + ProgressBar.bar($0, columns: 120) + "\u{1B}[K" }
        let expected =
            isTerminal
            ? [drawn[0], "\r\u{1B}[K" + note, drawn[1], "\n"]
            : [note, ProgressBar.line(later) + "\n"]
        #expect(written == expected)
    }

    /// The text of a run that reports at each of the given times. It has as many rows as the last time has
    /// milliseconds.
    private func written(isTerminal: Bool, at milliseconds: [Int]) -> [String] {
        let output = Mutex<[String]>([])
        let bar = ProgressBar(isTerminal: isTerminal, columns: { 120 }) { text in output.withLock { $0.append(text) } }
        let total = milliseconds.max() ?? 0
        for moment in milliseconds {
            bar.update(
                IngestProgress(
                    phase: .sending, rowsDone: moment, rowsTotal: total, bytesDone: moment, bytesTotal: total,
                    elapsed: .milliseconds(moment)))
        }
        bar.finish()
        return output.withLock { $0 }
    }
}
