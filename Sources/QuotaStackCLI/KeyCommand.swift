import API
import ArgumentParser

/// Makes keys.
struct KeyCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "key", abstract: "Make keys.", subcommands: [Root.self])

    struct Root: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "root", abstract: "Print a fresh root key for QUOTASTACK_ROOT_KEY.")

        func run() {
            print(APIKey.random(.root))
        }
    }
}
