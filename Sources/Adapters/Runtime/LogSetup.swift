import Logging

/// The process's log: one line per event on standard error, with its fields as `name=value`.
package enum LogSetup {
    /// Configures logging for the process. To be called once, before the first logger is created.
    ///
    /// - Throws: `SettingsError` for an unknown level.
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
