import ArgumentParser
import Runtime

/// Lists the configuration keys.
struct ConfigCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "config", abstract: "List every configuration key with its default.")

    func run() {
        for key in Settings.keys {
            let value = key.defaultValue.map { $0.isEmpty ? "empty" : $0 } ?? (key.isSecret ? "none, a secret" : "none")
            print("\(key.name)\n    \(key.help)\n    Default: \(value).")
        }
    }
}
