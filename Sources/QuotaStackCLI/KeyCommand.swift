import API
import ArgumentParser
import JSON

/// Makes, lists and revokes keys.
struct KeyCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "key", abstract: "Make, list and revoke keys.",
        subcommands: [Root.self, Create.self, List.self, Revoke.self])

    struct Root: ParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Print a fresh root key for QUOTASTACK_ROOT_KEY.")

        func run() {
            print(APIKey.random(.root))
        }
    }

    struct Create: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Make an API key for the environment of an existing one; it is shown this once.")
        @OptionGroup var options: EnvironmentOptions
        @Option(help: "What the key is for.") var name: String

        func run() async throws {
            var json = JSONWriter()
            json.beginObject()
            json.member("name", name)
            json.endObject()
            print(try await options.client().call("POST", "/v1/api-keys", body: json.bytes).line)
        }
    }

    struct List: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "List the environment's keys, newest first.")
        @OptionGroup var options: EnvironmentOptions

        func run() async throws {
            try await printList("/v1/api-keys", options.client())
        }
    }

    struct Revoke: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Revoke a key; repeating it changes nothing.")
        @OptionGroup var options: EnvironmentOptions
        @Argument(help: "The key's id, key_….") var id: String

        func run() async throws {
            print(try await options.client().call("POST", "/v1/api-keys/\(id)/revoke").line)
        }
    }
}

/// Where the installation is and which environment is meant.
struct EnvironmentOptions: ParsableArguments {
    @Option(help: "The API's URL; default: $QUOTASTACK_URL.") var url: String?
    @Flag(help: "Use the live environment ($QUOTASTACK_LIVE_KEY) instead of the test one ($QUOTASTACK_TEST_KEY).")
    var live = false

    /// The API key comes from the environment only: a command line is there for everybody to read.
    func key() throws -> String {
        let name = live ? "QUOTASTACK_LIVE_KEY" : "QUOTASTACK_TEST_KEY"
        guard let key = environment(name) else { throw ValidationError("\(name) is not set.") }
        return key
    }

    func client() throws -> APIClient {
        APIClient(url: try apiURL(url), key: try key())
    }
}
