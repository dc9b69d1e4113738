import ArgumentParser
import Runtime

/// Lists the configuration keys.
struct ConfigCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "config", abstract: "List every configuration key with its default.")

    func run() {
        for key in Settings.keys {
            let value = key.defaultValue.map { $0.isEmpty ? "empty" : $0 } ?? "none"
            print("\(key.name)\n    \(key.help)\n    Default: \(value).")
            if let fileName = key.fileName { print("    A secret: \(fileName) names a file with it instead.") }
        }
    }
}
