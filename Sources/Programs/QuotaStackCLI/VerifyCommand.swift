import ArgumentParser
import Glibc
import Ledger
import Logging
import Postgres
import Runtime
import Storage

/// Checks the books of all accounts, in the database or in an export.
struct VerifyCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "verify",
        abstract: "Check every account's books; exits 1 and names the first broken entry of each.")

    @Option(help: "Check a file from GET /v1/ledger/export (- is standard input) instead of the database.")
    var export: String?

    func run() async throws {
        if let export { try verify(export) } else { try await verifyDatabase() }
    }

    private func verify(_ export: String) throws {
        let showsProgress = isatty(2) == 1
        let audit = try ExportFile.audit(export) { audit in
            guard showsProgress else { return }
            writeError("\r\(audit.lines) entries")
        }
        if showsProgress { writeError("\r\u{1B}[K") }
        for finding in audit.findings.prefix(100) { print(finding) }
        if audit.findings.count > 100 { print("… and \(audit.findings.count - 100) more") }
        let verdict = audit.findings.isEmpty ? "The export is whole" : "THE EXPORT IS BROKEN"
        print("\(verdict): \(audit.accounts) accounts, \(audit.lines) entries.\(Self.note(audit.unprovable))")
        if !audit.findings.isEmpty { throw ExitCode(1) }
    }

    /// The note on entries that the verdict does not cover: old ones whose end user was erased.
    private static func note(_ unprovable: Int) -> String {
        unprovable == 0
            ? ""
            : " \(unprovable) of them are of version 1 and have lost their text to an erasure: their place in the chain and "
                + "their sums are checked, their text cannot be."
    }

    private func verifyDatabase() async throws {
        let settings = try await Settings.load()
        try LogSetup.start(level: settings.logLevel)
        let showsProgress = isatty(2) == 1
        let report = try await PostgresConnection.lent(
            try settings.postgres().acting(as: .operator), logger: Logger(label: "quotastack")
        ) { connection in
            try await BookVerifier.verify(on: connection) { report in
                guard showsProgress else { return }
                writeError("\r\(report.accounts) accounts, \(report.entries) entries")
            }
        }
        if showsProgress { writeError("\r\u{1B}[K") }
        for violation in report.violations.prefix(100) { print(violation) }
        if report.violations.count > 100 { print("… and \(report.violations.count - 100) more accounts") }
        for finding in report.findings { print(finding) }
        if report.parkedCommands > 0 {
            print("\(report.parkedCommands) commands are parked: see the table parked_commands")
        }
        let verdict = report.isClean ? "The books are clean" : "THE BOOKS ARE BROKEN"
        print("\(verdict): \(report.accounts) accounts, \(report.entries) entries.\(Self.note(report.unprovable))")
        if !report.isClean { throw ExitCode(1) }
    }
}

/// Writes to standard error, for progress.
func writeError(_ text: String) {
    var text = text
    text.withUTF8 { bytes in _ = write(STDERR_FILENO, bytes.baseAddress, bytes.count) }
}
