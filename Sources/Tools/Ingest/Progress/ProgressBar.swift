import Glibc
package import Logging
import Synchronization

/// Shows the progress of a run: on a terminal as one line that is redrawn, otherwise as a line every 5 seconds.
package final class ProgressBar: Sendable {
    private struct Shown: Sendable {
        var phase: IngestProgress.Phase?
        var elapsed: Duration = .zero
        /// The progress that was not shown because the last line is too recent.
        var pending: IngestProgress?
        /// Whether the cursor is at the end of a drawn line.
        var hasOpenLine = false
    }

    /// 10 updates a second look smooth; 12 lines a minute do not fill a log.
    private var interval: Duration { isTerminal ? .milliseconds(100) : .seconds(5) }
    private let isTerminal: Bool
    private let columns: @Sendable () -> Int
    private let write: @Sendable (String) -> Void
    private let shown = Mutex(Shown())

    /// - Parameters:
    /// - columns: The current width of the terminal.
    /// - write: Receives the text as it is, including control characters and line ends.
    package init(
        isTerminal: Bool, columns: @escaping @Sendable () -> Int, write: @escaping @Sendable (String) -> Void
    ) {
        self.isTerminal = isTerminal
        self.columns = columns
        self.write = write
    }

    /// A bar on standard error.
    package static func standardError() -> ProgressBar {
        ProgressBar(isTerminal: isatty(STDERR_FILENO) == 1, columns: { terminalColumns(STDERR_FILENO) }) { text in
            var rest = Array(text.utf8)[...]
            while !rest.isEmpty {
                let count = rest.withUnsafeBytes { Glibc.write(STDERR_FILENO, $0.baseAddress, $0.count) }
                // A progress line that cannot be written is no reason to fail.
                if count < 0 && errno != EINTR { return }
                rest = rest.dropFirst(max(0, count))
            }
        }
    }

    /// Shows the progress, unless a line was shown less than an interval ago.
    package func update(_ progress: IngestProgress) {
        shown.withLock { shown in
            let isNewPhase = shown.phase != progress.phase
            if isNewPhase { close(&shown) }
            let isDue = progress.elapsed - shown.elapsed >= interval
            // A log shows its first line after one interval, a bar at once.
            if isNewPhase { shown.elapsed = isTerminal ? progress.elapsed : .zero }
            shown.phase = progress.phase
            guard isDue || isNewPhase && isTerminal else {
                shown.pending = progress
                return
            }
            show(progress, &shown)
        }
    }

    /// Shows the last state and ends the line. Call it once, when the run is over.
    package func finish() {
        shown.withLock { close(&$0) }
    }

    /// Writes a separate line, such as a warning. A bar continues below it.
    package func note(_ text: String) {
        shown.withLock { shown in
            write(shown.hasOpenLine ? "\r\u{1B}[K\(text)\n" : "\(text)\n")
            shown.hasOpenLine = false
        }
    }

    /// A logger whose lines do not break the bar.
    package func logger(label: String, level: Logger.Level = .info) -> Logger {
        Logger(label: label) { _ in ProgressBarLogHandler(bar: self, logLevel: level) }
    }

    private func close(_ shown: inout Shown) {
        if let pending = shown.pending { show(pending, &shown) }
        if shown.hasOpenLine { write("\n") }
        shown.hasOpenLine = false
    }

    private func show(_ progress: IngestProgress, _ shown: inout Shown) {
        shown.elapsed = progress.elapsed
        shown.pending = nil
        if isTerminal {
            // Returns to the start of the line, and erases the rest of an older, longer line.
            write("\r\(Self.bar(progress, columns: columns()))\u{1B}[K")
            shown.hasOpenLine = true
        } else {
            write(Self.line(progress) + "\n")
        }
    }

    // MARK: Text

    /// The line for a terminal. It is at least one column narrower than the terminal, so that it never wraps.
    package static func bar(_ progress: IngestProgress, columns: Int) -> String {
        let text = line(progress)
        let room = max(0, columns - 1)
        let width = min(30, room - text.count - 3)
        guard width >= 10 else { return String(text.prefix(room)) }
        let filled = Int(Double(width) * progress.fraction)
        return "[" + String(repeating: "#", count: filled) + String(repeating: "-", count: width - filled) + "] " + text
    }

    /// The line for a log. Replayed and rejected rows are rare, so they are named only when there are some.
    package static func line(_ progress: IngestProgress) -> String {
        let percent = Int(progress.fraction * 100)
        switch progress.phase {
        case .checking: return "checking \(percent)%, \(progress.rowsDone.grouped) rows"
        case .sending:
            let total = progress.rowsTotal.map { "/\($0.grouped)" } ?? ""
            return "\(percent)%, \(progress.rowsDone.grouped)\(total) rows at \(progress.rowsPerSecond.grouped)/s: "
                + "\(progress.accepted.grouped) accepted"
                + (progress.replayed > 0 ? ", \(progress.replayed.grouped) replayed" : "")
                + (progress.rejected > 0 ? ", \(progress.rejected.grouped) rejected" : "")
        }
    }

    private static func terminalColumns(_ descriptor: Int32) -> Int {
        var size = winsize()
        guard ioctl(descriptor, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 0 else { return 80 }
        return Int(size.ws_col)
    }
}

/// Writes log messages as notes of a progress bar: the level, the message, and the metadata sorted by name.
private struct ProgressBarLogHandler: LogHandler {
    let bar: ProgressBar
    var logLevel: Logger.Level
    var metadata: Logger.Metadata = [:]

    subscript(metadataKey key: String) -> Logger.MetadataValue? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    func log(event: LogEvent) {
        let metadata = metadata.merging(event.metadata ?? [:]) { $1 }
        let details = metadata.sorted { $0.key < $1.key }.map { " \($0)=\($1)" }.joined()
        bar.note("\(event.level): \(event.message)\(details)".printable)
    }
}
