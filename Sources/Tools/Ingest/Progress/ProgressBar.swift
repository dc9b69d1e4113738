import Glibc
package import Logging
import Synchronization

/// Shows the progress of a run: on a terminal one line that is drawn over and over, otherwise a line every few seconds.
package final class ProgressBar: Sendable {
    private struct Shown: Sendable {
        var phase: IngestProgress.Phase?
        var elapsed: Duration = .zero
        /// What has not been shown because the last line was drawn just before.
        var pending: IngestProgress?
        /// Whether the cursor stands behind a drawn line.
        var hasOpenLine = false
    }

    /// 10 a second look smooth; 12 a minute do not fill a log.
    private var interval: Duration { isTerminal ? .milliseconds(100) : .seconds(5) }
    private let isTerminal: Bool
    private let columns: @Sendable () -> Int
    private let write: @Sendable (String) -> Void
    private let shown = Mutex(Shown())

    /// - Parameters:
    ///   - columns: The width of the terminal at the moment.
    ///   - write: Takes text as it is, control characters and line ends included.
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
                // Progress that nobody can read is no reason to fail.
                if count < 0 && errno != EINTR { return }
                rest = rest.dropFirst(max(0, count))
            }
        }
    }

    /// Shows where a run stands, unless something was shown just before.
    package func update(_ progress: IngestProgress) {
        shown.withLock { shown in
            let isNewPhase = shown.phase != progress.phase
            if isNewPhase { close(&shown) }
            let isDue = progress.elapsed - shown.elapsed >= interval
            // A log begins with the first interval, a bar at once.
            if isNewPhase { shown.elapsed = isTerminal ? progress.elapsed : .zero }
            shown.phase = progress.phase
            guard isDue || isNewPhase && isTerminal else {
                shown.pending = progress
                return
            }
            show(progress, &shown)
        }
    }

    /// Shows the last state and ends the line. To be called once, when the run is over.
    package func finish() {
        shown.withLock { close(&$0) }
    }

    /// Writes a line of its own, such as a warning. A bar that is drawn goes on below it.
    package func note(_ text: String) {
        shown.withLock { shown in
            write(shown.hasOpenLine ? "\r\u{1B}[K\(text)\n" : "\(text)\n")
            shown.hasOpenLine = false
        }
    }

    /// A logger whose lines do not tear the bar.
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
            // Back to the line's begin; what an older, longer line has left is erased.
            write("\r\(Self.bar(progress, columns: columns()))\u{1B}[K")
            shown.hasOpenLine = true
        } else {
            write(Self.line(progress) + "\n")
        }
    }

    // MARK: Text

    /// The line for a terminal, at least one column narrower than it, so that it never wraps.
    package static func bar(_ progress: IngestProgress, columns: Int) -> String {
        let text = line(progress)
        let room = max(0, columns - 1)
        let width = min(30, room - text.count - 3)
        guard width >= 10 else { return String(text.prefix(room)) }
        let filled = Int(Double(width) * progress.fraction)
        return "[" + String(repeating: "#", count: filled) + String(repeating: "-", count: width - filled) + "] " + text
    }

    /// The line for a log. What is usually none, replayed and rejected rows, is named only when there are some.
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

/// Writes log messages as notes of a progress bar: level, message, and the metadata in the order of its names.
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
