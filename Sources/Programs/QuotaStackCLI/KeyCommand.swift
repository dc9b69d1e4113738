import API
import ArgumentParser
import JSON
import Runtime

/// Creates, lists, rolls and revokes keys.
struct KeyCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "key", abstract: "Create, list, roll and revoke keys.",
        subcommands: [Root.self, Create.self, List.self, Roll.self, Revoke.self])

    struct Root: ParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Print a fresh root key for QUOTASTACK_ROOT_KEY.")

        func run() {
            print(APIKey.random(.root))
        }
    }

    struct Create: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Create an API key in the environment of an existing key. It is shown only once.")
        @OptionGroup var options: EnvironmentOptions
        @Option(help: "The key's name, which says what the key is for.") var name: String
        @Option(
            name: .customLong("scope"), help: "A scope of the key, such as usage:write; may be repeated. Default: all.")
        var scopes: [String] = []
        @Option(help: "Expiry of the key, such as 2027-01-31T00:00:00Z. Default: never.") var expiresAt: String?

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
            abstract: "Create a key's successor, which is shown only once. The old key ends after the overlap.")
        @OptionGroup var options: EnvironmentOptions
        @Argument(help: "The key's id, key_….") var id: String
        @Option(help: "Seconds that the old key stays valid, 0 to 604800; default: a day.") var overlapSeconds: Int64?

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

/// The options that name an installation and one of its environments.
struct EnvironmentOptions: ParsableArguments {
    @Option(help: "The API's URL; default: $QUOTASTACK_URL.") var url: String?
    @Flag(help: "Use the live environment ($QUOTASTACK_LIVE_KEY) instead of the test one ($QUOTASTACK_TEST_KEY).")
    var live = false

    /// The API key; nil when none is set. It comes from an environment variable, or from the file that the variable with
    /// `_FILE` behind its name names, and never from an option: every user of a machine can read command lines.
    func optionalKey() throws -> String? {
        try Secret(keyName, stated: environment(keyName), path: environment("\(keyName)_FILE"))?.text
    }

    func key() throws -> String {
        guard let key = try optionalKey() else {
            throw ValidationError("\(keyName) is not set. Set it, or run: . .quotastack/env")
        }
        return key
    }

    private var keyName: String { live ? "QUOTASTACK_LIVE_KEY" : "QUOTASTACK_TEST_KEY" }

    func client() throws -> APIClient {
        APIClient(url: try apiURL(url), key: try key())
    }
}
