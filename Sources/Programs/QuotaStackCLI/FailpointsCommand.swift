import ArgumentParser
import Failpoints

/// Lists the failpoints and known bugs that a torture run can activate in this build's processes.
struct FailpointsCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "failpoints",
        abstract: "List the failpoints and known bugs of this build; a release build has none.", shouldDisplay: false)

    func run() {
        guard Failpoint.areCompiledIn else { return }
        for failpoint in Failpoint.allCases { print("failpoint \(failpoint.rawValue)") }
        for bug in KnownBug.allCases {
            print("\(bug.disturbsNeighbours ? "neighbour-bug" : "bug") \(bug.rawValue)")
        }
    }
}
