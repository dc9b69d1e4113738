package import Logging
import Synchronization

/// Log lines about things that unauthenticated callers can cause as often as they like: at most one line of a kind in a
/// second. A line says how many of its kind were left out before it.
package final class SparseLog: Sendable {
    private struct Kind {
        var quietUntil: ContinuousClock.Instant
        var leftOut = 0
    }

    private let logger: Logger
    private let kinds = Mutex<[String: Kind]>([:])

    package init(_ logger: Logger) {
        self.logger = logger
    }

    /// Writes a line, unless one of the same kind was written within the last second.
    ///
    /// - Parameters:
    ///   - kind: The first words of the line. The number of different kinds must be bounded.
    ///   - detail: The rest of the line.
    package func write(
        _ level: Logger.Level, _ kind: String, at now: ContinuousClock.Instant = .now,
        _ detail: @autoclosure () -> String = "", metadata: @autoclosure () -> Logger.Metadata? = nil
    ) {
        guard logger.logLevel <= level else { return }
        let leftOut = kinds.withLock { kinds -> Int? in
            if let known = kinds[kind], now < known.quietUntil {
                kinds[kind]?.leftOut += 1
                return nil
            }
            defer { kinds[kind] = Kind(quietUntil: now + .seconds(1)) }
            return kinds[kind]?.leftOut ?? 0
        }
        guard let leftOut else { return }
        let more = leftOut > 0 ? " (and \(leftOut) like it before)" : ""
        logger.log(level: level, "\(kind)\(detail())\(more)", metadata: metadata())
    }
}
