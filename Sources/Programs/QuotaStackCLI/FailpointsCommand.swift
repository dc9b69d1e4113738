import ArgumentParser
import Failpoints

/// Lists what a torture run can ask of the processes.
struct FailpointsCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "failpoints",
        abstract: "List the failpoints and known bugs of this build; a release build has none.", shouldDisplay: false)

    func run() {
        guard Failpoint.areCompiledIn else { return }
        for failpoint in Failpoint.allCases { print("failpoint \(failpoint.rawValue)") }
        for bug in KnownBug.allCases { print("bug \(bug.rawValue)") }
    }
}
