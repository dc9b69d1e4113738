import ChildProcesses

/// Facts about the machine, the measured process and the checkout for a report.
package enum MachineFacts {
    /// The most memory that a process has used so far, in bytes (`VmHWM`); nil when there is no such process.
    package static func peakMemory(ofProcess identifier: Int32) -> Int? {
        readFile("/proc/\(identifier)/status").flatMap(peakMemory(inStatus:))
    }

    /// The memory that a process uses now, in bytes (`VmRSS`); nil when there is no such process.
    package static func residentMemory(ofProcess identifier: Int32) -> Int? {
        readFile("/proc/\(identifier)/status").flatMap { memory("VmRSS:", inStatus: $0) }
    }

    static func peakMemory(inStatus status: String) -> Int? { memory("VmHWM:", inStatus: status) }

    private static func memory(_ name: String, inStatus status: String) -> Int? {
        for line in status.split(separator: "\n") where line.hasPrefix(name) {
            return line.split(whereSeparator: { $0 == " " || $0 == "\t" }).dropFirst().first
                .flatMap { Int($0) }.map { $0 * 1_024 }
        }
        return nil
    }

    /// The commit that is checked out in a directory, with `-dirty` when files differ from it; nil outside a checkout.
    package static func gitRevision(in directory: String = ".") async -> String? {
        let command = ["git", "-C", directory, "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"]
        let output = try? await ChildProcess.output(of: command)
        return output?.split(separator: "\n").first.map(String.init)
    }
}
