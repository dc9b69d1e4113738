import Logging

/// The process's log: one line per event on standard error, with its fields as `name=value`.
package enum LogSetup {
    /// Sets the log up for the process; once, before the first logger is made.
    ///
    /// - Throws: `SettingsError` for a level that does not exist.
    package static func start(level name: String) throws {
        guard let level = Logger.Level(rawValue: name) else {
            let known = Logger.Level.allCases.map(\.rawValue).joined(separator: ", ")
            throw SettingsError("QUOTASTACK_LOG_LEVEL must be one of \(known), not \"\(name)\"")
        }
        LoggingSystem.bootstrap { label in
            var handler = StreamLogHandler.standardError(label: label)
            handler.logLevel = level
            return handler
        }
    }
}
