import API
import ArgumentParser
import JSON

/// Makes, lists and revokes keys.
struct KeyCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "key", abstract: "Make, list, roll and revoke keys.",
        subcommands: [Root.self, Create.self, List.self, Roll.self, Revoke.self])

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
        @Option(
            name: .customLong("scope"), help: "What it may do, such as usage:write; repeat it. Default: everything.")
        var scopes: [String] = []
        @Option(help: "When it expires, such as 2027-01-31T00:00:00Z. Default: never.") var expiresAt: String?

        func run() async throws {
            var json = JSONWriter()
            json.beginObject()
            json.member("name", name)
            if !scopes.isEmpty { json.array("scopes", scopes) { $0.value($1) } }
            if let expiresAt { json.member("expires_at", expiresAt) }
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

    struct Roll: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Make a key's successor, shown this once; the old key ends after the overlap.")
        @OptionGroup var options: EnvironmentOptions
        @Argument(help: "The key's id, key_….") var id: String
        @Option(help: "How long the old key goes on, 0 to 604800; default: a day.") var overlapSeconds: Int64?

        func run() async throws {
            var json = JSONWriter()
            json.beginObject()
            if let overlapSeconds { json.member("overlap_seconds", overlapSeconds) }
            json.endObject()
            print(try await options.client().call("POST", "/v1/api-keys/\(id)/roll", body: json.bytes).line)
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
